"""An image to everybody at once: what BLOCK and MISSING carry (docs/wire.md, RS-485). Pure.

A block of the manifest is sent in pieces of equal size, as few as fit into frames; so is the signed notice.
Pieces are numbered through: those of the image from 0, those of the notice from 8000 (hexadecimal)."""

from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from campus_node.lines.serial.frames import PAYLOAD_BYTES_MAX

PIECE_BYTES_MAX: Final = PAYLOAD_BYTES_MAX - 4
NOTICE_PIECE_BYTES: Final = 1016
NOTICE_OFFSET: Final = 0x80_0000
ANNOUNCEMENT_OFFSET: Final = 0xFF_FFFF
NOTICE_NUMBER: Final = 0x8000
NUMBERS_MAX: Final = 0x8000  # pieces of an image
STANDING: Final = 0xFFFF
BITMAP_BYTES_MAX: Final = PAYLOAD_BYTES_MAX - 3
NOTICE_PIECES_MAX: Final = -(-0xFFFF // NOTICE_PIECE_BYTES)
_MARK_BYTES: Final = 4


class Standing(IntEnum):
    """Where a terminal is with a transfer, if it does not lack pieces."""

    UNKNOWN = 0  # it has not heard the announcement
    STORED = 1
    REFUSED = 2
    NOT_MEANT = 3


class Announcement(NamedTuple):
    """What begins a transfer: the size of its notice and its mark."""

    notice_bytes: int
    mark: bytes


class Said(NamedTuple):
    """A terminal's answer: where it stands, with which notice; the numbers of the pieces that it lacks."""

    standing: Standing | None
    mark: bytes
    missing: tuple[int, ...]


class Cut(NamedTuple):
    """How an image is cut into pieces.

    Args:
        image_bytes: of all.
        block_bytes: of the manifest.
    """

    image_bytes: int
    block_bytes: int

    @property
    def pieces_a_block(self) -> int:
        return -(-self.block_bytes // PIECE_BYTES_MAX)

    @property
    def piece_bytes(self) -> int:
        per_piece = -(-self.block_bytes // self.pieces_a_block)
        return -(-per_piece // 8) * 8

    @property
    def numbers(self) -> int:
        """How many numbers there are; some of the last block's may stand for nothing."""
        return -(-self.image_bytes // self.block_bytes) * self.pieces_a_block

    def place(self, number: int) -> tuple[int, int]:
        """Return offset and size of a piece; size 0 where nothing is left for it."""
        block, part = divmod(number, self.pieces_a_block)
        block_end = min((block + 1) * self.block_bytes, self.image_bytes)
        offset = block * self.block_bytes + part * self.piece_bytes
        return offset, max(0, min(self.piece_bytes, block_end - offset))

    def number(self, offset: int) -> int | None:
        """Return the number of the piece at an offset, None if none begins there."""
        block, inside = divmod(offset, self.block_bytes)
        part, rest = divmod(inside, self.piece_bytes)
        return None if rest else block * self.pieces_a_block + part

    def numbers_of(self, block: int) -> Iterator[int]:
        """Yield the numbers of a block's pieces."""
        first = block * self.pieces_a_block
        return (n for n in range(first, first + self.pieces_a_block) if self.place(n)[1])


def piece_payload(transfer: int, offset: int, content: bytes) -> bytes:
    """Return what a BLOCK carries."""
    return bytes((transfer,)) + offset.to_bytes(3) + content


def announcement_payload(transfer: int, announcement: Announcement) -> bytes:
    """Return what the BLOCK carries that begins a transfer."""
    content = announcement.notice_bytes.to_bytes(2) + announcement.mark
    return piece_payload(transfer, ANNOUNCEMENT_OFFSET, content)


def announced(content: bytes) -> Announcement | None:
    """Return what an announcement says, None if it makes no sense."""
    if len(content) != 2 + _MARK_BYTES or not any(content[:2]):
        return None
    return Announcement(int.from_bytes(content[:2]), bytes(content[2:]))


def asked_payload(transfer: int, first: int = 0) -> bytes:
    """Return what the head's MISSING carries."""
    return bytes((transfer,)) + first.to_bytes(2)


def standing_payload(transfer: int, standing: Standing, mark: bytes) -> bytes:
    """Return what a terminal answers that lacks nothing, or knows nothing."""
    return bytes((transfer,)) + STANDING.to_bytes(2) + bytes((standing,)) + mark


def missing_payload(transfer: int, numbers: Collection[int]) -> bytes:
    """Return what a terminal answers that lacks pieces: at least one, the lowest first, as many as fit."""
    first = min(numbers)
    bitmap = bytearray()
    for number in numbers:
        octet, bit = divmod(number - first, 8)
        if octet >= BITMAP_BYTES_MAX:
            continue
        bitmap.extend(bytes(max(0, octet + 1 - len(bitmap))))
        bitmap[octet] |= 0x80 >> bit
    return bytes((transfer,)) + first.to_bytes(2) + bytes(bitmap)


def said(payload: bytes, transfer: int) -> Said | None:
    """Return what a terminal answered about this transfer, None if it makes no sense."""
    if len(payload) < 4 or payload[0] != transfer:
        return None
    first, rest = int.from_bytes(payload[1:3]), payload[3:]
    if first == STANDING:
        if len(rest) != 1 + _MARK_BYTES or rest[0] not in _STANDINGS:
            return None
        return Said(Standing(rest[0]), bytes(rest[1:]), ())
    numbers = tuple(
        first + 8 * octet + bit
        for octet, bits in enumerate(rest)
        if bits
        for bit in range(8)
        if bits & 0x80 >> bit
    )
    return Said(None, b"", numbers)


_STANDINGS: Final = frozenset(int(standing) for standing in Standing)
