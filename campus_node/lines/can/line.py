"""One end of a CAN bus: one loop over a dict by address, driven step by step (B4.1, B4.3).

`step` reads what the controller received, moves the transfers and the services, and hands over what is to be
sent, most urgent first. It never blocks, never reads a clock, and no frame of anybody makes it raise.
"""

import heapq
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from campus_node.lines.can.bus_off import BackOff
from campus_node.lines.can.ids import Frame, Functional, Multicast, Physical, Priority, Signalled, meaning
from campus_node.lines.can.port import CanPort, Controller
from campus_node.lines.can.transfer import NEVER_S, Transfer
from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import Peer, Received, check_message
from campus_node.wording import Sentence
from federation.errors import Overloaded

FRAMES_A_STEP_MAX: Final = 2000
QUEUED_MAX: Final = 64  # messages to one peer
RECEIVED_MAX: Final = 4096
EVENTS_MAX: Final = 1000
TO_SEND_MAX: Final = 100_000  # frames; the longest messages to all terminals of a bus at once
GONE_FOR_S: Final = 5.0  # so long nothing is sent to a peer that did not answer, unless it is heard
STEP_AT_LEAST_EVERY_S: Final = 0.5
IN_FLIGHT_MAX: Final = 8  # frames in the controller, where it says what was sent
CONFIRMED_WITHIN_S: Final = 1.0

_FLOW_CONTROL: Final = 3

Post = Callable[[Frame], None]


class Service(Protocol):
    """What lives on a bus beside the transfers: time, heartbeats, multicast. Called by the loop only."""

    def take(self, frame: Frame, now_s: float, /) -> None:
        """Take a received frame of class P3 or P7. Raise nothing."""

    def sent(self, frame: Frame, now_s: float, /) -> None:
        """Learn that a frame was handed over; again, if the controller says when it was on the wire."""

    def step(self, now_s: float, post: Post, /) -> float:
        """Do what is due and return when to be called again."""


class CanLine:
    """What both ends have in common; see `HeadLine` and `TerminalLine`.

    Args:
        name: what people call it, for example `can0`.
        port: its controller.
        own: this end's address.
        answer_within_s: how long a peer may take to let a message in.
        attempts: how often a message is begun before its peer counts as gone.
        pause_s: the longest silence between two frames of a message.
        spread: see `BackOff`.
    """

    def __init__(
        self,
        name: str,
        port: CanPort,
        own: Peer,
        *,
        answer_within_s: float,
        attempts: int,
        pause_s: float = 1.0,
        spread: float = 0.0,
    ) -> None:
        self.own = own
        self.foreign_count = 0
        self.lost_count = 0  # messages for which nobody had room
        self.wake: Callable[[], None] = _nobody_waits
        self._name = name
        self._port = port
        self._limits = {"answer_within_s": answer_within_s, "pause_s": pause_s, "attempts": attempts}
        self._lock = threading.RLock()
        self._arrival = threading.Condition(self._lock)
        self._transfers: dict[tuple[Priority, int], Transfer] = {}
        self._under_way: dict[tuple[Priority, int], float] = {}
        self._followed: dict[int, Transfer] = {}  # by identifier: in the middle of a message, all in order
        self._asked: deque[tuple[Priority, int, bytes]] = deque()
        self._to_send: list[tuple[int, int, Frame]] = []
        self._in_flight: deque[tuple[int, float]] = deque()
        self._confirms = False
        self._posted = 0
        self._received: deque[Received] = deque()
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._services: list[Service] = []
        self._gone_until_s: dict[int, float] = {}
        self.back_off = BackOff(spread)
        self._closed = False
        self._now_s = 0.0

    # What callers of any thread use.

    @property
    def name(self) -> str:
        return self._name

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`; urgent messages go in class P2, all others in P6."""
        check_message(message)
        priority = Priority.P2 if urgent else Priority.P6
        with self._lock:
            self._demand_up()
            self._demand_there(peer)
            transfer = self._transfers.get((priority, peer))
            queued = len(transfer.waiting) if transfer else 0
            if queued + sum(1 for asked in self._asked if asked[:2] == (priority, peer)) >= QUEUED_MAX:
                raise Overloaded(retry_after_ms=100)
            self._asked.append((priority, peer, bytes(message)))
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
                self._port.close()
                self._arrival.notify_all()
        self.wake()

    def attach(self, service: Service) -> None:
        """Let a service live on this bus."""
        with self._lock:
            self._services.append(service)
        self.wake()

    def detach(self, service: Service) -> None:
        """Take a service off."""
        with self._lock:
            self._services.remove(service)

    def descriptor(self) -> int | None:
        """See `CanPort.descriptor`."""
        with self._lock:
            return self._port.descriptor()

    def events(self) -> list[Event]:
        """Return what happened since the last call, oldest first; at most EVENTS_MAX are kept."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
            return events

    # The loop.

    def step(self, now_s: float) -> float:
        """See `Stepped.step`."""
        with self._lock:
            self._now_s = now_s = max(now_s, self._now_s)
            if self._closed:
                return NEVER_S
            again = self._read(now_s)
            self._watch_controller(now_s)
            while self._asked:
                self._begin(*self._asked.popleft(), now_s)
            due_s = self._move_transfers(now_s)
            due_s = min(due_s, self._due(now_s), self.back_off.due_s, now_s + STEP_AT_LEAST_EVERY_S)
            if again:
                due_s = now_s
            for service in tuple(self._services):
                due_s = min(due_s, service.step(now_s, self._post))
            self._hand_over(now_s)
            return due_s

    def tell(self, event: Event) -> None:
        """Add an event; services tell theirs here too."""
        self._events.append(event)

    def _watch_controller(self, now_s: float) -> None:
        controller = self._port.controller
        if controller is Controller.ON:
            if self.back_off.off:
                self.back_off.came_back(now_s)
                self.tell(Event(now_s, What.BUS_BACK, self.own, self.back_off.count))
                for key, transfer in self._transfers.items():
                    transfer.resume(now_s)
                    self._note(key, transfer, now_s)
        elif not self.back_off.off:
            self.back_off.went_off(now_s)
            self._to_send.clear()
            self._in_flight.clear()
            self._under_way.clear()
            for transfer in self._transfers.values():
                transfer.reset()
            what = What.BUS_OFF if controller is Controller.OFF else What.PORT_DOWN
            self.tell(Event(now_s, what, self.own, self.back_off.count))
        elif self.back_off.due(now_s):
            self._port.restart()

    def _read(self, now_s: float) -> bool:
        """Take what arrived and return whether there may be more."""
        for _ in range(FRAMES_A_STEP_MAX):
            arrived = self._port.receive()
            if arrived is None:
                return False
            followed = self._followed.get(arrived.frame.can_id)
            if followed is not None and not arrived.own and followed.follow(arrived.frame, now_s):
                continue  # most frames of a full bus
            about = meaning(arrived.frame.can_id)
            if arrived.own:
                self._confirm(arrived.frame)
                for service in self._services:
                    service.sent(arrived.frame, now_s)
            elif about is None:
                self._count_foreign(now_s)
            else:
                self._take(arrived.frame, about, now_s)
        return True

    def _take(self, frame: Frame, about: Physical | Functional | Signalled | Multicast, now_s: float) -> None:
        raise NotImplementedError  # each end hears different things

    def _due(self, _now_s: float) -> float:
        return NEVER_S

    def _begin(self, priority: Priority, peer: int, message: bytes, now_s: float) -> None:
        transfer = self._transfer(priority, peer)
        transfer.send(message, now_s)
        self._note((priority, peer), transfer, now_s)

    def _transfer(self, priority: Priority, peer: int) -> Transfer:
        transfer = self._transfers.get((priority, peer))
        if transfer is None:
            transfer = Transfer(priority, self.own, peer, self._post, **self._limits)  # type: ignore[arg-type]  # three names, three types
            self._transfers[priority, peer] = transfer
        return transfer

    def _feed(self, transfer: Transfer, key: tuple[Priority, int], frame: Frame, now_s: float) -> None:
        transfer.take(frame, now_s)
        self._gone_until_s.pop(key[1], None)
        if transfer.follows:
            self._followed[frame.can_id] = transfer
        else:
            self._followed.pop(frame.can_id, None)
        while transfer.received:
            self._deliver(Received(Peer(key[1]), transfer.received.popleft()))
        self._note(key, transfer, now_s)

    def _deliver(self, received: Received) -> None:
        if len(self._received) >= RECEIVED_MAX:
            self.lost_count += 1
            return
        self._received.append(received)
        self._arrival.notify_all()

    def _note(self, key: tuple[Priority, int], transfer: Transfer, now_s: float) -> None:
        due_s = transfer.step(now_s)
        if due_s == NEVER_S:
            self._under_way.pop(key, None)
        else:
            self._under_way[key] = due_s
        if transfer.failed_count:
            transfer.failed_count = 0
            transfer.waiting.clear()
            transfer.reset()
            self._under_way.pop(key, None)
            self._gone_until_s[key[1]] = now_s + GONE_FOR_S
            self.tell(Event(now_s, What.PEER_SILENT, key[1]))

    def _move_transfers(self, now_s: float) -> float:
        for key in [key for key, due_s in self._under_way.items() if due_s <= now_s]:
            self._note(key, self._transfers[key], now_s)
        return min(self._under_way.values(), default=NEVER_S)

    def _post(self, frame: Frame) -> None:
        if len(self._to_send) >= TO_SEND_MAX:
            return  # the bus has not taken anything for long; whoever needs an answer repeats
        self._posted += 1
        heapq.heappush(self._to_send, (_rank(frame), self._posted, frame))

    def _hand_over(self, now_s: float) -> None:
        """Give the controller what it may have.

        A controller sends the lowest of its identifiers first, so that a head that gave it all would let the
        highest terminals starve. Where it says what was sent, it gets the next identifier only then.
        """
        while self._to_send:
            rank, _, frame = self._to_send[0]
            if not self._has_room(rank, frame, now_s) or not self._port.send(frame):
                return
            heapq.heappop(self._to_send)
            if self._confirms:
                self._in_flight.append((frame.can_id, now_s + CONFIRMED_WITHIN_S))
            for service in self._services:
                service.sent(frame, now_s)

    def _has_room(self, rank: int, frame: Frame, now_s: float) -> bool:
        while self._in_flight and self._in_flight[0][1] <= now_s:
            self._in_flight.popleft()
        if not self._in_flight:
            return True
        last_id = self._in_flight[-1][0]
        alike = last_id == frame.can_id or (rank == Priority.P7 and last_id >> 20 == frame.can_id >> 20)
        return alike and len(self._in_flight) < IN_FLIGHT_MAX

    def _confirm(self, frame: Frame) -> None:
        self._confirms = True
        for entry in self._in_flight:
            if entry[0] == frame.can_id:
                self._in_flight.remove(entry)
                return

    def _count_foreign(self, now_s: float) -> None:
        self.foreign_count += 1
        if self.foreign_count & (self.foreign_count - 1) == 0:  # the first, and each time it has doubled
            self.tell(Event(now_s, What.FOREIGN, 0xFF, self.foreign_count))

    def _demand_up(self) -> None:
        if self._closed or self.back_off.off or self._port.controller is not Controller.ON:
            raise LineDown(Sentence("the line {name} does not work at the moment", name=self._name))

    def _demand_there(self, peer: int) -> None:
        if self._gone_until_s.get(peer, 0.0) > self._now_s:
            raise PeerGone(Sentence("{address} does not answer on {name}", address=peer, name=self._name))


def _rank(frame: Frame) -> int:
    """Order frames that wait: by class, and flow control before what it does not depend on."""
    about = meaning(frame.can_id)
    assert about is not None, "only our own identifiers are sent"
    match about:
        case Physical(priority=Priority.P6):
            return 4 if frame.payload[0] >> 4 == _FLOW_CONTROL else 6
        case Physical() | Functional():
            return int(about.priority)
        case Signalled():
            return int(Priority.P3)
        case Multicast():
            return int(Priority.P7)


def _nobody_waits() -> None:
    """No thread drives this line."""
