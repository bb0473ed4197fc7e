"""One end of a thin link, driven step by step (B3, B4.1).

`step` reads what the radio heard and hands over what is to be sent: answers first, then urgent messages, then
notices, then all others, of each class one cell a peer in turn. It never blocks and no cell makes it raise.
"""

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from campus_node.lines.errors import FrameBroken, LineDown, PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import ALL, Peer, Received, check_message
from campus_node.lines.thin.cells import NUMBERS, Cell, Kind, encode, parse, sound
from campus_node.lines.thin.radio import Heard, Radio
from campus_node.lines.thin.transfer import ATTEMPTS, ATTEMPTS_SILENT, NEVER_S, Incoming, Outgoing, Taken
from campus_node.wording import Sentence
from federation.errors import Overloaded

QUEUED_MAX: Final = 64  # messages to one peer in one class
RECEIVED_MAX: Final = 1024
EVENTS_MAX: Final = 1000
CELLS_A_STEP_MAX: Final = 200
STEP_AT_LEAST_EVERY_S: Final = 0.5
FULL_RETRY_S: Final = 0.02  # the radio had no place
GONE_FOR_S: Final = 30.0  # so long nothing is sent to a peer that did not answer, unless it is heard
RESTART_S_MIN: Final = 0.5
RESTART_S_MAX: Final = 30.0

Random = Callable[[int], bytes]
Key = tuple[bool, Peer]  # urgent, to whom


class ThinLine:
    """What both ends have in common; see `ThinHeadLine` and `ThinTerminalLine`.

    Args:
        name: what people call it.
        radio: its module; closed with the line.
        own: this end's address.
        random_bytes: where the first number of each peer's messages, and jitter, come from.
    """

    def __init__(self, name: str, radio: Radio, own: Peer, random_bytes: Random) -> None:
        self.own = own
        self.noise_count = 0  # cells whose checksum is wrong
        self.broken_count = 0  # cells that nobody sends
        self.lost_count = 0  # messages for which nobody had room
        self.given_up_count = 0  # messages that were not acknowledged
        self.wake: Callable[[], None] = _nobody_waits
        self._name = name
        self._radio = radio
        self._random = random_bytes
        self._lock = threading.RLock()
        self._arrival = threading.Condition(self._lock)
        self._outgoing: dict[Key, Outgoing] = {}
        self._incoming: dict[Key, Incoming] = {}
        self._notices_in: dict[bool, Incoming] = {False: Incoming(), True: Incoming()}
        self._numbers: dict[Peer, int] = {}
        self._active: deque[Key] = deque()  # those with something to send, the next one first
        self._answers: dict[Key, Cell] = {}
        self._cast: list[tuple[float, int, Cell]] = []  # a heap of cells to all, each not before its instant
        self._received: deque[Received] = deque()
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._gone_until_s: dict[Peer, float] = {}
        self._restart_at_s: float | None = None
        self._restart_wait_s = RESTART_S_MIN
        self._closed = False
        self._now_s = 0.0

    # What callers of any thread use.

    @property
    def name(self) -> str:
        return self._name

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`."""
        check_message(message)
        with self._lock:
            self._demand_up()
            if self._gone_until_s.get(peer, 0.0) > self._now_s:
                raise PeerGone(Sentence("{address} does not answer on {name}", address=peer, name=self._name))
            outgoing = self._to(peer, urgent)
            if len(outgoing.waiting) >= QUEUED_MAX:
                raise Overloaded(retry_after_ms=1000)
            outgoing.waiting.append(bytes(message))
            if (urgent, peer) not in self._active:
                self._active.append((urgent, peer))
        self.wake()

    def receive(self, timeout_s: float) -> Received | None:
        """See `Line.receive`."""
        with self._arrival:
            if not self._received and timeout_s > 0 and not self._closed:
                self._arrival.wait_for(lambda: self._received or self._closed, timeout_s)
            if self._received:
                return self._received.popleft()
            if self._closed:
                raise LineDown(Sentence("the line {name} is closed", name=self._name))
            return None

    def close(self) -> None:
        """See `Line.close`."""
        with self._arrival:
            if not self._closed:
                self._closed = True
                self._radio.close()
                self._arrival.notify_all()
        self.wake()

    def events(self) -> list[Event]:
        """Return what happened since the last call, oldest first; at most EVENTS_MAX are kept."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
            return events

    def descriptor(self) -> int | None:
        """See `Radio.descriptor`."""
        with self._lock:
            return -1 if self._closed else self._radio.descriptor()

    # The loop.

    def step(self, now_s: float) -> float:
        """See `Stepped.step`."""
        with self._lock:
            self._now_s = now_s = max(now_s, self._now_s)
            if self._closed:
                return NEVER_S
            try:
                if self._restart_at_s is not None and not self._restart(now_s):
                    return self._restart_at_s
                due_s = self._read(now_s)
                due_s = min(due_s, self._move(now_s), self._due(now_s))
                return min(due_s, self._hand_over(now_s), now_s + STEP_AT_LEAST_EVERY_S)
            except LineDown:
                self._went_down(now_s)
                return now_s + self._restart_wait_s

    def _read(self, now_s: float) -> float:
        for _ in range(CELLS_A_STEP_MAX):
            heard = self._radio.receive()
            if heard is None:
                return NEVER_S
            self._hear(heard, now_s)
        return now_s

    def _hear(self, heard: Heard, now_s: float) -> None:
        if not sound(heard.cell):
            self.noise_count += 1
            return
        try:
            cell = parse(heard.cell)
        except FrameBroken:
            self.broken_count += 1
            self._suspect(heard.source, now_s)
            return
        if cell.kind is Kind.NOTICE:
            if self._admits_notice(heard.source):
                self._deliver(heard.source, self._notices_in[cell.urgent].take(cell, now_s).message)
        elif self._admits(heard.source, now_s):
            self._gone_until_s.pop(heard.source, None)
            self._take(heard.source, cell, now_s)

    def _take(self, source: Peer, cell: Cell, now_s: float) -> None:
        key = (cell.urgent, source)
        outgoing = self._outgoing.get(key)
        for each in (outgoing, self._outgoing.get((not cell.urgent, source))):
            if each is not None:
                each.attempts = ATTEMPTS
        if cell.kind is Kind.RECEIVED:
            if outgoing is not None:
                outgoing.take(cell, now_s)
            return
        if len(self._received) >= RECEIVED_MAX:  # not taken, not answered: it comes again
            self.lost_count += 1
            return
        incoming = self._incoming.setdefault(key, Incoming())
        taken: Taken = incoming.take(cell, now_s)
        self._deliver(source, taken.message)
        if taken.answer is not None:
            self._answers[key] = taken.answer

    def _deliver(self, source: Peer, message: bytes | None) -> None:
        if message is None:
            return
        if len(self._received) >= RECEIVED_MAX:
            self.lost_count += 1
            return
        self._received.append(Received(source, message))
        self._arrival.notify_all()

    def _move(self, now_s: float) -> float:
        """Let all transfers do what is due; forget those that have nothing more to do."""
        due_s = NEVER_S
        for key in tuple(self._active):
            outgoing = self._outgoing[key]
            outgoing.step(now_s)
            if outgoing.failed_count:
                self._gave_up(key[1], now_s)
            if outgoing.idle:
                self._active.remove(key)
            else:
                due_s = min(due_s, outgoing.due_s)
        return due_s

    def _gave_up(self, peer: Peer, now_s: float) -> None:
        for urgent in (False, True):
            outgoing = self._outgoing.get((urgent, peer))
            if outgoing is not None:
                outgoing.give_up()
                self.given_up_count += outgoing.failed_count
                outgoing.failed_count = 0
                outgoing.attempts = ATTEMPTS_SILENT
        self._gone_until_s[peer] = now_s + GONE_FOR_S
        self.tell(Event(now_s, What.PEER_SILENT, peer))

    def _hand_over(self, now_s: float) -> float:
        """Give the radio what it has places for, and return when to come back."""
        for key in tuple(self._answers):
            if not self._radio.send(encode(self._answers[key]), key[1]):
                return now_s + FULL_RETRY_S
            del self._answers[key]
        for key, cell in self._turns(urgent=True):
            if not self._send_one(key, cell, now_s):
                return now_s + FULL_RETRY_S
        while self._cast and self._cast[0][0] <= now_s:
            if not self._radio.send(encode(self._cast[0][2]), ALL):
                return now_s + FULL_RETRY_S
            heapq.heappop(self._cast)
        for key, cell in self._turns(urgent=False):
            if not self._send_one(key, cell, now_s):
                return now_s + FULL_RETRY_S
        due_s = min((self._outgoing[key].due_s for key in self._active), default=NEVER_S)
        return min(due_s, self._cast[0][0] if self._cast else NEVER_S)

    def _turns(self, urgent: bool) -> Iterator[tuple[Key, Cell]]:
        """Give one cell of each peer in turn until there is none."""
        idle = 0
        while idle < len(self._active):
            key = self._active[0]
            self._active.rotate(-1)
            cell = self._outgoing[key].next_cell() if key[0] is urgent else None
            if cell is None:
                idle += 1
            else:
                idle = 0
                yield key, cell

    def _send_one(self, key: Key, cell: Cell, now_s: float) -> bool:
        if not self._radio.send(encode(cell), key[1]):
            self._active.rotate(1)  # it keeps its turn
            return False
        self._outgoing[key].handed_over(now_s)
        return True

    # What each end does its own way.

    def _admits(self, _source: Peer, _now_s: float) -> bool:
        raise NotImplementedError

    def _admits_notice(self, _source: Peer) -> bool:
        raise NotImplementedError

    def _suspect(self, _source: Peer, _now_s: float) -> None:
        """Note that somebody sends what nobody ought to."""

    def _due(self, _now_s: float) -> float:
        return NEVER_S

    def tell(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def _to(self, peer: Peer, urgent: bool) -> Outgoing:
        key = (urgent, peer)
        if key not in self._outgoing:
            self._outgoing[key] = Outgoing(urgent, lambda: self._next_number(peer), self._chance)
        return self._outgoing[key]

    def _next_number(self, peer: Peer) -> int:
        if peer not in self._numbers:  # at random: a restarted end must not look like its own past
            self._numbers[peer] = int.from_bytes(self._random(2))
        self._numbers[peer] = (self._numbers[peer] + 1) % NUMBERS
        return self._numbers[peer]

    def _chance(self) -> float:
        return self._random(1)[0] / 255

    # The radio's own troubles.

    def _demand_up(self) -> None:
        if self._closed or self._restart_at_s is not None:
            raise LineDown(Sentence("the line {name} does not work at the moment", name=self._name))

    def _went_down(self, now_s: float) -> None:
        if self._restart_at_s is None:
            self.tell(Event(now_s, What.PORT_DOWN, self.own))
            self._restart_wait_s = RESTART_S_MIN
        self._restart_at_s = now_s + self._restart_wait_s

    def _restart(self, now_s: float) -> bool:
        assert self._restart_at_s is not None
        if now_s < self._restart_at_s:
            return False
        with suppress(LineDown):
            self._radio.restart()
            self._restart_at_s = None
            self.tell(Event(now_s, What.BUS_BACK, self.own))
            return True
        self._restart_wait_s = min(self._restart_wait_s * 2, RESTART_S_MAX)
        self._restart_at_s = now_s + self._restart_wait_s
        return False


def _nobody_waits() -> None:
    """No thread drives this line."""
