"""Orders for senders: who they are, and where they hang."""

from pathlib import Path

from campus_node.lines.counterpart import lend
from campus_node.purse.algorithm import Algorithm
from hil_rig.senders.order import SegmentLine, SegmentOrder, SenderOrder

CAMPUS_KEY = bytes.fromhex("C8C8C8C8C8C8C8C81122334455667788")


def terminal(number: int, address: int, campus_key: bytes = CAMPUS_KEY, prefix: str = "till") -> SenderOrder:
    """Return the terminal with this number on its campus, 1 to 9999."""
    serial = bytes.fromhex(f"{number:020d}")
    return SenderOrder(
        name=f"{prefix}-{number:04d}",
        address=address,
        terminal_id=f"{number:012d}",
        psam_serial=serial.hex(),
        session_key=lend(Algorithm.TDES, campus_key, serial).hex(),
    )


def segment(
    directory: Path,
    line: SegmentLine,
    terminals: list[SenderOrder],
    *,
    records_each: int,
    interval_s: float,
    seed: int,
    again: int = 0,
) -> SegmentOrder:
    """Return the order of one segment."""
    return SegmentOrder(str(directory), line, tuple(terminals), records_each, interval_s, seed, again)
