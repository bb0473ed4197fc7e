"""One joined piece of wire: who may send, who wins, what a fault does to a frame, bit by bit.

A bus whose cable is cut, or a node whose plug is pulled, makes several of them. Everything is decided when a
frame begins; the medium then waits for one instant, the end of the frame or the bit that was found wrong.

What is simplified, in one place: nodes that begin within the same bit time but not in the same nanosecond do
not meet; a transmitter whose plug is pulled within a frame begins it anew on its own piece, uncounted; bit
errors by plan fall after the arbitration field; all nodes have the same bit rate.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hil_rig.faults import Fault, What
from hil_rig.virtual.can_bus.attempt import FLAG_BITS, Attempt, Outcome, flag_bits
from hil_rig.virtual.can_bus.confinement import PASSIVE_AT, PENALTY, RECOVERY_RUN_BITS, State
from hil_rig.virtual.can_bus.frame import INTERMISSION_BITS, TRAILER_BITS, Frame, stuffed_bits, stuffed_length
from hil_rig.virtual.can_bus.node import NEVER_NS, CanNode, Entry

if TYPE_CHECKING:
    from hil_rig.virtual.can_bus.model import BusModel

DELIMITER_BITS: Final = 8
SUSPEND_BITS: Final = 8  # more, before a passive node sends again
DOMINANT_TICK_BITS: Final = 8
AFTER_ARBITRATION: Final = {False: 16, True: 41}  # where planned errors begin; by extended, fully stuffed
NO_KEY: Final = 1 << 32


class Medium:
    """A piece of wire and the nodes on it."""

    def __init__(self, model: "BusModel") -> None:
        self.model = model
        self.nodes: list[CanNode] = []
        self.recovering: list[CanNode] = []
        self.attempt: Attempt | None = None
        self.free_ns = 0
        self.shorted = False  # no dominant bit gets through
        self.tick_ns = NEVER_NS  # of a wire held dominant
        self._dominant = False
        self._ticks = 0
        self._held: CanNode | None = None  # who was sending when the wire was taken
        self._futile: int | None = None  # period of a lone passive node's attempts, which change nothing

    @property
    def next_ns(self) -> int:
        """When something happens here next. A frame begins 1 ns earlier than told, so that all meet in it."""
        if self.attempt:
            return self.attempt.end_ns
        if self._dominant:
            return self.tick_ns
        return min(self._recovery_ns(), self._start_ns() + 1)

    def happen(self, at_ns: int) -> None:
        """Do what falls on this instant, as told by `next_ns`."""
        if self.attempt:
            self._conclude(self.attempt)
        elif self._dominant:
            self._tick(at_ns)
        elif self._recovery_ns() <= at_ns:
            for node in [node for node in self.recovering if self._recovered_at(node) <= at_ns]:
                self.recovering.remove(node)
                node.recovered(at_ns)
        else:
            self._begin(at_ns - 1)

    @property
    def senders(self) -> list[tuple[CanNode, Entry]]:
        """Who is sending what right now."""
        return self.attempt.senders if self.attempt else []

    def settle(self, now_ns: int) -> None:
        """Catch up with a lone node's vain attempts, before anything changes."""
        if self._futile is None:
            return
        period_ns, self._futile = self._futile, None
        sender = next(node for node in self.nodes if node.waiting)
        start_ns = max(self.free_ns, sender.may_send_ns)
        done = max(0, now_ns - start_ns) // period_ns
        sender.counts["attempts"] += done
        sender.counts["errors"] += done
        self.free_ns = sender.may_send_ns = start_ns + done * period_ns
        if self.free_ns < now_ns:
            self._begin(self.free_ns)

    # Beginning.

    def _start_ns(self) -> int:
        if self._futile is not None:
            return NEVER_NS
        start_ns = NEVER_NS
        for node in self.nodes:
            if node.queue:
                start_ns = min(start_ns, max(node.ready_ns, node.may_send_ns, node.synchronised_ns))
        return max(start_ns, self.free_ns)

    def _begin(self, start_ns: int) -> None:
        for node in self.recovering:
            self._spend(node, start_ns)
        listeners = [n for n in self.nodes if n.synchronised_ns <= start_ns and not n.counters.bus_off]
        contenders: list[CanNode] = []
        key = NO_KEY
        for node in listeners:
            if node.queue and node.ready_ns <= start_ns and node.may_send_ns <= start_ns:
                contenders.append(node)
                key = min(key, node.queue[0].key)
        senders: list[tuple[CanNode, Entry]] = []
        for node in contenders:
            if node.queue[0].key == key:
                senders.append((node, node.queue[0]))
                listeners.remove(node)
                node.counts["attempts"] += 1
            else:
                node.counts["lost_arbitration"] += 1
        frame = senders[0][1].frame
        attempt = Attempt(start_ns, senders, listeners, stuffed_length(frame))
        self.attempt = attempt
        self.model.frames_begun += 1
        if self.shorted:
            self._fail_in_short(attempt, contenders)
            return
        if len(senders) > 1 and any(entry.frame != frame for _, entry in senders) and self._collide(attempt):
            return
        for fault in self.model.due_faults(attempt):
            if self._strike(attempt, fault):
                return
        self._acknowledge(attempt)

    def _acknowledge(self, attempt: Attempt) -> None:
        """Let the frame run to its end, or to the acknowledgement that nobody gives."""
        if any(not node.listen_only and node not in attempt.receive_errors for node in attempt.listeners):
            attempt.end_ns = attempt.start_ns + (attempt.stuffed + TRAILER_BITS) * self.model.bit_ns
            attempt.free_ns = attempt.end_ns + INTERMISSION_BITS * self.model.bit_ns
            return
        senders = [node for node, _ in attempt.senders]
        self._fail(attempt, Outcome.NOT_ACKNOWLEDGED, attempt.stuffed + 1, FLAG_BITS)
        # A passive node whose flag nobody answers does not count this: alone, it never leaves the bus.
        attempt.transmit_errors = {node: int(node.state is State.ACTIVE) for node in senders}

    def _fail(self, attempt: Attempt, outcome: Outcome, bit: int, flags: int) -> None:
        """Have the frame fail at this bit of it, counted from 0, with so many bits of error flags."""
        attempt.outcome = outcome
        attempt.end_ns = attempt.start_ns + (bit + 1) * self.model.bit_ns
        attempt.free_ns = attempt.end_ns + (flags + DELIMITER_BITS + INTERMISSION_BITS) * self.model.bit_ns

    # What goes wrong.

    def _strike(self, attempt: Attempt, fault: Fault) -> bool:
        """Apply a planned fault; tell whether the frame fails by it."""
        receiver = next((node for node in attempt.listeners if node.name == fault.place), None)
        attempt.faults.append(fault)
        if fault.what is What.FRAME_LOST:
            attempt.not_stored |= {receiver} if receiver else set(attempt.listeners)
            return False
        bits = stuffed_bits(attempt.senders[0][1].frame)
        first = AFTER_ARBITRATION[attempt.senders[0][1].frame.extended]
        first = min(first, len(bits) - 1)
        bit = first + fault.size % (len(bits) - first)
        seen = bits[:bit] + ("1" if bits[bit] == "0" else "0")
        if receiver:
            return self._strike_receiver(attempt, receiver, bits, seen)
        active = any(node.state is State.ACTIVE for node, _ in attempt.senders)
        self._fail(attempt, Outcome.BIT_ERROR, bit, flag_bits(seen, active, _any_active(attempt.listeners)))
        attempt.transmit_errors = {node: 1 for node, _ in attempt.senders}
        attempt.receive_errors = attempt.listeners
        return True

    def _strike_receiver(self, attempt: Attempt, receiver: CanNode, bits: str, seen: str) -> bool:
        if (
            receiver.state is State.PASSIVE or receiver.listen_only
        ):  # its flag disturbs nobody: it alone loses
            attempt.receive_errors.append(receiver)
            return False
        others = [node for node in attempt.listeners if node is not receiver]
        view, found = seen + bits[len(seen) :], len(seen) - 1
        while found < len(view) and len(set(view[found - 5 : found + 1])) > 1:
            found += 1
        if found < len(view):  # six equal bits
            flags = flag_bits(bits[: found + 1], True, True)
        elif not any(not node.listen_only for node in others):
            attempt.receive_errors.append(receiver)  # and nobody acknowledges
            return False
        else:  # a wrong checksum, flagged after the acknowledgement's delimiter; the others see it at once
            found, flags = len(view) + 2, 1 + FLAG_BITS
        self._fail(attempt, Outcome.RECEIVER_ERROR, found, flags)
        attempt.transmit_errors = {node: 1 for node, _ in attempt.senders}
        attempt.receive_errors, attempt.first = attempt.listeners, receiver
        return True

    def _collide(self, attempt: Attempt) -> bool:
        """Let several senders of one identifier differ; tell whether that destroyed the frame."""
        wires = {node: stuffed_bits(entry.frame) for node, entry in attempt.senders}
        while len(set(wires.values())) > 1:
            bit = next(i for i, kinds in enumerate(zip(*wires.values(), strict=False)) if len(set(kinds)) > 1)
            surprised = [node for node, bits in wires.items() if bits[bit] == "1"]
            seen = next(bits for bits in wires.values() if bits[bit] == "0")[: bit + 1]
            if _any_active(surprised):
                others = _any_active([*attempt.listeners, *(set(wires) - set(surprised))])
                self._fail(attempt, Outcome.COLLISION, bit, flag_bits(seen, True, others))
                attempt.transmit_errors = dict.fromkeys(wires, 1)
                attempt.receive_errors = attempt.listeners
                return True
            for node in surprised:  # passive: it counts the error and gives way
                attempt.transmit_errors[node] = 1
                del wires[node]
        attempt.senders = [(node, entry) for node, entry in attempt.senders if node in wires]
        attempt.stuffed = len(next(iter(wires.values())))
        return False

    def _fail_in_short(self, attempt: Attempt, contenders: Sequence[CanNode]) -> None:
        """Nobody sees a dominant bit, not even its own: every sender fails at once, and so do its flags."""
        steps = 1
        for node in contenders:
            missing = PASSIVE_AT - node.counters.transmit if node.state is State.ACTIVE else 0
            times = max(1, -(-missing // PENALTY))  # its flag fails bit by bit, until it is passive
            attempt.transmit_errors[node] = times
            steps = max(steps, times)
        self._fail(attempt, Outcome.SHORT, steps - 1, FLAG_BITS)
        attempt.senders = [(node, node.queue[0]) for node in contenders]
        attempt.listeners = []

    # The end.

    def _conclude(self, attempt: Attempt) -> None:
        self.attempt = None
        self.free_ns = attempt.free_ns
        at_ns, sent = attempt.end_ns, attempt.outcome is Outcome.SENT
        for node, times in attempt.transmit_errors.items():
            node.counters.transmit_error(times)
            node.counts["errors"] += 1
            node.account(at_ns)
        for node in attempt.receive_errors:
            if not node.listen_only and node.medium is self:
                node.counters.receive_error(first=node is attempt.first)
                node.counts["receive_errors"] += 1
                node.account(at_ns)
        for node, entry in attempt.senders:
            if sent:
                node.frame_sent(entry, at_ns)
                node.account(at_ns)
            if node.state is State.PASSIVE:
                node.may_send_ns = self.free_ns + SUSPEND_BITS * self.model.bit_ns
        if sent:
            self._hand_out(attempt)
        self._rewind_recoveries()
        self._note_futility(attempt)
        self.model.record(attempt)

    def _hand_out(self, attempt: Attempt) -> None:
        frame = attempt.senders[0][1].frame
        for node in attempt.listeners:
            if node.medium is self and node not in attempt.receive_errors:
                node.frame_received(frame, attempt.end_ns, node not in attempt.not_stored)

    def _note_futility(self, attempt: Attempt) -> None:
        """A passive node without anybody to acknowledge repeats for ever, and nothing changes by it."""
        if attempt.outcome is Outcome.NOT_ACKNOWLEDGED and not any(attempt.transmit_errors.values()):
            others = [node for node in self.nodes if node is not attempt.senders[0][0]]
            if all(
                node.listen_only or (node.counters.bus_off and not node.recovery_runs_left) for node in others
            ):
                bits = attempt.stuffed + 2 + FLAG_BITS + DELIMITER_BITS + INTERMISSION_BITS + SUSPEND_BITS
                self._futile = bits * self.model.bit_ns

    # A wire that is held.

    def take(self, now_ns: int, *, dominant: bool, shorted: bool) -> None:
        """Hold the wire dominant, short it, or let it go. A frame on it is lost."""
        if (dominant, shorted) == (self._dominant, self.shorted):
            return
        self.settle(now_ns)
        attempt, self.attempt = self.attempt, None
        if attempt:
            bits = (now_ns - attempt.start_ns) // self.model.bit_ns
            self._fail(attempt, Outcome.SHORT, bits, FLAG_BITS)
            attempt.transmit_errors = {node: 1 for node, _ in attempt.senders}
            attempt.receive_errors = attempt.listeners
            self._conclude(attempt)
        if dominant and not self._dominant:
            self._held = attempt.senders[0][0] if attempt else None
            self._ticks, self.tick_ns = 0, now_ns + FLAG_BITS * self.model.bit_ns
        if self._dominant and not dominant:
            self.free_ns = now_ns + RECOVERY_RUN_BITS * self.model.bit_ns
            self._rewind_recoveries()
        self._dominant, self.shorted = dominant, shorted
        if dominant:
            for node in self.recovering:
                self._spend(node, now_ns)
                node.recovery_from_ns = NEVER_NS

    def _tick(self, at_ns: int) -> None:
        """Count eight more dominant bits after the error flags."""
        counting = False
        for node in self.nodes:
            if node.counters.bus_off or node.listen_only:
                continue
            if node is self._held:
                node.counters.transmit_error()
                counting = True
            elif node.counters.receive < PASSIVE_AT:
                node.counters.receive_error() if not self._ticks else node.counters.held_dominant()
                counting = True
            node.account(at_ns)
        self._ticks += 1
        first = FLAG_BITS if self._ticks == 1 else 0
        self.tick_ns = at_ns + (first + DOMINANT_TICK_BITS) * self.model.bit_ns if counting else NEVER_NS

    # Coming and going.

    def join(self, node: CanNode, now_ns: int) -> None:
        """Connect a node; it takes part once it has seen 11 recessive bits."""
        self.settle(now_ns)
        self.nodes.append(node)
        node.medium = self
        node.synchronised_ns = now_ns + RECOVERY_RUN_BITS * self.model.bit_ns
        if node.recovery_runs_left:
            self.watch_for_recovery(node, now_ns)
        if self._dominant:
            self.tick_ns = min(self.tick_ns, now_ns + FLAG_BITS * self.model.bit_ns)

    def leave(self, node: CanNode, now_ns: int) -> None:
        """Disconnect a node. A frame that it was sending ends there for the others."""
        self.settle(now_ns)
        self.nodes.remove(node)
        if node in self.recovering:
            self._spend(node, now_ns)
            self.recovering.remove(node)
        attempt = self.attempt
        if not attempt:
            return
        bit = (now_ns - attempt.start_ns) // self.model.bit_ns
        if any(sender is node for sender, _ in attempt.senders):
            frame = attempt.senders[0][1].frame
            attempt.senders = [pair for pair in attempt.senders if pair[0] is not node]
            attempt.transmit_errors.pop(node, None)
            if not attempt.senders:
                self._cut_short(attempt, frame, bit)
        elif node in attempt.listeners:
            attempt.listeners = [other for other in attempt.listeners if other is not node]
            if attempt.outcome is Outcome.SENT and bit <= attempt.stuffed:  # the slot is still to come
                self._acknowledge(attempt)

    def _cut_short(self, attempt: Attempt, frame: Frame, bit: int) -> None:
        seen = stuffed_bits(frame)[: bit + 1]
        attempt.transmit_errors = {}
        attempt.receive_errors = attempt.listeners
        self._fail(attempt, Outcome.CUT_OFF, bit, flag_bits(seen, False, _any_active(attempt.listeners)))

    # Recovery: 128 runs of 11 recessive bits; every frame and every error frame ends in such a run.

    def watch_for_recovery(self, node: CanNode, now_ns: int) -> None:
        """Begin, or go on, to count recessive runs for this node."""
        self.settle(now_ns)
        self.recovering.append(node)
        run_ns = RECOVERY_RUN_BITS * self.model.bit_ns
        busy_until_ns = self.attempt.free_ns if self.attempt else self.free_ns
        node.recovery_from_ns = max(now_ns, busy_until_ns - run_ns)
        if self._dominant:
            node.recovery_from_ns = NEVER_NS

    def _recovered_at(self, node: CanNode) -> int:
        if not node.recovery_runs_left or node.recovery_from_ns == NEVER_NS:
            return NEVER_NS
        return node.recovery_from_ns + node.recovery_runs_left * RECOVERY_RUN_BITS * self.model.bit_ns

    def _recovery_ns(self) -> int:
        return min(map(self._recovered_at, self.recovering)) if self.recovering else NEVER_NS

    def _spend(self, node: CanNode, now_ns: int) -> None:
        """Book the runs that a node has seen until a frame begins."""
        if node.recovery_runs_left and node.recovery_from_ns < now_ns:
            runs = (now_ns - node.recovery_from_ns) // (RECOVERY_RUN_BITS * self.model.bit_ns)
            node.recovery_runs_left = max(1, node.recovery_runs_left - runs)
            node.recovery_from_ns = NEVER_NS

    def _rewind_recoveries(self) -> None:
        for node in self.recovering:
            node.recovery_from_ns = self.free_ns - RECOVERY_RUN_BITS * self.model.bit_ns


def _any_active(nodes: Sequence[CanNode]) -> bool:
    return any(node.state is State.ACTIVE and not node.listen_only for node in nodes)
