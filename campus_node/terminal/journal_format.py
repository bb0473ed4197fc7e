"""The journal's bytes: two pointer pages and a ring of slots. docs/purse.md has the tables.

Integers are big-endian. A checksum is the first 16 bytes of SHA-256 over the journal's id and what stands
before the checksum, so that a slot of another journal, or of another place in the file, is none of this one.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

MAGIC: Final = b"CAMPUSJ1"
PAGE_BYTES: Final = 4096  # each pointer page has a page of its own: one torn write cannot hit both
PAGES: Final = 2
RING_OFFSET: Final = PAGES * PAGE_BYTES
SLOT_BYTES: Final = 512
ID_BYTES: Final = 16
CHECKSUM_BYTES: Final = 16
SEQ_MAX: Final = (1 << 63) - 1

_PAGE = struct.Struct(f">8sHI{ID_BYTES}sQQQQQQ")
_SLOT_HEAD = struct.Struct(">QH")
BODY_BYTES_MAX: Final = SLOT_BYTES - _SLOT_HEAD.size - CHECKSUM_BYTES
EMPTY_SLOT: Final = bytes(SLOT_BYTES)


@dataclass(frozen=True, slots=True)
class Pointers:
    """What a pointer page holds.

    Args:
        capacity: slots of the ring.
        journal_id: 16 random bytes, chosen when the file was made.
        generation: goes up with each write of a page; the higher one counts.
        durable_through: the node has committed everything up to here.
        backed_up_through: and this much survives the loss of the node; it may be overwritten here.
        recollect_next, recollect_through: what the node asked for once more; nothing when next > through.
        floor: a sequence number that had been given out when the page was written.
    """

    capacity: int
    journal_id: bytes
    generation: int = 1
    durable_through: int = 0
    backed_up_through: int = 0
    recollect_next: int = 1
    recollect_through: int = 0
    floor: int = 0


class SlotState(Enum):
    """What a slot's bytes turn out to be."""

    EMPTY = "never written"
    WHOLE = "a record"
    DAMAGED = "neither: a torn write, or decay"


def encode_page(pointers: Pointers) -> bytes:
    """Return a whole pointer page, 4096 bytes."""
    head = _PAGE.pack(
        MAGIC,
        SLOT_BYTES,
        pointers.capacity,
        pointers.journal_id,
        pointers.generation,
        pointers.durable_through,
        pointers.backed_up_through,
        pointers.recollect_next,
        pointers.recollect_through,
        pointers.floor,
    )
    return (head + _checksum(pointers.journal_id, head)).ljust(PAGE_BYTES, b"\0")


def decode_page(page: bytes) -> Pointers | None:
    """Return what a pointer page says; None if it is not whole."""
    head = page[: _PAGE.size]
    if len(head) < _PAGE.size:
        return None
    magic, slot_bytes, capacity, journal_id, *rest = _PAGE.unpack(head)
    checksum = page[_PAGE.size : _PAGE.size + CHECKSUM_BYTES]
    if magic != MAGIC or slot_bytes != SLOT_BYTES or checksum != _checksum(journal_id, head):
        return None
    return Pointers(capacity, journal_id, *rest)


def encode_slot(journal_id: bytes, seq: int, body: bytes) -> bytes:
    """Return a slot, 512 bytes.

    Raises:
        ValueError: the body is empty or longer than BODY_BYTES_MAX.
    """
    if not 1 <= len(body) <= BODY_BYTES_MAX:
        raise ValueError(f"a record has 1 to {BODY_BYTES_MAX} bytes, not {len(body)}")
    content = (_SLOT_HEAD.pack(seq, len(body)) + body).ljust(SLOT_BYTES - CHECKSUM_BYTES, b"\0")
    return content + _checksum(journal_id, content)


def decode_slot(journal_id: bytes, slot: bytes, index: int, capacity: int) -> tuple[SlotState, int, bytes]:
    """Return what a slot is, and for a record its sequence number and body; index counts slots from 0."""
    if slot == EMPTY_SLOT:
        return SlotState.EMPTY, 0, b""
    content = slot[:-CHECKSUM_BYTES]
    if len(slot) != SLOT_BYTES or slot[-CHECKSUM_BYTES:] != _checksum(journal_id, content):
        return SlotState.DAMAGED, 0, b""
    seq, length = _SLOT_HEAD.unpack_from(content)
    if index_of(seq, capacity) != index or not 1 <= length <= BODY_BYTES_MAX:
        return SlotState.DAMAGED, 0, b""
    return SlotState.WHOLE, seq, content[_SLOT_HEAD.size : _SLOT_HEAD.size + length]


def index_of(seq: int, capacity: int) -> int:
    """Return which slot holds a sequence number, counted from 0."""
    return (seq - 1) % capacity


def offset_of(index: int) -> int:
    """Return where a slot begins in the file."""
    return RING_OFFSET + index * SLOT_BYTES


def file_bytes(capacity: int) -> int:
    """Return how long a journal's file is."""
    return offset_of(capacity)


def _checksum(journal_id: bytes, content: bytes) -> bytes:
    return hashlib.sha256(journal_id + content).digest()[:CHECKSUM_BYTES]
