"""What callers of the posting API say and hear, and the turn to and from its messages."""

from dataclasses import dataclass
from typing import NamedTuple

from campuscard.v1 import ledger_pb2 as pb
from federation.transfer import CURRENCY_CNY, Origin, Refusal


class Transfer(NamedTuple):
    """One movement of money as a caller asks for it; ledger.proto says what each field is."""

    transfer_id: bytes  # 16 bytes; keep it: a repeat has the same
    verb: int
    kind: int = 0
    debit: int = 0
    credit: int = 0
    amount_fen: int = 0
    made_at_unix_ms: int = 0
    valid_for_ms: int = 0
    target_id: bytes = b""
    target_originator: str = ""  # empty = the same as originator
    fact: bool = False
    origin: int = Origin.ONLINE
    window_id: int = 0
    originator: str = ""  # empty = whoever the certificate names
    currency: int = CURRENCY_CNY


class PostAnswer(NamedTuple):
    """The ledger's answer to one transfer."""

    refusal: int  # federation.transfer.Refusal; a newer node may know more names than we do
    seq: int
    short_fen: int
    valid_for_ms: (
        int  # RESERVE: what was left when the answer was made; count from when the question was sent
    )

    @property
    def done(self) -> bool:
        return self.refusal == Refusal.NONE

    @property
    def refusal_name(self) -> str:
        """The refusal's name, for people and reports."""
        try:
            return Refusal(self.refusal).name
        except ValueError:
            return f"REFUSAL_{self.refusal}"


@dataclass(frozen=True, slots=True)
class Opening:
    """An account to open; floor_fen None = the default of its class."""

    account: int
    holder: str
    floor_fen: int | None = None


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """A committed balance, in fen."""

    account: int
    posted_fen: int
    reserved_fen: int
    available_fen: int
    floor_fen: int
    overdrawn_fen: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the journal that moved or set aside money, as one of its accounts sees it."""

    seq: int
    originator: str  # "ledger" = the ledger itself
    transfer_id: bytes
    verb: int
    fact: bool
    kind: int
    origin: int
    counterpart: int  # the other account
    posted_fen: int  # signed: what this account's booked balance gained
    reserved_fen: int  # signed: what this account's reservations gained
    target_id: bytes  # what a confirm, reverse, expiry or refund is about; else empty
    business_date: int
    recorded_at_unix_ms: int
    made_at_unix_ms: int


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Lines, newest first; ask on with next_before_seq unless it is 0."""

    lines: tuple[Line, ...]
    next_before_seq: int


def transfer_to_wire(transfer: Transfer) -> pb.Transfer:
    """Return the message."""
    # Enum fields take plain numbers; the generated types ask for their own.
    return pb.Transfer(
        transfer_id=transfer.transfer_id,
        verb=transfer.verb,  # type: ignore[arg-type]
        kind=transfer.kind,  # type: ignore[arg-type]
        debit=transfer.debit,
        credit=transfer.credit,
        amount_fen=transfer.amount_fen,
        currency=transfer.currency,
        made_at_unix_ms=transfer.made_at_unix_ms,
        valid_for_ms=transfer.valid_for_ms,
        target_id=transfer.target_id,
        target_originator=transfer.target_originator,
        fact=transfer.fact,
        origin=transfer.origin,  # type: ignore[arg-type]
        window_id=transfer.window_id,
        originator=transfer.originator,
    )


def answer_from_wire(answer: pb.Answer) -> PostAnswer:
    """Return the answer."""
    return PostAnswer(answer.refusal, answer.seq, answer.short_fen, answer.valid_for_ms)


def balance_from_wire(balance: pb.GetBalanceResponse) -> AccountBalance:
    """Return the balance."""
    return AccountBalance(
        balance.account,
        balance.posted_fen,
        balance.reserved_fen,
        balance.available_fen,
        balance.floor_fen,
        balance.overdrawn_fen,
    )


def page_from_wire(page: pb.GetStatementResponse) -> StatementPage:
    """Return the page."""
    lines = tuple(
        Line(
            line.seq,
            line.originator,
            line.transfer_id,
            line.verb,
            line.fact,
            line.kind,
            line.origin,
            line.counterpart,
            line.posted_fen,
            line.reserved_fen,
            line.target_id,
            line.business_date,
            line.recorded_at_unix_ms,
            line.made_at_unix_ms,
        )
        for line in page.lines
    )
    return StatementPage(lines, page.next_before_seq)
