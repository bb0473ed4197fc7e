"""A head and terminals on one modelled air, in its own time."""

import random
from collections.abc import Callable

from campus_node.lines.line import HEAD, Peer
from campus_node.lines.thin.head import ThinHeadLine
from campus_node.lines.thin.line import ThinLine
from campus_node.lines.thin.terminal import ThinTerminalLine
from hil_rig.virtual.radio_air import CLEAR, AirRadio, Misfortune, RadioAir


class AirTime:
    """The ends 0 (head) and 1 to `terminals`."""

    def __init__(self, terminals: int, seed: int = 0, misfortune: Misfortune = CLEAR) -> None:
        self.seed = seed
        self.air = RadioAir(seed, misfortune)
        self.radios: dict[Peer, AirRadio] = {}
        self.head = ThinHeadLine("air 0", self._radio(HEAD), self._random(HEAD))
        self.tills: dict[Peer, ThinTerminalLine] = {}
        for number in range(1, terminals + 1):
            self.start(Peer(number))

    @property
    def lines(self) -> list[ThinLine]:
        return [self.head, *self.tills.values()]

    def start(self, address: Peer, life: int = 0) -> ThinTerminalLine:
        """Start a terminal, or start it again: nothing is left of its life before."""
        if address in self.tills:
            self.tills[address].close()
        till = ThinTerminalLine(f"air {address}", self._radio(address), address, self._random(address, life))
        self.tills[address] = till
        return till

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end_s = self.air.now_s + seconds
        while True:
            due_s = min(line.step(self.air.now_s) for line in self.lines)
            next_s = max(min(due_s, self.air.next_s), self.air.now_s)
            if next_s >= end_s:
                self.air.advance(end_s)
                for line in self.lines:
                    line.step(self.air.now_s)
                return
            self.air.advance(next_s)

    def _radio(self, address: Peer) -> AirRadio:
        self.radios[address] = self.air.radio(address)
        return self.radios[address]

    def _random(self, address: Peer, life: int = 0) -> Callable[[int], bytes]:
        return random.Random(f"end {self.seed} {address} {life}").randbytes
