"""The reference model of the ledger: slow, in memory, obviously right.

It is the second implementation of docs/ledger.md. It shares no code with the posting engine, keeps nothing
but the journal and the list of accounts, and finds every answer by walking the whole history. The tests
compare the engine's answers, rows and balances with it, item by item.

Where a batch of the engine decides many items at one instant, the model is told the same instant for each.
"""

import hashlib
from dataclasses import dataclass

from campus_node.ledger.chart import NEEDS_APPROVAL, SANE_LIMIT_FEN, Kind, flow_is_allowed
from federation.business_date import BusinessCalendar
from federation.transfer import (
    AMOUNT_MAX_FEN,
    CURRENCY_CNY,
    RESERVATION_MAX_MS,
    TRANSFER_ID_BYTES,
    Answer,
    Origin,
    Refusal,
    Request,
    Verb,
)

LEDGER_ORIGINATOR = 0  # ids that the ledger chooses itself
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
_MOVES_NOW = (Verb.POST, Verb.RESERVE)
_CALLERS = (Verb.POST, Verb.RESERVE, Verb.CONFIRM, Verb.REVERSE, Verb.REFUND)


@dataclass(frozen=True, slots=True)
class ModelAccount:
    """An account as it was opened."""

    holder: str
    floor_fen: int


@dataclass(frozen=True, slots=True)
class ModelBalance:
    """What the history of one account adds up to, in fen."""

    posted_fen: int
    reserved_fen: int
    floor_fen: int

    @property
    def available_fen(self) -> int:
        return self.posted_fen - self.reserved_fen

    @property
    def overdrawn_fen(self) -> int:
        return max(0, self.floor_fen - self.available_fen)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One row of the journal, with the request it answers instead of its hash."""

    seq: int
    incarnation: int
    request: Request
    kind: int
    debit: int
    credit: int
    posted_fen: int
    reserved_fen: int
    business_date: int
    recorded_at_unix_ms: int
    expires_at_unix_ms: int
    refusal: int
    short_fen: int

    @property
    def columns(self) -> tuple[object, ...]:
        """The row as the journal's table has it, less request_hash: NULL is None."""
        asked_for = self.request
        targeted = asked_for.verb not in _MOVES_NOW
        return (
            self.seq,
            self.incarnation,
            asked_for.originator,
            asked_for.transfer_id,
            int(asked_for.verb),
            bool(asked_for.fact),
            int(self.kind),
            int(asked_for.origin),
            self.debit,
            self.credit,
            asked_for.amount_fen,
            self.posted_fen,
            self.reserved_fen,
            asked_for.target_originator if targeted else None,
            asked_for.target_id if targeted else None,
            asked_for.window_id or None,
            self.business_date,
            self.recorded_at_unix_ms,
            asked_for.made_at_unix_ms,
            self.expires_at_unix_ms or None,
            int(self.refusal),
            self.short_fen,
        )

    @property
    def done(self) -> bool:
        return self.refusal == Refusal.NONE

    @property
    def answer(self) -> Answer:
        return Answer(self.refusal, self.seq, self.short_fen, self.expires_at_unix_ms)

    def did(self, verb: Verb) -> bool:
        """Tell whether this row is of that verb and was not refused."""
        return self.done and self.request.verb == verb


@dataclass(frozen=True, slots=True)
class _Effect:
    """What an item does once it is decided; a refusal does nothing."""

    refusal: Refusal = Refusal.NONE
    posted_fen: int = 0
    reserved_fen: int = 0
    expires_at_unix_ms: int = 0
    short_fen: int = 0


class Model:
    """A ledger that remembers its journal and nothing else.

    Args:
        calendar: tells the business date of an instant.
        incarnation: number of the life of this ledger; a restore begins the next one.
    """

    def __init__(self, calendar: BusinessCalendar, incarnation: int = 1) -> None:
        self._calendar = calendar
        self._incarnation = incarnation
        self.accounts: dict[int, ModelAccount] = {}
        self.rows: list[ModelRow] = []

    def open_account(self, number: int, holder: str, floor_fen: int) -> bool:
        """Open an account; False if the number was opened with another holder or floor."""
        return self.accounts.setdefault(number, ModelAccount(holder, floor_fen)) == ModelAccount(
            holder, floor_fen
        )

    def post(self, request: Request, now_unix_ms: int) -> Answer:
        """Answer one item at the given instant, after everything that lapses at or before it."""
        self.expire(now_unix_ms)
        if is_malformed(request):
            return Answer(Refusal.MALFORMED, 0, 0, 0)
        first = self._row_of(request.key)
        if first is not None:
            same = asked(first.request) == asked(request)
            return first.answer if same else Answer(Refusal.TRANSFER_CONFLICT, 0, 0, 0)
        return self._write(request, self._decide(request, self._now(now_unix_ms)), now_unix_ms).answer

    def expire(self, now_unix_ms: int) -> list[ModelRow]:
        """Release every reservation whose time is over, and return the rows that say so: earliest first."""
        now_unix_ms = self._now(now_unix_ms)
        ended = {
            target_key(row.request)
            for row in self.rows
            if row.did(Verb.CONFIRM) or row.did(Verb.REVERSE) or row.did(Verb.EXPIRE)
        }
        lapsed = [
            row
            for row in self.rows
            if row.did(Verb.RESERVE)
            and row.expires_at_unix_ms <= now_unix_ms
            and row.request.key not in ended
        ]
        lapsed.sort(key=lambda row: (row.expires_at_unix_ms, row.seq))
        return [self._write(expiry_of(row), self._expire(row), now_unix_ms) for row in lapsed]

    def balance(self, number: int) -> ModelBalance | None:
        """Add up all rows of an account; None if it was never opened."""
        account = self.accounts.get(number)
        if account is None:
            return None
        posted_fen = sum(row.posted_fen for row in self.rows if row.credit == number)
        posted_fen -= sum(row.posted_fen for row in self.rows if row.debit == number)
        reserved_fen = sum(row.reserved_fen for row in self.rows if row.debit == number)
        return ModelBalance(posted_fen, reserved_fen, account.floor_fen)

    def statement(self, number: int) -> list[ModelRow]:
        """Return all rows that moved or set aside money of an account, oldest first."""
        return [
            row
            for row in self.rows
            if (row.debit == number and (row.posted_fen or row.reserved_fen))
            or (row.credit == number and row.posted_fen)
        ]

    def _now(self, now_unix_ms: int) -> int:
        return max(now_unix_ms, self.rows[-1].recorded_at_unix_ms if self.rows else 0)

    def _write(self, request: Request, effect: _Effect, now_unix_ms: int) -> ModelRow:
        kind, debit, credit = self._parties(request)
        now_unix_ms = self._now(now_unix_ms)
        last_date = self.rows[-1].business_date if self.rows else 0
        row = ModelRow(
            seq=len(self.rows) + 1,
            incarnation=self._incarnation,
            request=request,
            kind=kind,
            debit=debit,
            credit=credit,
            posted_fen=effect.posted_fen,
            reserved_fen=effect.reserved_fen,
            business_date=max(self._calendar.date_of(now_unix_ms), last_date),
            recorded_at_unix_ms=now_unix_ms,
            expires_at_unix_ms=effect.expires_at_unix_ms,
            refusal=effect.refusal,
            short_fen=effect.short_fen,
        )
        self.rows.append(row)
        return row

    def _parties(self, request: Request) -> tuple[int, int, int]:
        """Kind, debit and credit: as asked, or as in the row that is spoken of."""
        if request.verb in _MOVES_NOW:
            return request.kind, request.debit, request.credit
        target = self._row_of(target_key(request))
        if target is None:
            return 0, 0, 0
        if request.verb == Verb.REFUND:
            return target.kind, target.credit, target.debit
        return target.kind, target.debit, target.credit

    def _decide(self, request: Request, now_unix_ms: int) -> _Effect:
        if request.currency != CURRENCY_CNY:
            return _Effect(Refusal.WRONG_CURRENCY)
        if request.verb != Verb.REVERSE:
            if request.amount_fen <= 0:
                return _Effect(Refusal.AMOUNT_NOT_POSITIVE)
            if request.amount_fen > AMOUNT_MAX_FEN:
                return _Effect(Refusal.AMOUNT_TOO_LARGE)
        if request.verb == Verb.CONFIRM:
            return self._confirm(request)
        if request.verb == Verb.REVERSE:
            return self._reverse(request)
        if request.verb == Verb.REFUND:
            return self._refund(request)
        return self._move(request, now_unix_ms)

    def _move(self, request: Request, now_unix_ms: int) -> _Effect:
        amount_fen = request.amount_fen
        if amount_fen > SANE_LIMIT_FEN.get(Kind(request.kind), AMOUNT_MAX_FEN):
            return _Effect(Refusal.AMOUNT_HELD)
        if request.verb == Verb.RESERVE and self._targets(request.key, Verb.REVERSE):
            return _Effect(Refusal.ALREADY_REVERSED)
        if request.debit not in self.accounts or request.credit not in self.accounts:
            return _Effect(Refusal.UNKNOWN_ACCOUNT)
        if request.debit == request.credit:
            return _Effect(Refusal.SAME_ACCOUNT)
        if not flow_is_allowed(request.kind, request.debit, request.credit):
            return _Effect(Refusal.WRONG_ACCOUNTS)
        if request.verb == Verb.RESERVE:
            if request.valid_for_ms <= 0:
                return _Effect(Refusal.EXPIRY_MISSING)
            if request.valid_for_ms > RESERVATION_MAX_MS:
                return _Effect(Refusal.EXPIRY_TOO_LONG)
        short_fen = self._short_fen(request.debit, amount_fen)
        if short_fen > 0 and not request.fact:
            return _Effect(Refusal.INSUFFICIENT_FUNDS, short_fen=short_fen)
        if request.verb == Verb.POST:
            return _Effect(posted_fen=amount_fen)
        return _Effect(reserved_fen=amount_fen, expires_at_unix_ms=now_unix_ms + request.valid_for_ms)

    def _confirm(self, request: Request) -> _Effect:
        key = target_key(request)
        target = self._row_of(key)
        if target is None or not target.did(Verb.RESERVE):
            return _Effect(Refusal.UNKNOWN_TRANSFER)
        if self._targets(key, Verb.CONFIRM):
            return _Effect(Refusal.ALREADY_CONFIRMED)
        if self._targets(key, Verb.REVERSE):
            return _Effect(Refusal.ALREADY_REVERSED)
        late = bool(self._targets(key, Verb.EXPIRE))
        if late and not request.fact:
            return _Effect(Refusal.EXPIRED)
        if request.amount_fen > target.reserved_fen:
            return _Effect(Refusal.EXCEEDS_RESERVED)
        return _Effect(posted_fen=request.amount_fen, reserved_fen=0 if late else -target.reserved_fen)

    def _reverse(self, request: Request) -> _Effect:
        key = target_key(request)
        target = self._row_of(key)
        if target is None:
            return _Effect()  # the id is burnt by this very row
        if target.request.verb not in _MOVES_NOW:
            return _Effect(Refusal.UNKNOWN_TRANSFER)
        if not target.done:
            return _Effect()
        if target.did(Verb.POST) or self._targets(key, Verb.CONFIRM):
            return _Effect(Refusal.ALREADY_CONFIRMED)
        if self._targets(key, Verb.REVERSE):
            return _Effect(Refusal.ALREADY_REVERSED)
        if self._targets(key, Verb.EXPIRE):
            return _Effect()
        return _Effect(reserved_fen=-target.reserved_fen)

    def _refund(self, request: Request) -> _Effect:
        key = target_key(request)
        target = self._row_of(key)
        if target is None or not (target.did(Verb.POST) or target.did(Verb.RESERVE)):
            return _Effect(Refusal.UNKNOWN_TRANSFER)
        confirms = self._targets(key, Verb.CONFIRM)
        if target.did(Verb.RESERVE) and not confirms:
            return _Effect(Refusal.NOT_CONFIRMED)
        if target.kind in NEEDS_APPROVAL:
            return _Effect(Refusal.NOT_REFUNDABLE)
        taken_fen = sum(row.posted_fen for row in [target, *confirms])
        given_back_fen = sum(row.posted_fen for row in self._targets(key, Verb.REFUND))
        if given_back_fen + request.amount_fen > taken_fen:
            return _Effect(Refusal.EXCEEDS_ORIGINAL)
        short_fen = self._short_fen(target.credit, request.amount_fen)
        if short_fen > 0 and not request.fact:
            return _Effect(Refusal.INSUFFICIENT_FUNDS, short_fen=short_fen)
        return _Effect(posted_fen=request.amount_fen)

    def _expire(self, reservation: ModelRow) -> _Effect:
        return _Effect(reserved_fen=-reservation.reserved_fen)

    def _short_fen(self, number: int, amount_fen: int) -> int:
        balance = self.balance(number)
        assert balance is not None, "only accounts that were found are asked"
        return amount_fen - (balance.available_fen - balance.floor_fen)

    def _row_of(self, key: tuple[int, bytes]) -> ModelRow | None:
        return next((row for row in self.rows if row.request.key == key), None)

    def _targets(self, key: tuple[int, bytes], verb: Verb) -> list[ModelRow]:
        return [row for row in self.rows if row.did(verb) and target_key(row.request) == key]


def target_key(request: Request) -> tuple[int, bytes]:
    """The id of the transfer that a request speaks of."""
    return request.target_originator, request.target_id


def asked(request: Request) -> Request:
    """The request without what may differ between two attempts at the same thing."""
    return request._replace(valid_for_ms=0, origin=0)


def expiry_of(reservation: ModelRow) -> Request:
    """What the ledger asks of itself when a reservation lapses."""
    originator, transfer_id = reservation.request.key
    digest = hashlib.sha256(b"expire" + originator.to_bytes(8, "big") + transfer_id).digest()
    return Request(
        originator=LEDGER_ORIGINATOR,
        transfer_id=digest[:TRANSFER_ID_BYTES],
        verb=Verb.EXPIRE,
        fact=True,
        kind=0,
        debit=0,
        credit=0,
        amount_fen=0,
        currency=CURRENCY_CNY,
        target_originator=originator,
        target_id=transfer_id,
        made_at_unix_ms=reservation.expires_at_unix_ms,
        valid_for_ms=0,
        origin=Origin.LEDGER,
        window_id=0,
    )


def is_malformed(request: Request) -> bool:
    """Tell whether a field is outside its range, so that nothing can be written."""
    numbers = [value for value in request if isinstance(value, int)]
    if any(not -INT64_MAX - 1 <= number <= INT64_MAX for number in numbers):
        return True
    if request.verb not in _CALLERS or request.origin not in set(Origin) - {Origin.LEDGER}:
        return True
    if len(request.transfer_id) != TRANSFER_ID_BYTES or not 0 < request.originator <= INT32_MAX:
        return True
    if request.made_at_unix_ms < 0 or not 0 <= request.window_id <= INT32_MAX:
        return True
    if request.verb != Verb.RESERVE and request.valid_for_ms != 0:
        return True
    if request.verb in _MOVES_NOW:
        if request.kind not in set(Kind) or request.debit < 0 or request.credit < 0:
            return True
        return request.target_originator != 0 or request.target_id != b""
    if request.kind != 0 or request.debit != 0 or request.credit != 0:
        return True
    if request.verb == Verb.REVERSE and request.amount_fen != 0:
        return True
    return len(request.target_id) != TRANSFER_ID_BYTES or not 0 < request.target_originator <= INT32_MAX
