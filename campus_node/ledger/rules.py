"""The rules of the ledger: what a request is answered. Pure; docs/ledger.md says the same in words.

Every rule is a flat cascade of refusals, most severe first. Nothing here reads a clock or a database: the
writer fetches first, then decides.
"""

import hashlib
from typing import Final, NamedTuple

from campus_node.ledger.books import Draft, Key, Status, TransferState
from campus_node.ledger.chart import NEEDS_APPROVAL, SANE_LIMIT_FEN, Kind, flow_is_allowed
from federation.transfer import (
    AMOUNT_MAX_FEN,
    CURRENCY_CNY,
    RESERVATION_MAX_MS,
    TRANSFER_ID_BYTES,
    Origin,
    Refusal,
    Request,
    Verb,
)

LEDGER_ORIGINATOR: Final = 0  # whose ids the ledger's own requests carry


class Ruling(NamedTuple):
    """What a request is answered, and what that does to the books."""

    refusal: int
    kind: int
    debit: int
    credit: int
    posted_fen: int = 0
    reserved_fen: int = 0
    short_fen: int = 0
    expires_at_unix_ms: int = 0


_INT32_MAX: Final = 2**31 - 1
_INT64_MAX: Final = 2**63 - 1
_INT64_MIN: Final = -(2**63)
_KINDS: Final = frozenset(map(int, Kind))
_ORIGINS: Final = frozenset(map(int, Origin)) - {int(Origin.LEDGER)}
_FOLLOWING: Final = frozenset({int(Verb.CONFIRM), int(Verb.REVERSE), int(Verb.REFUND)})
_WITHOUT_AMOUNT: Final = frozenset({int(Verb.REVERSE), int(Verb.EXPIRE)})
_BEGINNING: Final = frozenset({int(Verb.POST), int(Verb.RESERVE)})
_SANE_LIMIT_FEN: Final = {int(kind): limit_fen for kind, limit_fen in SANE_LIMIT_FEN.items()}
_new: Final = tuple.__new__  # builds a NamedTuple in half the time that its own constructor takes
_NONE: Final = Refusal.NONE  # a module's name costs a tenth of an enumeration's attribute
_POST: Final = int(Verb.POST)
_RESERVE: Final = int(Verb.RESERVE)
_REVERSE: Final = int(Verb.REVERSE)


def is_malformed(request: Request) -> bool:
    """Tell whether a field is outside its range, so that the request can be neither hashed nor journalled."""
    (
        originator, transfer_id, verb, _, kind, debit, credit, amount_fen, currency,
        target_originator, target_id, made_at, valid_for_ms, origin, window_id,
    ) = request  # fmt: skip
    if (
        len(transfer_id) != TRANSFER_ID_BYTES
        or origin not in _ORIGINS
        or not 1 <= originator <= _INT32_MAX
        or not 0 <= made_at <= _INT64_MAX
        or not 0 <= window_id <= _INT32_MAX
        or not _INT64_MIN <= amount_fen <= _INT64_MAX
        or not _INT64_MIN <= currency <= _INT64_MAX
        or not _INT64_MIN <= valid_for_ms <= _INT64_MAX
    ):
        return True
    if verb in _BEGINNING:
        return (
            kind not in _KINDS
            or target_originator != 0
            or target_id != b""
            or not 0 <= debit <= _INT64_MAX
            or not 0 <= credit <= _INT64_MAX
            or (verb == _POST and valid_for_ms != 0)
        )
    return (
        verb not in _FOLLOWING
        or kind != 0
        or debit != 0
        or credit != 0
        or valid_for_ms != 0
        or len(target_id) != TRANSFER_ID_BYTES
        or not 1 <= target_originator <= _INT32_MAX
        or (verb == _REVERSE and amount_fen != 0)
    )


def rule(request: Request, draft: Draft, now_unix_ms: int) -> Ruling:
    """Answer one well-formed request whose id is new, as the books of the draft stand.

    Args:
        request: as asked; EXPIRE comes from the ledger itself.
        draft: the books, with everything known of the transfer that the request is or targets.
        now_unix_ms: the ledger's clock, one instant for the whole batch.
    """
    verb = request.verb
    if request.currency != CURRENCY_CNY:
        return _refused(request, Refusal.WRONG_CURRENCY, draft)
    if verb not in _WITHOUT_AMOUNT:
        if request.amount_fen <= 0:
            return _refused(request, Refusal.AMOUNT_NOT_POSITIVE, draft)
        if request.amount_fen > AMOUNT_MAX_FEN:
            return _refused(request, Refusal.AMOUNT_TOO_LARGE, draft)
    if verb in _BEGINNING:
        return _begin(request, draft, now_unix_ms)

    state = draft.state((request.target_originator, request.target_id))
    match verb:
        case Verb.CONFIRM:
            return _confirm(request, state, draft)
        case Verb.REVERSE:
            return _reverse(state)
        case Verb.REFUND:
            return _refund(request, state, draft)
        case _:
            return _expire(state)


def _begin(request: Request, draft: Draft, now_unix_ms: int) -> Ruling:
    _, _, verb, fact, kind, debit, credit, amount_fen, _, _, _, _, valid_for_ms, _, _ = request
    reserve = verb == _RESERVE
    payer = draft.balance(debit)
    refusal, short_fen = _NONE, 0
    if amount_fen > _SANE_LIMIT_FEN.get(kind, AMOUNT_MAX_FEN):
        refusal = Refusal.AMOUNT_HELD
    elif reserve and draft.state(request.key) is not None:
        refusal = Refusal.ALREADY_REVERSED
    elif payer is None or draft.balance(credit) is None:
        refusal = Refusal.UNKNOWN_ACCOUNT
    elif debit == credit:
        refusal = Refusal.SAME_ACCOUNT
    elif not flow_is_allowed(kind, debit, credit):
        refusal = Refusal.WRONG_ACCOUNTS
    elif reserve and valid_for_ms <= 0:
        refusal = Refusal.EXPIRY_MISSING
    elif reserve and valid_for_ms > RESERVATION_MAX_MS:
        refusal = Refusal.EXPIRY_TOO_LONG
    elif not fact:
        short_fen = amount_fen - payer.posted_fen + payer.reserved_fen + payer.floor_fen
        if short_fen > 0:
            refusal = Refusal.INSUFFICIENT_FUNDS
        else:
            short_fen = 0
    if refusal:
        return Ruling(refusal, kind, debit, credit, short_fen=short_fen)
    if reserve:
        expires_at = now_unix_ms + valid_for_ms
        return Ruling(0, kind, debit, credit, reserved_fen=amount_fen, expires_at_unix_ms=expires_at)
    return _new(Ruling, (0, kind, debit, credit, amount_fen, 0, 0, 0))


def _confirm(request: Request, state: TransferState | None, draft: Draft) -> Ruling:
    if state is None or not state.reservation or state.status == Status.REFUSED:
        return _refused(request, Refusal.UNKNOWN_TRANSFER, draft)
    if state.status == Status.TAKEN:
        return _refused(request, Refusal.ALREADY_CONFIRMED, draft)
    if state.status == Status.REVERSED:
        return _refused(request, Refusal.ALREADY_REVERSED, draft)
    if state.status == Status.EXPIRED and not request.fact:
        return _refused(request, Refusal.EXPIRED, draft)
    if request.amount_fen > state.amount_fen:
        return _refused(request, Refusal.EXCEEDS_RESERVED, draft)
    released_fen = state.amount_fen if state.status == Status.OPEN else 0
    return Ruling(0, state.kind, state.debit, state.credit, request.amount_fen, -released_fen)


def _reverse(state: TransferState | None) -> Ruling:
    if state is None:
        return Ruling(0, 0, 0, 0)  # it overtook its RESERVE, which is refused when it comes
    if state.status == Status.NO_TRANSFER:
        return Ruling(Refusal.UNKNOWN_TRANSFER, state.kind, state.debit, state.credit)
    if state.status == Status.TAKEN:
        return Ruling(Refusal.ALREADY_CONFIRMED, state.kind, state.debit, state.credit)
    if state.status == Status.REVERSED:
        return Ruling(Refusal.ALREADY_REVERSED, state.kind, state.debit, state.credit)
    released_fen = state.amount_fen if state.status == Status.OPEN else 0
    return Ruling(0, state.kind, state.debit, state.credit, reserved_fen=-released_fen)


def _refund(request: Request, state: TransferState | None, draft: Draft) -> Ruling:
    if state is None or state.status in (Status.REFUSED, Status.BURNT, Status.NO_TRANSFER):
        return _refused(request, Refusal.UNKNOWN_TRANSFER, draft)
    if state.status != Status.TAKEN:
        return _refused(request, Refusal.NOT_CONFIRMED, draft)
    if state.kind in NEEDS_APPROVAL:
        return _refused(request, Refusal.NOT_REFUNDABLE, draft)
    if state.refunded_fen + request.amount_fen > state.taken_fen:
        return _refused(request, Refusal.EXCEEDS_ORIGINAL, draft)
    merchant = draft.balance(state.credit)
    assert merchant is not None, "what was posted has accounts"
    short_fen = request.amount_fen - (merchant.available_fen - merchant.floor_fen)
    if short_fen > 0 and not request.fact:
        return Ruling(Refusal.INSUFFICIENT_FUNDS, state.kind, state.credit, state.debit, short_fen=short_fen)
    return Ruling(0, state.kind, state.credit, state.debit, request.amount_fen)


def _expire(state: TransferState | None) -> Ruling:
    assert state is not None, "the engine expires open reservations only"
    assert state.status == Status.OPEN, "the engine expires open reservations only"
    return Ruling(0, state.kind, state.debit, state.credit, reserved_fen=-state.amount_fen)


def _refused(request: Request, refusal: Refusal, draft: Draft) -> Ruling:
    """Refuse; a row about another transfer carries its kind and accounts, turned round for a refund."""
    if not request.target_id:
        return Ruling(refusal, request.kind, request.debit, request.credit)
    state = draft.state((request.target_originator, request.target_id))
    if state is None:
        return Ruling(refusal, 0, 0, 0)
    if request.verb == Verb.REFUND:
        return Ruling(refusal, state.kind, state.credit, state.debit)
    return Ruling(refusal, state.kind, state.debit, state.credit)


def expiry_of(target: Key, expires_at_unix_ms: int) -> Request:
    """Return the request with which the ledger lets a reservation lapse, the same one for every attempt."""
    originator, transfer_id = target
    digest = hashlib.sha256(b"expire" + originator.to_bytes(8) + transfer_id).digest()
    return Request(
        LEDGER_ORIGINATOR, digest[:TRANSFER_ID_BYTES], Verb.EXPIRE, True, 0, 0, 0, 0, CURRENCY_CNY,
        originator, transfer_id, expires_at_unix_ms, 0, Origin.LEDGER, 0,
    )  # fmt: skip
