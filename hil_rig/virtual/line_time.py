"""Lines on a modelled RS-485 bus, in its own time: one thread runs all, exact on any machine."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from campus_node.lines.serial.frames import START
from campus_node.lines.serial.head import SerialHeadLine
from campus_node.lines.serial.line import SerialLine
from campus_node.lines.serial.terminal import SerialTerminalLine
from hil_rig.faults import FaultRecord
from hil_rig.virtual.serial_driver import VirtualSerialPort
from hil_rig.virtual.serial_model import SerialEvent, SerialModel

SECOND_NS: Final = 1_000_000_000
HEAD_NODE: Final = "head"
FEW: Final = 5  # with so many ends all are called whenever anything happens
ALL_ADDRESS: Final = 0xFF


def node_name(address: int) -> str:
    return f"till {address}" if address else HEAD_NODE


def serial_number(number: int) -> bytes:
    return number.to_bytes(10)


class LineTime:
    """A bus with a head and terminals, whose loops are called when something concerns them."""

    def __init__(
        self,
        terminals: int = 1,
        *,
        baud: int = 115_200,
        faults: FaultRecord | None = None,
        byte_errors: float = 0.0,
        seed: int = 0,
        expected: Iterable[int] | None = None,
        discover: Iterable[int] = (),
    ) -> None:
        self.model = SerialModel(trace=self._saw)
        self.ports: dict[str, VirtualSerialPort] = {}
        self.lines: dict[str, SerialLine] = {}
        self.bursts: list[SerialEvent] = []
        self.keep_bursts = False
        self._common = {"faults": faults, "byte_errors": byte_errors, "seed": seed}
        self._of_address: dict[int, list[str]] = {}
        self._address_of: dict[str, int] = {}
        self._concerned: set[str] = set()
        self._stepped: set[str] = set()
        self._due: list[tuple[float, str]] = []
        self._due_of: dict[str, float] = {}
        self._calls: list[float] = []
        addresses = range(1, terminals + 1)
        self.head = SerialHeadLine(
            "rs485",
            self.port(HEAD_NODE, baud),
            addresses=addresses if expected is None else expected,
            discover=discover,
        )
        self.join(HEAD_NODE, 0, self.head)
        self.tills = {address: self.add(address, baud=baud) for address in addresses}

    @property
    def now_s(self) -> float:
        return self.model.now_ns / SECOND_NS

    def port(self, name: str, baud: int) -> VirtualSerialPort:
        """Return a new node's port."""
        self.ports[name] = VirtualSerialPort(self.model, name, baud, **self._common)  # type: ignore[arg-type]  # three names, three types
        return self.ports[name]

    def add(
        self, address: int, *, node: str = "", baud: int = 115_200, serial: int = 0, rates: Sequence[int] = ()
    ) -> SerialTerminalLine:
        """Plug another terminal in; two may have one address if their nodes' names differ."""
        name = node or node_name(address)
        line = SerialTerminalLine(
            name, self.port(name, baud), address, serial_number(serial or address), rates=rates
        )
        self.join(name, address, line)
        return line

    def run(self, for_s: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; return whether `until` came true, and stop then."""
        end_ns = self.model.now_ns + round(for_s * SECOND_NS)
        self._concerned.update(self.lines)
        while True:
            self._step_all()
            if until is not None and until():
                return True
            if self._concerned:
                continue
            due_ns = [end_ns if not self._due else round(self._due[0][0] * SECOND_NS)]
            due_ns += [round(self._calls[0] * SECOND_NS)] if self._calls else []
            due_ns += [self.model.next_ns] if self.model.next_ns is not None else []
            target_ns = max(min(due_ns), self.model.now_ns)
            if target_ns >= end_ns:
                self.model.advance_to(end_ns)
                self._concerned.update(self.lines)
                self._step_all()
                return until is not None and until()
            self.model.advance_to(target_ns)
            self._collect()

    def call_at(self, at_s: float) -> None:
        """Make `run` look around at this instant, too."""
        heapq.heappush(self._calls, at_s + 1e-6)

    def stepped_addresses(self) -> list[int]:
        """Return the terminals whose loops were called last."""
        return [self._address_of[name] for name in self._stepped if self._address_of[name]]

    def close(self) -> None:
        for line in self.lines.values():
            line.close()

    def _collect(self) -> None:
        while self._calls and self._calls[0] <= self.now_s + 1e-9:
            heapq.heappop(self._calls)
        while self._due and self._due[0][0] <= self.now_s + 1e-9:
            due_s, name = heapq.heappop(self._due)
            if self._due_of.get(name) == due_s:
                self._concerned.add(name)

    def join(self, name: str, address: int, line: SerialLine) -> None:
        """Let an end be called from now on."""
        self.lines[name] = line
        self._address_of[name] = address
        self._of_address.setdefault(address, []).append(name)
        line.wake = lambda: self._concerned.add(name)
        self._concerned.add(name)

    def _step_all(self) -> None:
        names, self._concerned = self._concerned, set()
        self._stepped = names
        for name in sorted(names & self.lines.keys()):
            due_s = max(self.lines[name].step(self.now_s), self.now_s + 1e-6)
            if self._due_of.get(name) != due_s and due_s != float("inf"):
                self._due_of[name] = due_s
                heapq.heappush(self._due, (due_s, name))

    def _saw(self, event: SerialEvent) -> None:
        if self.keep_bursts:
            self.bursts.append(event)
        self._concerned.add(HEAD_NODE)
        framed = event.payload.startswith(START) and len(event.payload) > 2
        target = event.payload[2] if framed else ALL_ADDRESS
        if len(self.lines) <= FEW or target == ALL_ADDRESS:
            self._concerned.update(self.lines)
        else:
            self._concerned.update(self._of_address.get(target, ()))
