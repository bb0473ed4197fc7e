"""The CAN bus as a pure model in virtual time: deterministic, exact to the bit, without clock or thread.

    bus = BusModel(250_000)
    till, head = bus.attach("till 1"), bus.attach("head")
    till.send(Frame(0x18DA0001, b"12345678"))
    bus.advance_by_ns(1_000_000)
    head.receive()   # Arrival(frame, at_ns=…)

Time moves only in `advance_to`. What is sent at one instant meets in one arbitration.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from federation.errors import Misconfigured
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord, What
from hil_rig.virtual.can_bus.attempt import Attempt, Outcome, WireEvent
from hil_rig.virtual.can_bus.confinement import RECOVERY_RUNS
from hil_rig.virtual.can_bus.medium import Medium
from hil_rig.virtual.can_bus.node import (
    NEVER_NS,
    RECEIVE_QUEUE_FRAMES,
    SEND_QUEUE_FRAMES,
    CanNode,
    Told,
)

SECOND_NS: Final = 1_000_000_000
MAIN: Final = 0  # the piece of cable that everything hangs on
BEYOND_CUT: Final = 1


class BusModel:
    """A bus, its cable and the nodes on it.

    Args:
        bitrate: bits per second; must divide 10^9 so that time stays exact.
        name: the place of faults that hit everybody; a fault at a node has the node's name as its place.
        faults: what is broken on purpose: BIT_ERROR (`size` chooses the bit) or FRAME_LOST (a receiver's
            controller drops it after acknowledging), counted in frames begun, repetitions included.
        trace: told of every attempt, in order.
    """

    def __init__(
        self,
        bitrate: int = 250_000,
        name: str = "can0",
        *,
        faults: FaultRecord | None = None,
        trace: Callable[[WireEvent], None] | None = None,
    ) -> None:
        if bitrate <= 0 or SECOND_NS % bitrate:
            raise Misconfigured(f"{bitrate} bit/s: a bit must last whole nanoseconds")
        self.bitrate = bitrate
        self.bit_ns = SECOND_NS // bitrate
        self.name = name
        self.trace = trace
        self.now_ns = 0
        self.busy_ns = 0  # frames, error frames and their intermissions on the main piece
        self.frames_begun = 0
        self.frames_sent = 0
        self.nodes: dict[str, CanNode] = {}
        self._cable = {MAIN: Medium(self), BEYOND_CUT: Medium(self)}
        self._media = [self._cable[MAIN]]  # that anything hangs on, or ever did
        self._shorted = self._held_dominant = False
        self._faults = faults or FaultRecord(FaultPlan(0, ()))
        self._due: dict[str, dict[int, list[Fault]]] = {}  # by place and by number of the frame there
        self._counted: Counter[str] = Counter()
        for fault in self._faults.plan.faults:
            if fault.what in (What.BIT_ERROR, What.FRAME_LOST) and fault.counted is Counted.FRAME:
                self._due.setdefault(fault.place, {}).setdefault(fault.nth, []).append(fault)

    # Nodes.

    def attach(
        self,
        name: str,
        *,
        listen_only: bool = False,
        send_queue_frames: int = SEND_QUEUE_FRAMES,
        receive_queue_frames: int = RECEIVE_QUEUE_FRAMES,
        told: Told | None = None,
    ) -> CanNode:
        """Connect a new node; at the very beginning it takes part at once, later after 11 bits.

        Args:
            listen_only: it neither sends nor acknowledges, and disturbs nothing.
            told: called with all that arrives, own frames and notices included, instead of queueing it.
        """
        if name in self.nodes:
            raise Misconfigured(f"{self.name} has a node of the name {name!r}")
        node = CanNode(
            self,
            name,
            listen_only=listen_only,
            send_queue_frames=send_queue_frames,
            receive_queue_frames=receive_queue_frames,
            told=told,
        )
        self.nodes[name] = node
        self._cable[MAIN].join(node, self.now_ns)
        if not self.now_ns:
            node.synchronised_ns = 0
        return node

    def detach(self, node: CanNode) -> None:
        """Take a node off the bus for good."""
        node.stuck = False
        node.medium.leave(node, self.now_ns)
        if node.medium not in self._cable.values():
            self._media.remove(node.medium)
        del self.nodes[node.name]
        self._hold()

    # Time.

    @property
    def next_ns(self) -> int | None:
        """When something will happen next, if nobody does anything until then; None = never."""
        next_ns = min(medium.next_ns for medium in self._media)
        return None if next_ns >= NEVER_NS else next_ns

    def advance_to(self, now_ns: int) -> None:
        """Let everything happen up to and including this instant. Going back is ignored."""
        media = self._media
        while True:
            medium = min(media, key=_next_of) if len(media) > 1 else media[0]
            next_ns = medium.next_ns
            if next_ns > now_ns:
                break
            self.now_ns = max(self.now_ns, next_ns)
            medium.happen(next_ns)
        self.now_ns = max(self.now_ns, now_ns)

    def advance_by_ns(self, elapsed_ns: int) -> None:
        """Let this much time pass."""
        self.advance_to(self.now_ns + elapsed_ns)

    def advance_by_bits(self, bits: int) -> None:
        """Let so many bit times pass."""
        self.advance_to(self.now_ns + bits * self.bit_ns)

    def advance_until_quiet(self, limit_ns: int) -> bool:
        """Let time pass until nothing is on its way any more, at most limit_ns; tell whether that is so."""
        end_ns = self.now_ns + limit_ns
        while (next_ns := self.next_ns) is not None and next_ns <= end_ns:
            self.advance_to(next_ns)
        return self.next_ns is None

    # Hands at the cabling.

    def move(self, node: CanNode, *, plugged: bool) -> None:
        """Pull or put a node's plug."""
        if plugged != node.plugged:
            node.plugged = plugged
            self._connect(node)

    def cut(self, names: Iterable[str]) -> None:
        """Cut the cable: these nodes stay together on the far piece. `mend` joins both."""
        for name in names:
            self.nodes[name].segment = BEYOND_CUT
            self._connect(self.nodes[name])

    def mend(self) -> None:
        """Join the pieces of the cable again."""
        for node in self.nodes.values():
            if node.segment != MAIN:
                node.segment = MAIN
                self._connect(node)

    def short(self, *, dominant: bool = False) -> None:
        """Short the main piece: no dominant bit gets through, or (`dominant`) nothing else does."""
        self._shorted, self._held_dominant = not dominant, dominant
        self._hold()

    def repair(self) -> None:
        """End the short."""
        self._shorted = self._held_dominant = False
        self._hold()

    def stick(self, node: CanNode, stuck: bool) -> None:
        """Let a node's transmitter hold its piece of wire dominant, or heal it."""
        node.stuck = stuck
        self._hold()

    @property
    def load(self) -> float:
        """Which part of the time so far the bus was busy, 0 to 1."""
        return self.busy_ns / self.now_ns if self.now_ns else 0.0

    # Asked by nodes and media.

    def disturb(self, node: CanNode) -> None:
        """Bring a node's medium up to now: something changes there."""
        node.medium.settle(self.now_ns)

    def begin_recovery(self, node: CanNode) -> None:
        """Let a node that is off begin to count recessive runs, if it does not already."""
        if node.counters.bus_off and not node.recovery_runs_left:
            node.recovery_runs_left = RECOVERY_RUNS
            node.medium.watch_for_recovery(node, self.now_ns)

    def due_faults(self, attempt: Attempt) -> list[Fault]:
        """Count a frame at every place that takes part and return the faults that fall on it."""
        if not self._due:
            return []
        due: list[Fault] = []
        taking_part = [node.name for node, _ in attempt.senders] + [node.name for node in attempt.listeners]
        for place in [self.name, *taking_part]:
            if place in self._due:
                self._counted[place] += 1
                due += self._due[place].get(self._counted[place], ())
        return due

    def record(self, attempt: Attempt) -> None:
        """Note how an attempt ended."""
        for fault in attempt.faults:
            self._faults.fired(fault)
        self.busy_ns += attempt.free_ns - attempt.start_ns
        self.frames_sent += attempt.outcome is Outcome.SENT
        if self.trace and attempt.senders:
            senders = tuple(node.name for node, _ in attempt.senders)
            frame = attempt.senders[0][1].frame
            self.trace(WireEvent(attempt.end_ns, attempt.start_ns, attempt.outcome, frame, senders))

    def _connect(self, node: CanNode) -> None:
        old = node.medium
        old.leave(node, self.now_ns)
        if old not in self._cable.values():
            self._media.remove(old)
        medium = self._cable[node.segment] if node.plugged else Medium(self)
        if medium not in self._media:
            self._media.append(medium)
        medium.join(node, self.now_ns)
        self._hold()

    def _hold(self) -> None:
        for medium in list(self._media):
            main = medium is self._cable[MAIN]
            stuck = any(node.stuck for node in medium.nodes)
            dominant = stuck or (main and self._held_dominant)
            medium.take(self.now_ns, dominant=dominant, shorted=main and self._shorted)


def bit_error_plan(
    seed: int, places: Iterable[str], *, frames: int, rate: float, what: What = What.BIT_ERROR
) -> FaultPlan:
    """Return a plan in which each of the first `frames` frames at each place fails with probability `rate`.

    Which bit of the frame is hit comes from the seed as well; `what` may be FRAME_LOST instead. None of them
    must fire: how many frames there will be depends on the repetitions.
    """
    rng = random.Random(f"bit errors {seed}")  # noqa: S311 - repeatable, not secret
    faults = [
        Fault(place, what, Counted.FRAME, nth, rng.randrange(1 << 16), must_fire=False)
        for place in places
        for nth in range(1, frames + 1)
        if rng.random() < rate
    ]
    return FaultPlan(seed, tuple(faults))


def _next_of(medium: Medium) -> int:
    return medium.next_ns
