"""Air that radios of the Zigbee class share, as a model in virtual time: 20 kbit/s, one speaks at a time.

Whoever has a cell waits until the air is free, and then a number of slots that it draws; two that draw the
same speak at once and nobody understands either. What else befalls a cell is `Misfortune`, drawn from a seed.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campus_node.lines.errors import LineDown
from campus_node.lines.line import ALL, Peer
from campus_node.lines.thin.radio import BITS_A_SECOND, Heard
from campus_node.wording import Sentence

PREAMBLE_BYTES: Final = 12  # preamble, addresses and checksum of the radio's own frame
SLOT_S: Final = 0.000_32
SLOTS: Final = 32
PLACES: Final = 2  # cells that a module keeps
INBOX_MAX: Final = 256
NEVER_S: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Misfortune:
    """How often, 0.0 to 1.0, what happens to a cell at a receiver, each decided by itself.

    Args:
        lose: it is not heard.
        corrupt: one to four of its bits flip.
        duplicate: it is heard twice.
        delay: it is heard up to delay_s_max later, so that others overtake it.
    """

    lose: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_s_max: float = 0.5


CLEAR: Final = Misfortune()


@dataclass(slots=True)
class Fired:
    """How often what happened."""

    sent: int = 0
    collided: int = 0
    lost: int = 0
    corrupted: int = 0
    duplicated: int = 0
    delayed: int = 0


class RadioAir:
    """The air. `advance` is what moves its time.

    Args:
        seed: of slots and misfortunes.
        misfortune: what happens from now on; may be exchanged.
        bitrate: bits a second.
    """

    def __init__(
        self, seed: int = 0, misfortune: Misfortune = CLEAR, *, bitrate: int = BITS_A_SECOND
    ) -> None:
        self.misfortune = misfortune
        self.fired = Fired()
        self.now_s = 0.0
        self.busy_s = 0.0  # of air time, in all
        self.tap: Callable[[Peer, Peer, bytes], None] | None = None  # hears every cell that is sent
        self._bitrate = bitrate
        self._random = random.Random(f"radio air {seed}")  # noqa: S311 - repeatable, not secret
        self._radios: dict[Peer, AirRadio] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbered = 0
        self._taken = False  # somebody speaks or is about to

    def radio(self, address: Peer) -> "AirRadio":
        """Return a module under this address. Raise ValueError if it is taken."""
        if address in self._radios:
            raise ValueError(f"{address} is taken")
        self._radios[address] = AirRadio(self, address)
        return self._radios[address]

    def leave(self, radio: "AirRadio") -> None:
        """Take a module off."""
        if self._radios.get(radio.address) is radio:
            del self._radios[radio.address]

    def air_s(self, cell: bytes) -> float:
        """Return how long a cell is on the air."""
        return (PREAMBLE_BYTES + len(cell)) * 8 / self._bitrate

    @property
    def next_s(self) -> float:
        """The next instant at which something happens by itself."""
        return self._agenda[0][0] if self._agenda else NEVER_S

    def advance(self, until_s: float) -> None:
        """Let time pass until this instant."""
        while self._agenda and self._agenda[0][0] <= until_s:
            at_s, _, act = heapq.heappop(self._agenda)
            self.now_s = max(self.now_s, at_s)
            act()
        self.now_s = max(self.now_s, until_s)

    def contend(self) -> None:
        """Let whoever has something draw for the air, if it is free."""
        waiting = [radio for radio in self._radios.values() if radio.to_send]
        if self._taken or not waiting:
            return
        drawn = {radio: self._random.randrange(SLOTS) for radio in waiting}
        first = min(drawn.values())
        speakers = [radio for radio, slot in drawn.items() if slot == first]
        self._taken = True
        self._at(self.now_s + (first + 1) * SLOT_S, lambda: self._speak(speakers))

    def _speak(self, speakers: list["AirRadio"]) -> None:
        spoken = [(radio, *radio.to_send.popleft()) for radio in speakers if radio.to_send]
        lasts_s = max((self.air_s(cell) for _, cell, _ in spoken), default=0.0)
        self.busy_s += lasts_s
        self._at(self.now_s + lasts_s, lambda: self._spoken(spoken))

    def _spoken(self, spoken: list[tuple["AirRadio", bytes, Peer]]) -> None:
        self._taken = False
        present = [(radio, cell, target) for radio, cell, target in spoken if radio.plugged]
        self.fired.sent += len(present)
        if len(present) > 1:
            self.fired.collided += len(present)
        for radio, cell, target in present if len(present) == 1 else []:
            if self.tap is not None:
                self.tap(radio.address, target, cell)
            for each in tuple(self._radios.values()):
                if each is not radio and target in {ALL, each.address}:
                    self._meet(radio.address, each, cell)
        for radio, _, _ in spoken:
            radio.gone_out()
        self.contend()

    def _meet(self, source: Peer, target: "AirRadio", cell: bytes) -> None:
        luck, bad = self._random, self.misfortune
        if luck.random() < bad.lose:
            self.fired.lost += 1
            return
        if luck.random() < bad.corrupt:
            self.fired.corrupted += 1
            cell = _corrupted(cell, luck)
        times = 1
        if luck.random() < bad.duplicate:
            self.fired.duplicated += 1
            times = 2
        for _ in range(times):
            late_s = 0.0
            if luck.random() < bad.delay:
                self.fired.delayed += 1
                late_s = luck.uniform(0, bad.delay_s_max)
            self._at(self.now_s + late_s, lambda: target.hear(Heard(source, cell)))

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        self._numbered += 1
        heapq.heappush(self._agenda, (at_s, self._numbered, act))


class AirRadio:
    """One module; made by `RadioAir.radio`. One thread drives the air and all modules."""

    def __init__(self, air: RadioAir, address: Peer) -> None:
        self.address = address
        self.plugged = True  # its antenna; what is sent without one is heard by nobody
        self.working = True
        self.to_send: deque[tuple[bytes, Peer]] = deque()
        self.dropped_count = 0
        self.arrived: Callable[[Heard], None] | None = None  # takes cells instead of `receive`
        self.left: Callable[[], None] | None = None  # told of each cell that is on the air no more
        self._air = air
        self._inbox: deque[Heard] = deque()
        self._closed = False

    def send(self, cell: bytes, target: Peer) -> bool:
        self._demand_working()
        if len(self.to_send) >= PLACES:
            return False
        self.to_send.append((bytes(cell), target))
        self._air.contend()
        return True

    def receive(self) -> Heard | None:
        self._demand_working()
        return self._inbox.popleft() if self._inbox else None

    def restart(self) -> None:
        self._demand_working()

    def descriptor(self) -> int | None:
        return -1

    def close(self) -> None:
        self._closed = True
        self._air.leave(self)

    def hear(self, heard: Heard) -> None:
        """Take a cell from the air."""
        if not self.plugged or not self.working or self._closed:
            return
        if self.arrived is not None:
            self.arrived(heard)
        elif len(self._inbox) >= INBOX_MAX:
            self.dropped_count += 1
        else:
            self._inbox.append(heard)

    def gone_out(self) -> None:
        """Learn that a cell has left."""
        if self.left is not None:
            self.left()

    def _demand_working(self) -> None:
        if self._closed or not self.working:
            raise LineDown(Sentence("the radio of {address} does not work", address=self.address))


def _corrupted(cell: bytes, luck: random.Random) -> bytes:
    changed = bytearray(cell)
    for bit in luck.sample(range(8 * len(changed)), luck.randint(1, 4)):
        changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)
