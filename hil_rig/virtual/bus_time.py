"""Lines on a modelled CAN bus, in bus time: everything runs in one thread and is exact on any machine."""

import heapq
from collections.abc import Callable, Iterator
from typing import Final

import can

from campus_node.lines.can.head import HeadLine
from campus_node.lines.can.ids import Physical, meaning
from campus_node.lines.can.line import CanLine
from campus_node.lines.can.port import CanPort, filters_of
from campus_node.lines.can.terminal import TerminalLine
from hil_rig.faults import FaultRecord
from hil_rig.virtual.can_bus import BusModel, Outcome, WireEvent
from hil_rig.virtual.can_bus.virtual_node import VirtualNode

SECOND_NS: Final = 1_000_000_000
HEAD_NODE: Final = "head"
ALARM: Final = "alarm"


def node_name(address: int) -> str:
    return f"till {address}" if address else HEAD_NODE


class BusTime:
    """A bus with a head and terminals, whose loops are called when something concerns them."""

    def __init__(
        self,
        terminals: int = 1,
        *,
        bitrate: int = 250_000,
        open_max: int = 3,
        faults: FaultRecord | None = None,
    ) -> None:
        self.model = BusModel(bitrate, faults=faults, trace=self._saw)
        self.frames: list[WireEvent] = []
        self.keep_frames = False
        self.lines: dict[str, CanLine] = {}
        self._alarm_s = 0.0
        self._concerned: set[str] = set()
        self.stepped: set[str] = set()  # whose loops were called last
        self._due: list[tuple[float, str]] = []
        self._due_of: dict[str, float] = {}
        self.head = HeadLine("can0", self.port(0), open_max=open_max)
        self._join(HEAD_NODE, self.head)
        self.tills = {address: self.add(address) for address in range(1, terminals + 1)}
        self._addresses = {node_name(address): address for address in self.tills}

    @property
    def now_s(self) -> float:
        return self.model.now_ns / SECOND_NS

    def port(self, address: int, node: str = "") -> CanPort:
        """Return a controller on this bus, through python-can."""

        def open_bus() -> can.BusABC:
            return VirtualNode(self.model, node or node_name(address), receive_own_messages=address == 0)

        return CanPort(open_bus, filters_of(address))

    def add(self, address: int, node: str = "") -> TerminalLine:
        """Plug another terminal in; two may have the same address if their nodes' names differ."""
        line = TerminalLine(f"till {address}", self.port(address, node), address)
        self._join(node or node_name(address), line)
        return line

    def tills_stepped(self) -> Iterator[tuple[int, TerminalLine]]:
        """Yield the terminals for which something may have come."""
        for name in self.stepped:
            if name in self._addresses:
                yield self._addresses[name], self.tills[self._addresses[name]]

    def stepped_addresses(self) -> list[int]:
        """Return the terminals whose loops were called last."""
        return [self._addresses[name] for name in self.stepped if name in self._addresses]

    def run(self, for_s: float, until: Callable[[], bool] | None = None) -> bool:
        """Let bus time pass; return whether `until` came true, and stop then."""
        end_ns = self.model.now_ns + round(for_s * SECOND_NS)
        self._concerned.update(self.lines)
        while True:
            self._step_all()
            if until is not None and until():
                return True
            if self._concerned:
                continue
            due_ns = round(self._due[0][0] * SECOND_NS) if self._due else end_ns
            next_ns = self.model.next_ns
            target_ns = max(min(due_ns, end_ns if next_ns is None else next_ns), self.model.now_ns)
            if target_ns >= end_ns:
                self.model.advance_to(end_ns)
                self._step_all()
                return until is not None and until()
            self.model.advance_to(target_ns)
            while self._due and self._due[0][0] <= self.now_s + 1e-9:
                due_s, name = heapq.heappop(self._due)
                if self._due_of.get(name) == due_s:
                    self._concerned.add(name)
                elif name == ALARM:
                    self._concerned.add(HEAD_NODE)

    def call_at(self, at_s: float) -> None:
        """Make `run` look around at this instant, too."""
        if at_s != self._alarm_s:
            self._alarm_s = at_s
            heapq.heappush(self._due, (at_s + 1e-6, ALARM))  # an instant later: a float is no nanosecond

    def close(self) -> None:
        """Let all controllers go."""
        for line in self.lines.values():
            line.close()

    def concern(self, line: CanLine) -> None:
        """Call this line's loop at once: something was given to it."""
        self._concerned.update(name for name, one in self.lines.items() if one is line)

    def _join(self, name: str, line: CanLine) -> None:
        self.lines[name] = line
        line.wake = lambda: self._concerned.add(name)
        self._concerned.add(name)

    def _step_all(self) -> None:
        names, self._concerned = self._concerned, set()
        self.stepped = names
        for name in sorted(names):
            due_s = max(self.lines[name].step(self.now_s), self.now_s + 1e-6)
            if self._due_of.get(name) != due_s:
                self._due_of[name] = due_s
                heapq.heappush(self._due, (due_s, name))

    def _saw(self, event: WireEvent) -> None:
        if self.keep_frames:
            self.frames.append(event)
        self._concerned.update(sender for sender in event.senders if sender in self.lines)
        if event.outcome is not Outcome.SENT:
            return
        about = meaning(event.frame.identifier)
        if isinstance(about, Physical):
            name = node_name(about.target)
            self._concerned.update(one for one in (name, f"{name} twin", HEAD_NODE) if one in self.lines)
        else:
            self._concerned.update(self.lines)
