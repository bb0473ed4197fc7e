"""Selling from an account whose issuer is out of reach: allowance, slices and their final use (B1.2). Pure.

An issuer signs an allowance for an acquirer; the acquirer's node carves slices from it for gateways, a
gateway for terminals, and only a slice is sold from. Whoever holds one keeps the state that a function
returns durably *before* acting on it: what was carved is gone even if nobody received it, and comes back only
by a final use. So the sum that is sold never exceeds the allowance, whatever is lost, repeated or restarted.
A card's cap of the day holds for what the seller knows of: holders that hear nothing of each other each allow
it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

SLICES_MAX: Final = 10_000  # of one holder's allowance
USES_MAX: Final = 10_000  # of one slice

V = TypeVar("V")


class StandInRefusal(Enum):
    """Why nothing is sold from a slice, most severe first."""

    OTHER_INCARNATION = "other_incarnation"  # the issuer's ledger was restored: the allowance died with it
    EXPIRED = "expired"
    CLOSED = "closed"  # its final use was told
    USED_BEFORE = "used_before"  # the same payment id with another card or amount
    TOO_MANY = "too_many"
    OVER_PAYMENT = "over_payment"
    OVER_CARD_DAY = "over_card_day"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the issuer signed.

    Args:
        allowance_id: 16 bytes.
        issuer: 8 bytes.
        incarnation: of the issuer's ledger: a restore begins another one.
        expires_at_unix_ms: nothing is sold from then on.
        payment_max_fen: one payment.
        card_day_max_fen: a card's payments at this acquirer on a business day.
    """

    allowance_id: bytes
    issuer: bytes
    incarnation: int
    expires_at_unix_ms: int
    payment_max_fen: int
    card_day_max_fen: int


@dataclass(frozen=True, slots=True)
class Use:
    """What one payment took.

    Args:
        asn: 10 bytes.
        amount_fen: above 0.
        day: business day, yyyymmdd.
    """

    asn: bytes
    amount_fen: int
    day: int


@dataclass(frozen=True, slots=True)
class Slice:
    """An amount to sell from, or to carve smaller ones from; an allowance is the first of them.

    Args:
        slice_id: 16 bytes.
        terms: as signed.
        amount_fen: what it is of.
        carved: amount by id of the slices that were carved from it and are not final.
        finished: what those used that are final, by id.
        uses: by payment id.
        closed: whether its own final use was told: nothing is sold or carved any more.
    """

    slice_id: bytes
    terms: Terms
    amount_fen: int
    carved: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))
    finished: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))
    uses: Mapping[bytes, Use] = field(default_factory=lambda: MappingProxyType({}))
    closed: bool = False

    @property
    def used_fen(self) -> int:
        """What was sold from it, and from the slices of it that are final."""
        return sum(use.amount_fen for use in self.uses.values()) + sum(self.finished.values())

    @property
    def left_fen(self) -> int:
        """What may still be sold from it, or carved."""
        return self.amount_fen - self.used_fen - sum(self.carved.values())


@dataclass(frozen=True, slots=True)
class FinalUse:
    """What was sold from a slice, for ever: its holder signs it, and the slice is closed.

    Args:
        slice_id: 16 bytes.
        used_fen: what was sold from it.
    """

    slice_id: bytes
    used_fen: int


def carve(whole: Slice, slice_id: bytes, amount_fen: int) -> tuple[Slice, Slice] | None:
    """Return what remains, to be kept durably first, and a smaller slice to be given away.

    The same id and amount again give the same slice; None = there is not so much left, or the id was another
    slice's, or is final.
    """
    before = whole.carved.get(slice_id)
    smaller = Slice(slice_id, whole.terms, amount_fen)
    if before is not None:
        return (whole, smaller) if before == amount_fen else None
    full = len(whole.carved) + len(whole.finished) >= SLICES_MAX
    if slice_id in whole.finished or full or whole.closed or not 0 < amount_fen <= whole.left_fen:
        return None
    return replace(whole, carved=_with(whole.carved, slice_id, amount_fen)), smaller


def sell(
    slice_: Slice,
    payment_id: bytes,
    use: Use,
    now_unix_ms: int,
    incarnation: int,
    elsewhere_fen: int = 0,
) -> Slice | StandInRefusal:
    """Return the slice after a payment, to be kept durably before anything is approved, or why not.

    A payment id that was used for the same card and amount changes nothing and is good again.

    Args:
        payment_id: 16 bytes, chosen before the first attempt.
        incarnation: of the issuer's ledger, as last heard of.
        elsewhere_fen: what this card is known to have taken from other slices of this allowance today.
    """
    terms = slice_.terms
    before = slice_.uses.get(payment_id)
    same_day = [each for each in slice_.uses.values() if (each.asn, each.day) == (use.asn, use.day)]
    if incarnation != terms.incarnation:
        return StandInRefusal.OTHER_INCARNATION
    if before is not None:
        same = (before.asn, before.amount_fen) == (use.asn, use.amount_fen)
        return slice_ if same else StandInRefusal.USED_BEFORE
    if now_unix_ms >= terms.expires_at_unix_ms:
        return StandInRefusal.EXPIRED
    if slice_.closed:
        return StandInRefusal.CLOSED
    if len(slice_.uses) >= USES_MAX:
        return StandInRefusal.TOO_MANY
    if not 0 < use.amount_fen <= terms.payment_max_fen:
        return StandInRefusal.OVER_PAYMENT
    if sum(each.amount_fen for each in same_day) + elsewhere_fen + use.amount_fen > terms.card_day_max_fen:
        return StandInRefusal.OVER_CARD_DAY
    if use.amount_fen > slice_.left_fen:
        return StandInRefusal.USED_UP
    return replace(slice_, uses=_with(slice_.uses, payment_id, use))


def close(slice_: Slice) -> tuple[Slice, FinalUse] | None:
    """Return the closed slice, to be kept durably first, and what to tell whoever it came from.

    Closing again tells the same. None = a slice carved from it has not told its final use yet.
    """
    if slice_.carved:
        return None
    return replace(slice_, closed=True), FinalUse(slice_.slice_id, slice_.used_fen)


def take_back(whole: Slice, final: FinalUse) -> Slice | None:
    """Return the slice after one carved from it told its final use: what that did not use is here again.

    The same again changes nothing; None = it is no slice of this one, used more than it had, or told
    something else before: a case for a person.
    """
    if final.slice_id in whole.finished:
        return whole if whole.finished[final.slice_id] == final.used_fen else None
    amount_fen = whole.carved.get(final.slice_id)
    if amount_fen is None or not 0 <= final.used_fen <= amount_fen:
        return None
    carved = {key: value for key, value in whole.carved.items() if key != final.slice_id}
    finished = _with(whole.finished, final.slice_id, final.used_fen)
    return replace(whole, carved=MappingProxyType(carved), finished=finished)


def _with(there: Mapping[bytes, V], key: bytes, value: V) -> Mapping[bytes, V]:
    return MappingProxyType({**there, key: value})
