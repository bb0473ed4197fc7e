"""A line in memory: a head and terminals in one process, driven by discrete time, with planned misfortune.

It stands beside the real ones and passes their suite. Its misfortunes are those of the messages themselves,
above any wire: what the envelope, the records and their acknowledgements must bear. The same seed makes the
same run.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.line import (
    ALL,
    HEAD,
    MESSAGE_BYTES_MAX,
    Peer,
    Received,
    check_message,
    terminal_address,
)
from campus_node.wording import Sentence
from federation.errors import Overloaded

QUEUED_MAX: Final = 256  # messages on their way from one end
RECEIVED_MAX: Final = 4096
NEVER_S: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Misfortune:
    """How often, 0.0 to 1.0, what happens to a message on its way, each decided by itself.

    Args:
        lose: it never arrives.
        corrupt: one to three of its bytes change.
        duplicate: it arrives twice.
        reorder: it takes up to delay_s_max longer, so that others overtake it.
        delay_s: what every message takes, seconds.
        delay_s_max: what one may take beyond that.
    """

    lose: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.001
    delay_s_max: float = 0.5


NONE: Final = Misfortune()


@dataclass(slots=True)
class Fired:
    """How often each misfortune happened."""

    lost: int = 0
    corrupted: int = 0
    duplicated: int = 0
    reordered: int = 0


class MemoryWire:
    """The wire and its clock. `step` delivers what is due; nothing else moves.

    Args:
        seed: of all misfortunes.
        misfortune: what happens from now on; may be exchanged.
    """

    def __init__(self, seed: int = 0, misfortune: Misfortune = NONE) -> None:
        self.misfortune = misfortune
        self.fired = Fired()
        self.now_s = 0.0
        self.tap: Callable[[Peer, Peer, bytes], None] | None = None  # hears every message that is sent
        self._random = random.Random(f"memory wire {seed}")  # noqa: S311 - repeatable, not secret
        self._ends: dict[Peer, MemoryLine] = {}
        self._cut: set[Peer] = set()
        self._on_their_way: list[tuple[float, int, Peer, Peer, bytes]] = []
        self._numbered = 0
        self._latest_s: dict[tuple[Peer, Peer, bool], float] = {}
        self._waiting: dict[Peer, int] = {}

    def end(self, address: Peer) -> "MemoryLine":
        """Return a new end: HEAD, or a terminal's. Raise ValueError if it is taken or no address."""
        if address != HEAD:
            terminal_address(address)
        if address in self._ends:
            raise ValueError(f"{address} is taken")
        self._ends[address] = MemoryLine(self, address)
        return self._ends[address]

    def leave(self, address: Peer) -> None:
        """Take an end off, so that another one can have its address."""
        self._ends.pop(address, None)

    def cut(self, address: Peer) -> None:
        """Cut an end off: what is on its way to and from it is lost."""
        self._cut.add(address)

    def mend(self, address: Peer) -> None:
        """Connect it again."""
        self._cut.discard(address)

    def step(self, now_s: float) -> float:
        """Deliver what is due and return when the next message is; see `Stepped.step`."""
        self.now_s = max(now_s, self.now_s)
        while self._on_their_way and self._on_their_way[0][0] <= self.now_s:
            _, _, source, target, message = heapq.heappop(self._on_their_way)
            self._waiting[source] -= 1
            end = self._ends.get(target)
            if end is not None and not {source, target} & self._cut:
                end.deliver(Received(source, message))
        return self._on_their_way[0][0] if self._on_their_way else NEVER_S

    def inject(self, source: Peer, target: Peer, message: bytes) -> None:
        """Be a stranger: put any bytes on the wire, as if they came from source."""
        self._post(self.now_s + self.misfortune.delay_s, source, target, message)

    def send(self, source: Peer, target: Peer, message: bytes, urgent: bool) -> None:
        """Put a message on the wire for an end. Raise PeerGone or Overloaded."""
        targets = [a for a in self._ends if a != HEAD] if target == ALL else [target]
        if target != ALL and (target not in self._ends or {source, target} & self._cut):
            raise PeerGone(Sentence("{address} does not answer on {name}", address=target, name="memory"))
        if self._waiting.get(source, 0) >= QUEUED_MAX:
            raise Overloaded(retry_after_ms=10)
        if self.tap is not None:
            self.tap(source, target, message)
        for each in targets:
            self._meet(source, each, message, urgent)

    def _meet(self, source: Peer, target: Peer, message: bytes, urgent: bool) -> None:
        luck, bad = self._random, self.misfortune
        if luck.random() < bad.lose:
            self.fired.lost += 1
            return
        if luck.random() < bad.corrupt:
            self.fired.corrupted += 1
            message = _corrupted(message, luck)
        due_s = max(self.now_s + bad.delay_s, self._latest_s.get((source, target, urgent), 0.0))
        if luck.random() < bad.reorder:
            self.fired.reordered += 1
            due_s += luck.uniform(0, bad.delay_s_max)
        else:
            self._latest_s[source, target, urgent] = due_s
        self._post(due_s, source, target, message)
        if luck.random() < bad.duplicate:
            self.fired.duplicated += 1
            self._post(due_s + luck.uniform(0, bad.delay_s_max), source, target, message)

    def _post(self, due_s: float, source: Peer, target: Peer, message: bytes) -> None:
        self._numbered += 1
        self._waiting[source] = self._waiting.get(source, 0) + 1
        heapq.heappush(self._on_their_way, (due_s, self._numbered, source, target, message))


class MemoryLine:
    """One end of a `MemoryWire`; made by `MemoryWire.end`. One thread drives the wire and all ends."""

    def __init__(self, wire: MemoryWire, address: Peer) -> None:
        self._wire = wire
        self._address = address
        self._received: deque[Received] = deque()
        self._closed = False
        self.lost_count = 0  # messages for which there was no room

    @property
    def name(self) -> str:
        return f"memory {self._address}"

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        self._demand_open()
        check_message(message, MESSAGE_BYTES_MAX)
        if HEAD not in {self._address, peer}:
            raise PeerGone(Sentence("{address} does not answer on {name}", address=peer, name=self.name))
        self._wire.send(self._address, peer, bytes(message), urgent)

    def receive(self, timeout_s: float) -> Received | None:
        """See `Line.receive`. Waiting moves the wire's clock, by timeout_s at most."""
        self._demand_open()
        if not self._received and timeout_s > 0:
            until_s = self._wire.now_s + timeout_s
            due_s = self._wire.step(self._wire.now_s)
            while not self._received and due_s <= until_s:
                due_s = self._wire.step(due_s)
            if not self._received:
                self._wire.step(until_s)
        return self._received.popleft() if self._received else None

    def deliver(self, received: Received) -> None:
        """Take what arrived; for the wire."""
        if self._closed or len(self._received) >= RECEIVED_MAX:
            self.lost_count += 1
            return
        self._received.append(received)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._wire.leave(self._address)

    def _demand_open(self) -> None:
        if self._closed:
            raise LineDown(Sentence("the line {name} is closed", name=self.name))


def _corrupted(message: bytes, luck: random.Random) -> bytes:
    changed = bytearray(message)
    for _ in range(luck.randint(1, 3)):
        changed[luck.randrange(len(changed))] ^= luck.randint(1, 255)
    return bytes(changed)
