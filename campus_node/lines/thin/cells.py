"""Cells of the thin link: control1 ‖ message2 ‖ offset2 ‖ length2 ‖ bytes ‖ CRC-16. Pure; docs/wire.md.

A message is cut every PART_BYTES bytes, so that a cell's offset says which of its cells it is.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from campus_node.lines.crc16 import CRC_BYTES, crc16
from campus_node.lines.errors import FrameBroken
from campus_node.lines.line import MESSAGE_BYTES_MAX
from campus_node.wording import Sentence

CELL_BYTES_MAX: Final = 100
HEAD_BYTES: Final = 7
PART_BYTES: Final = CELL_BYTES_MAX - HEAD_BYTES - CRC_BYTES
PARTS_MAX: Final = -(-MESSAGE_BYTES_MAX // PART_BYTES)
NUMBERS: Final = 1 << 16
_URGENT: Final = 0x01
_UNUSED: Final = 0x0E


class Kind(IntEnum):
    """What a cell is."""

    PART = 0  # DATA in docs/wire.md
    RECEIVED = 1
    NOTICE = 2


class Cell(NamedTuple):
    """One cell.

    Args:
        urgent: of which of the two classes the message is.
        message: its number, 0 to NUMBERS - 1.
        offset: of a RECEIVED the first byte that lacks, or `length`; else where the part begins.
        length: of the whole message, 1 to MESSAGE_BYTES_MAX.
        part: of a RECEIVED a bit for each cell behind the one that lacks, highest first, 1 = is here.
    """

    kind: Kind
    urgent: bool
    message: int
    offset: int
    length: int
    part: bytes = b""


def encode(cell: Cell) -> bytes:
    """Return the 9 to CELL_BYTES_MAX bytes."""
    control = bytes((cell.kind << 4 | (_URGENT if cell.urgent else 0),))
    numbers = cell.message.to_bytes(2) + cell.offset.to_bytes(2) + cell.length.to_bytes(2)
    content = control + numbers + cell.part
    return content + crc16(content)


def sound(content: bytes) -> bool:
    """Tell whether this has a cell's length and the right checksum: if not, it is noise and names nobody."""
    if not HEAD_BYTES + CRC_BYTES <= len(content) <= CELL_BYTES_MAX:
        return False
    return crc16(content[:-CRC_BYTES]) == content[-CRC_BYTES:]


def parse(content: bytes) -> Cell:
    """Return the fields of a cell.

    Raises:
        FrameBroken: it is not `sound`, or its fields contradict each other.
    """
    if not sound(content):
        raise FrameBroken(Sentence("a cell whose length or checksum is wrong"))
    control, part = content[0], content[HEAD_BYTES:-CRC_BYTES]
    message, offset, length = (int.from_bytes(content[at : at + 2]) for at in (1, 3, 5))
    kind = _KINDS.get(control >> 4)
    if kind is None or control & _UNUSED or not 1 <= length <= MESSAGE_BYTES_MAX:
        raise FrameBroken(Sentence("a cell that nobody sends"))
    wanted = _bitmap_bytes(offset, length) if kind is Kind.RECEIVED else min(PART_BYTES, length - offset)
    if len(part) != wanted or (offset % PART_BYTES and offset != length):
        raise FrameBroken(Sentence("a cell that nobody sends"))
    if offset >= length and kind is not Kind.RECEIVED:
        raise FrameBroken(Sentence("a cell that nobody sends"))
    return Cell(kind, bool(control & _URGENT), message, offset, length, part)


def parts_of(length: int) -> int:
    """Return into how many cells a message of so many bytes is cut."""
    return -(-length // PART_BYTES)


def cut(kind: Kind, urgent: bool, message: int, content: bytes) -> list[Cell]:
    """Return the cells of a message of 1 to MESSAGE_BYTES_MAX bytes."""
    return [
        Cell(kind, urgent, message, at, len(content), content[at : at + PART_BYTES])
        for at in range(0, len(content), PART_BYTES)
    ]


def received(urgent: bool, message: int, length: int, here: Iterable[int]) -> Cell:
    """Return the answer of somebody who has the cells `here`, by number."""
    parts, known = parts_of(length), frozenset(here)
    first = next((number for number in range(parts) if number not in known), parts)
    if first == parts:
        return Cell(Kind.RECEIVED, urgent, message, length, length)
    octets = bytearray(_bitmap_bytes(first * PART_BYTES, length))
    for number in range(first + 1, parts):
        if number in known:
            at = number - first - 1
            octets[at // 8] |= 0x80 >> at % 8
    return Cell(Kind.RECEIVED, urgent, message, first * PART_BYTES, length, bytes(octets))


def missing(answer: Cell) -> list[int]:
    """Return the numbers of the cells that lack at who sent this RECEIVED, ascending."""
    parts = parts_of(answer.length)
    if answer.offset == answer.length:
        return []
    first = answer.offset // PART_BYTES
    behind = (n for n in range(first + 1, parts) if not _bit(answer.part, n - first - 1))
    return [first, *behind]


def _bit(octets: bytes, at: int) -> bool:
    return bool(octets[at // 8] & 0x80 >> at % 8)


def _bitmap_bytes(offset: int, length: int) -> int:
    if offset >= length:
        return 0 if offset == length else -1
    return -(-(parts_of(length) - offset // PART_BYTES - 1) // 8)


_KINDS: Final = {int(kind): kind for kind in Kind}
