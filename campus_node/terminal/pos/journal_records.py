"""What a till writes into its journal beside movements: hotlist hits, account payments, the PSAM's tries.

Pure. The first byte says which kind a record is; movements (purse/journal_entries.py) are kind 01.
The tables of bytes are in docs/pos.md.
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from struct import Struct
from typing import Final

from campus_node.wording import Sentence
from federation.errors import Unreadable

HOTLIST_HIT: Final = 0x02
ACCOUNT_PAYMENT: Final = 0x03
PSAM_TRIES: Final = 0x04
CODE_HASH_BYTES: Final = 16
_HIT: Final = Struct(">BB10s8sI6sQQ")
_PAYMENT: Final = Struct(">BBBB16sI6sQ16s")
_TRIES: Final = Struct(">BxH6sQ")


@dataclass(frozen=True, slots=True)
class Hit:
    """A listed card was presented, and refused.

    Args:
        reason: the hotlist's, 0 to 14.
        asn: 10 bytes.
        issuer: 8 bytes.
        amount_fen: what was to be paid; 0 = not known.
        terminal_id: 6 bytes.
        hotlist_version: that says so.
        recorded_at_unix_ms: the terminal's clock.
    """

    reason: int
    asn: bytes
    issuer: bytes
    amount_fen: int
    terminal_id: bytes
    hotlist_version: int
    recorded_at_unix_ms: int


class PaymentState(IntEnum):
    """How far a payment from an account is. Only APPROVED is paid: what was set aside is taken by it."""

    ASKED = 1
    APPROVED = 2
    REFUSED = 3
    GIVEN_UP = 4  # no answer in time: nothing was handed over, and what was set aside lapses


@dataclass(frozen=True, slots=True)
class AccountPayment:
    """A payment from an account by a pay code.

    Args:
        state: how far it is.
        refusal: the gateway's, if it said no; else 0.
        tariff: 0 to 255.
        transfer_id: 16 bytes; the same in every record about it.
        amount_fen: above 0.
        terminal_id: 6 bytes.
        recorded_at_unix_ms: the terminal's clock.
        code_hash: 16 bytes, see `hash_of`.
    """

    state: PaymentState
    refusal: int
    tariff: int
    transfer_id: bytes
    amount_fen: int
    terminal_id: bytes
    recorded_at_unix_ms: int
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class Tries:
    """How many wrong MAC2 a PSAM has seen, up to this record.

    Args:
        wrong: 0 to 65535.
        terminal_id: of the PSAM, 6 bytes.
        recorded_at_unix_ms: the terminal's clock.
    """

    wrong: int
    terminal_id: bytes
    recorded_at_unix_ms: int


Record = Hit | AccountPayment | Tries


def hash_of(code: bytes) -> bytes:
    """Return how a record names a pay code: the first half of its SHA-256, so that no journal can pay."""
    return sha256(code).digest()[:CODE_HASH_BYTES]


def encode(record: Record) -> bytes:
    """Return a record's bytes. Raise struct.error for a number that does not fit."""
    match record:
        case Hit():
            return _HIT.pack(
                HOTLIST_HIT,
                record.reason,
                record.asn,
                record.issuer,
                record.amount_fen,
                record.terminal_id,
                record.hotlist_version,
                record.recorded_at_unix_ms,
            )
        case AccountPayment():
            return _PAYMENT.pack(
                ACCOUNT_PAYMENT,
                record.state,
                record.refusal,
                record.tariff,
                record.transfer_id,
                record.amount_fen,
                record.terminal_id,
                record.recorded_at_unix_ms,
                record.code_hash,
            )
        case Tries():
            return _TRIES.pack(PSAM_TRIES, record.wrong, record.terminal_id, record.recorded_at_unix_ms)


def decode(body: bytes) -> Record | None:
    """Return a journal entry's record; None for one of another kind.

    Raises:
        Unreadable: it says that it is one of these and is none.
    """
    form = {HOTLIST_HIT: _HIT, ACCOUNT_PAYMENT: _PAYMENT, PSAM_TRIES: _TRIES}.get(body[0] if body else 0)
    if form is None:
        return None
    if len(body) != form.size:
        raise _unreadable(body)
    fields = form.unpack(body)
    if form is _HIT:
        return Hit(*fields[1:])
    if form is _TRIES:
        return Tries(*fields[1:])
    try:
        state = PaymentState(fields[1])
    except ValueError:
        raise _unreadable(body) from None
    return AccountPayment(state, *fields[2:])


def _unreadable(body: bytes) -> Unreadable:
    return Unreadable(
        Sentence("a record of kind {kind} with {given} bytes cannot be read", kind=body[0], given=len(body))
    )
