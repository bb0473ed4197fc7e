"""Transfers: the words with which money moves in the scheme.

A transfer moves fen from one account (debit) to another (credit). It is posted at once, or reserved and
later confirmed, reversed or expired; what was taken can only be refunded. Every request has an id that its
originator chose before the first attempt; repeating it gives the same answer and moves nothing twice.

Records on the posting path are NamedTuples, not dataclasses: a batch makes thousands a second, and a tuple
costs a third of a frozen dataclass to build.
"""

from enum import IntEnum
from typing import NamedTuple

CURRENCY_CNY = 156  # ISO 4217 numeric
AMOUNT_MAX_FEN = 10**13  # 100 billion yuan: beyond it a number is an error, not money
RESERVATION_MAX_MS = 7 * 24 * 3_600_000  # nothing stays set aside for longer
TRANSFER_ID_BYTES = 16


class Verb(IntEnum):
    """What a request asks of the ledger."""

    POST = 1  # move now
    RESERVE = 2  # set aside; lapses by itself
    CONFIRM = 3  # take what is set aside, or less of it
    REVERSE = 4  # give back before confirm
    EXPIRE = 5  # lapse; only the ledger itself asks for it
    REFUND = 6  # give back after completion, wholly or in part


class Origin(IntEnum):
    """How a record came to us; it is kept for ever (rules of the field, 7)."""

    ONLINE = 1
    REAL_TIME = 2
    OFFLINE = 3
    RECOLLECTED = 4
    CARD_LOG = 5
    PAPER = 6
    IMPORTED = 7
    LEDGER = 8  # written by the ledger itself: expiry


class Refusal(IntEnum):
    """Why a request was refused; 0 is no refusal. docs/ledger.md says which one wins where several apply."""

    NONE = 0
    TRANSFER_CONFLICT = 1  # the id already names another request
    MALFORMED = 2  # a field is outside its range; never journalled
    WRONG_CURRENCY = 3
    AMOUNT_NOT_POSITIVE = 4
    AMOUNT_TOO_LARGE = 5
    AMOUNT_HELD = 6  # beyond the sane limit of its kind: a person decides
    UNKNOWN_TRANSFER = 7  # the target of confirm, reverse or refund
    ALREADY_CONFIRMED = 8
    ALREADY_REVERSED = 9
    EXPIRED = 10
    NOT_CONFIRMED = 11  # a refund of what was never taken
    EXCEEDS_RESERVED = 12
    EXCEEDS_ORIGINAL = 13  # refunds add up to more than was taken
    UNKNOWN_ACCOUNT = 14
    SAME_ACCOUNT = 15
    WRONG_ACCOUNTS = 16  # this kind of transfer does not go between these classes of account
    EXPIRY_MISSING = 17
    EXPIRY_TOO_LONG = 18
    INSUFFICIENT_FUNDS = 19
    UNDECIDABLE = 20  # our fault: deciding this item failed; never journalled, alarmed
    NOT_REFUNDABLE = 21  # two people posted it: two people post the opposite
    CARD_UNKNOWN = 22  # said before the ledger is asked; never journalled, as the next one
    CARD_BLOCKED = 23  # lost, frozen, locked, replaced, closed or expired


class Request(NamedTuple):
    """One item as its originator asked for it."""

    originator: int  # number of whoever chose the id; ids of two originators never collide
    transfer_id: bytes  # 16 bytes, chosen before the first attempt, never regenerated
    verb: int
    fact: bool  # a fact is posted whatever the balance; a request may be refused
    kind: int  # campus_node.ledger.chart.Kind; ignored by CONFIRM, REVERSE, REFUND
    debit: int  # account number; 0 for CONFIRM, REVERSE, REFUND
    credit: int
    amount_fen: int  # 0 for REVERSE
    currency: int  # ISO 4217 numeric
    target_originator: int  # the transfer that CONFIRM, REVERSE, REFUND speak of; else 0
    target_id: bytes  # 16 bytes, else empty
    made_at_unix_ms: int  # when it happened, by the originator's clock
    valid_for_ms: int  # RESERVE: lapses after this interval; else 0
    origin: int
    window_id: int  # settlement window of the creditor; 0 = none

    @property
    def key(self) -> tuple[int, bytes]:
        return self.originator, self.transfer_id


class Answer(NamedTuple):
    """The ledger's answer; the same for every repeat."""

    refusal: int  # Refusal.NONE = done
    seq: int  # the row in the journal; 0 where nothing was written
    short_fen: int  # INSUFFICIENT_FUNDS: how much is missing
    expires_at_unix_ms: int  # RESERVE: when it lapses by the ledger's clock; else 0
