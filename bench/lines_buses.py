"""What the rows of `lines` run on: a bus in software in its own time, exact on any machine."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from bench.harness import BenchBroken
from campus_node.lines.line import Line, Peer
from campus_node.lines.serial.head import SerialHeadLine
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord, What
from hil_rig.virtual.bus_time import BusTime, node_name
from hil_rig.virtual.can_bus import Outcome, slot_bits
from hil_rig.virtual.line_time import LineTime

TERMINALS: Final = 50
RECORD_BYTES: Final = 96
SHORTEST_BYTES: Final = 7  # of an acknowledgement: one frame
SEALED_BYTES: Final = 24  # of an acknowledgement with its marks in an envelope
CAN_BITS_PER_S: Final = 250_000
SERIAL_BAUD: Final = 115_200
CHARACTER_BITS: Final = 10  # start, eight, stop
POLL_BYTES: Final = 9
FRAME_BYTES: Final = 11  # of an RS-485 frame, without its payload
FIND_WITHIN_S: Final = 120.0
SIGNALS: Final = 0x0C  # top byte of the ids of SYNC, heartbeats and the like


class Bus(Protocol):
    """A bus in its own time, CAN or RS-485."""

    @property
    def now_s(self) -> float: ...

    @property
    def head(self) -> Line: ...

    @property
    def tills(self) -> Mapping[int, Line]: ...

    def run(self, for_s: float, until: Callable[[], bool] | None = None) -> bool: ...

    def call_at(self, at_s: float) -> None: ...

    def stepped_addresses(self) -> Iterable[int]: ...

    def close(self) -> None: ...


def can_bus(bitrate: int = CAN_BITS_PER_S, faults: FaultRecord | None = None) -> BusTime:
    """Return a CAN bus with a head and TERMINALS terminals."""
    return BusTime(TERMINALS, bitrate=bitrate, faults=faults)


def serial_bus(baud: int = SERIAL_BAUD, byte_errors: float = 0.0, seed: int = 0) -> LineTime:
    """Return an RS-485 bus whose head has found all TERMINALS terminals."""
    bus = LineTime(TERMINALS, baud=baud, byte_errors=byte_errors, seed=seed)
    head: SerialHeadLine = bus.head
    if not bus.run(FIND_WITHIN_S, lambda: len(head.addresses().known) == TERMINALS):
        raise BenchBroken(f"the head on RS-485 did not find all terminals in {FIND_WITHIN_S:.0f} s")
    return bus


def can_exchange_bits(content: Callable[[int], bytes], answer_bytes: int, record_bytes: int) -> float:
    """Return the bits that a record and its acknowledgement take on a CAN bus, on average over 20 contents.

    They run alone on a bus; every frame is counted with its stuff bits, its acknowledgement and the gap
    behind it: the limit of the framing. Nothing better than these frames, back to back, fits on the wire.
    """
    bits, exchanges = 0, 20
    for _ in range(exchanges):
        bus = BusTime(1)
        bus.keep_frames = True
        for line, peer, size in ((bus.tills[1], 0, record_bytes), (bus.head, 1, answer_bytes)):
            line.send(Peer(peer), content(size))
            bus.run(0.3)
        sent = [event.frame for event in bus.frames if event.outcome is Outcome.SENT]
        bits += sum(slot_bits(frame) for frame in sent if frame.identifier >> 24 != SIGNALS)
        bus.close()
    return bits / exchanges


def serial_exchange_s(baud: int, answer_bytes: int, record_bytes: int) -> float:
    """Return how long a poll, a record, its acknowledgement and the answer to it take at least on RS-485."""
    payloads = FRAME_BYTES + record_bytes + FRAME_BYTES + answer_bytes
    return (2 * POLL_BYTES + payloads) * CHARACTER_BITS / baud


def losses(seed: int, frames: int, rate: float, draw: Callable[[], float]) -> FaultRecord:
    """Return a plan in which each node of a CAN bus misses frames at this rate."""
    lost = [
        Fault(node_name(address), What.FRAME_LOST, Counted.FRAME, nth, must_fire=False)
        for address in range(TERMINALS + 1)
        for nth in range(1, frames)
        if draw() < rate
    ]
    return FaultRecord(FaultPlan(seed, tuple(lost)))
