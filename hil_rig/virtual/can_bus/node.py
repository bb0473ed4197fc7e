"""One controller on the bus: its queues, acceptance filters and counters. The model moves it."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from hil_rig.virtual.can_bus.confinement import ErrorCounters, State
from hil_rig.virtual.can_bus.frame import Frame, arbitration_key

if TYPE_CHECKING:
    from hil_rig.virtual.can_bus.medium import Medium
    from hil_rig.virtual.can_bus.model import BusModel

SEND_QUEUE_FRAMES: Final = 128
RECEIVE_QUEUE_FRAMES: Final = 4096
NEVER_NS: Final = 1 << 62


class BusOff(Exception):
    """The controller has left the bus; nothing is sent until it has recovered."""


class QueueFull(Exception):
    """No place for another frame to send."""


class Filter(NamedTuple):
    """An acceptance filter: passes identifiers that agree with `identifier` where `mask` has ones."""

    identifier: int
    mask: int
    extended: bool | None = None  # None = both kinds


class Arrival(NamedTuple):
    """A frame that was on the wire. `own`: sent by this node."""

    frame: Frame
    at_ns: int  # end of frame
    own: bool = False


class NoticeKind(StrEnum):
    STATE = "state"  # active, passive or off the bus now
    RECOVERED = "recovered"  # back after bus-off
    OVERRUN = "overrun"  # a frame was lost because nobody emptied the receive queue


class Notice(NamedTuple):
    """What a controller reports about itself."""

    kind: NoticeKind
    at_ns: int
    state: State
    transmit_errors: int
    receive_errors: int


class Entry(NamedTuple):
    """A frame that waits to be sent; the smallest is the next."""

    key: int
    sequence: int
    frame: Frame


Item = Arrival | Notice
Told = Callable[["CanNode", Item], None]


class CanNode:
    """A controller with a transceiver and a plug. Made by `BusModel.attach`.

    Frames are sent in the order of their identifiers, those of one identifier in the order of `send`.
    """

    def __init__(
        self,
        model: "BusModel",
        name: str,
        *,
        listen_only: bool,
        send_queue_frames: int,
        receive_queue_frames: int,
        told: Told | None,
    ) -> None:
        self.model = model
        self.name = name
        self.listen_only = listen_only  # receives, but neither sends, acknowledges nor flags errors
        self.receive_own = False
        self.counters = ErrorCounters()
        self.counts: Counter[str] = (
            Counter()
        )  # sent, received, lost_arbitration, errors, attempts, overruns …
        self._filters: tuple[Filter, ...] = ()
        self.queue: list[Entry] = []  # a heap: the first is the next
        self._sequence = 0
        self._send_queue_frames = send_queue_frames
        self._received: deque[Item] = deque()
        self._receive_queue_frames = receive_queue_frames
        self._told = told
        # Moved by the model:
        self.plugged = True
        self.segment = 0
        self.stuck = False  # its transmitter holds the wire dominant
        self.synchronised_ns = 0  # takes part in frames that begin from then on
        self.ready_ns = 0  # since when something waits
        self.may_send_ns = 0
        self.recovery_runs_left = 0
        self.recovery_from_ns = NEVER_NS
        self.medium: Medium
        self._announced = State.ACTIVE

    # What software asks of its controller.

    def send(self, frame: Frame) -> None:
        """Queue a frame; the controller repeats it until it was sent or the node is off the bus.

        Raises:
            ValueError: no such frame exists, or the node only listens.
            BusOff: it has left the bus, and nobody made it recover.
            QueueFull: as many frames wait as it has places.
        """
        frame.demand_valid()
        if self.listen_only:
            raise ValueError(f"{self.name} only listens")
        if self.counters.bus_off:
            raise BusOff(self.name)
        if len(self.queue) >= self._send_queue_frames:
            raise QueueFull(self.name)
        self.model.disturb(self)
        if not self.queue:
            self.ready_ns = self.model.now_ns
        self._sequence += 1
        heapq.heappush(self.queue, Entry(arbitration_key(frame), self._sequence, frame))

    def receive(self) -> Item | None:
        """Return the oldest frame or notice that nobody has taken yet; None if there is none."""
        return self._received.popleft() if self._received else None

    def recover(self) -> None:
        """Begin to count the 128 runs of 11 recessive bits after which a node that is off may send again."""
        self.model.begin_recovery(self)

    def set_filters(self, filters: Sequence[Filter]) -> None:
        """Let only frames through that pass one of these; none = all."""
        self._filters = tuple(filters)

    def flush(self) -> int:
        """Forget what waits to be sent, except a frame on the wire; return how many were forgotten."""
        self.model.disturb(self)
        on_wire = [entry for node, entry in self.medium.senders if node is self]
        lost = len(self.queue) - len(on_wire)
        self.queue = on_wire
        return lost

    @property
    def waiting(self) -> int:
        """How many frames wait to be sent, the one on the wire included."""
        return len(self.queue)

    @property
    def state(self) -> State:
        return self.counters.state

    # What hands at the cabling do.

    def unplug(self) -> None:
        """Pull this node's plug."""
        self.model.move(self, plugged=False)

    def plug(self) -> None:
        """Put the plug back; the node takes part after 11 bits."""
        self.model.move(self, plugged=True)

    def stick(self, stuck: bool = True) -> None:
        """Let its transmitter hold the wire dominant, or heal it."""
        self.model.stick(self, stuck)

    # What the model does with it.

    def frame_sent(self, entry: Entry, at_ns: int) -> None:
        if self.queue and self.queue[0] is entry:
            heapq.heappop(self.queue)
        else:  # something more urgent came meanwhile
            self.queue = [other for other in self.queue if other is not entry]
            heapq.heapify(self.queue)
        self.counts["sent"] += 1
        self.counters.sent()
        if self._told or self.receive_own:
            self.deliver(Arrival(entry.frame, at_ns, own=True))

    def frame_received(self, frame: Frame, at_ns: int, stored: bool) -> None:
        self.counts["received"] += 1
        counters = self.counters
        if counters.receive:
            counters.received()
            self.account(at_ns)
        if not stored:
            self.counts["lost"] += 1
        elif self._passes(frame):
            self.deliver(Arrival(frame, at_ns))

    def _passes(self, frame: Frame) -> bool:
        if not self._filters:
            return True
        number, kind = frame.identifier, frame.extended
        for identifier, mask, extended in self._filters:
            if (number ^ identifier) & mask == 0 and (extended is None or extended == kind):
                return True
        return False

    def deliver(self, item: Item) -> None:
        if self._told:
            self._told(self, item)
        elif len(self._received) < self._receive_queue_frames:
            self._received.append(item)
        else:
            self.counts["overruns"] += 1

    def account(self, at_ns: int) -> None:
        """Report a change of state; a node that has left the bus forgets what it would have sent."""
        state = self.counters.state
        if state is not self._announced:
            self._announced = state
            if state is State.BUS_OFF:
                self.counts["bus_off"] += 1
                self.flush()
            self.notice(NoticeKind.STATE, at_ns)

    def recovered(self, at_ns: int) -> None:
        self.recovery_runs_left, self.recovery_from_ns = 0, NEVER_NS
        self.counters.recover()
        self._announced = State.ACTIVE
        self.notice(NoticeKind.RECOVERED, at_ns)

    def notice(self, kind: NoticeKind, at_ns: int) -> None:
        counters = self.counters
        self.deliver(Notice(kind, at_ns, counters.state, counters.transmit, counters.receive))
