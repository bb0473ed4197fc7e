"""One row of the journal: its fields, its bytes and the chain over them. Encoded and decoded here only.

The bytes of a row are a tuple of PostgreSQL's binary COPY format (PostgreSQL manual, COPY, Binary Format):
field count, then length and value of every field, big-endian. The same bytes go into the chain hash on every
database, so a journal can be moved between them and still proves itself.
"""

import hashlib
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from federation.transfer import Request

GENESIS_HASH: Final = bytes(32)  # before the first batch
REQUEST_HASH_BYTES: Final = 16


class Row(NamedTuple):
    """One decided item, in the order of the table's columns; see docs/ledger.md, One row of the journal."""

    seq: int
    incarnation: int
    originator: int
    transfer_id: bytes
    verb: int
    fact: bool
    kind: int
    origin: int
    debit: int
    credit: int
    amount_fen: int
    posted_fen: int
    reserved_fen: int
    target_originator: int | None
    target_id: bytes | None
    window_id: int | None
    business_date: int
    recorded_at_unix_ms: int
    made_at_unix_ms: int
    expires_at_unix_ms: int | None
    request_hash: bytes
    refusal: int
    short_fen: int


COLUMNS: Final = Row._fields
_FORMATS: Final = "qii16sh?hhqqqqqi16siiqqq16shq"  # one letter a field; 16s counts as one
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"


def _shape(*, target: bool, window: bool, expires: bool) -> struct.Struct:
    """Lay out a row whose nullable fields are present or NULL (length −1, no value)."""
    absent = set()
    if not target:
        absent |= {COLUMNS.index("target_originator"), COLUMNS.index("target_id")}
    if not window:
        absent.add(COLUMNS.index("window_id"))
    if not expires:
        absent.add(COLUMNS.index("expires_at_unix_ms"))
    formats = _FORMATS.replace("16s", "u")
    layout = "".join("i" if i in absent else f"i{f.replace('u', '16s')}" for i, f in enumerate(formats))
    return struct.Struct(">h" + layout)


_FIELDS: Final = len(COLUMNS)
_PLAIN: Final = _shape(target=False, window=False, expires=False).pack  # a purchase: by far the most common
_SHAPES: Final = {
    (target, window, expires): _shape(target=target, window=window, expires=expires).pack
    for target in (False, True)
    for window in (False, True)
    for expires in (False, True)
}


def encode(row: Row) -> bytes:
    """Return the row's bytes."""
    (
        seq, incarnation, originator, transfer_id, verb, fact, kind, origin, debit, credit,
        amount_fen, posted_fen, reserved_fen, target_originator, target_id, window_id,
        business_date, recorded_at, made_at, expires_at, request_hash, refusal, short_fen,
    ) = row  # fmt: skip
    if target_id is None and window_id is None and expires_at is None:
        return _PLAIN(
            _FIELDS, 8, seq, 4, incarnation, 4, originator, 16, transfer_id, 2, verb, 1, fact, 2, kind,
            2, origin, 8, debit, 8, credit, 8, amount_fen, 8, posted_fen, 8, reserved_fen, -1, -1, -1,
            4, business_date, 8, recorded_at, 8, made_at, -1, 16, request_hash, 2, refusal, 8, short_fen,
        )  # fmt: skip
    target = (-1, -1) if target_id is None else (4, target_originator, 16, target_id)
    window = (-1,) if window_id is None else (4, window_id)
    expires = (-1,) if expires_at is None else (8, expires_at)
    return _SHAPES[target_id is not None, window_id is not None, expires_at is not None](
        _FIELDS, 8, seq, 4, incarnation, 4, originator, 16, transfer_id, 2, verb, 1, fact, 2, kind,
        2, origin, 8, debit, 8, credit, 8, amount_fen, 8, posted_fen, 8, reserved_fen, *target, *window,
        4, business_date, 8, recorded_at, 8, made_at, *expires, 16, request_hash, 2, refusal, 8, short_fen,
    )  # fmt: skip


def copy_stream(encoded: bytes) -> bytes:
    """Return what a binary COPY of these encoded rows sends."""
    return _COPY_HEADER + encoded + _COPY_TRAILER


def chain(previous: bytes, encoded: bytes) -> bytes:
    """Return the chain hash of a batch: 32 bytes, SHA-256(previous ‖ encoded rows)."""
    return hashlib.sha256(previous + encoded).digest()


def chain_rows(previous: bytes, rows: Iterable[Row]) -> bytes:
    """Return the chain hash of a batch that was read back."""
    return chain(previous, b"".join(map(encode, rows)))


_pack_request: Final = struct.Struct(">h?hqqqqiqi16s").pack
_NO_TARGET: Final = bytes(16)
_sha256 = hashlib.sha256


def request_hash(request: Request) -> bytes:
    """Return 16 bytes that two requests share only if they ask for the same.

    Source: docs/ledger.md, Deciding one item, 2.
    """
    (
        _, _, verb, fact, kind, debit, credit, amount_fen, currency,
        target_originator, target_id, made_at, _, _, window_id,
    ) = request  # fmt: skip
    packed = _pack_request(
        verb, fact, kind, debit, credit, amount_fen, currency, target_originator, made_at, window_id,
        target_id or _NO_TARGET,
    )  # fmt: skip
    return _sha256(packed).digest()[:REQUEST_HASH_BYTES]
