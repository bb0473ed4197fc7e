"""What the journal tells about one account: its statement, and where it stood at an earlier time.

Reads only; a posting node goes on meanwhile. Both questions touch the rows they show, never all of history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, Select, case, func, literal_column, select, union_all

from campus_node.database.connect import reading
from campus_node.ledger import chunks, links
from campus_node.ledger.books import Balance
from campus_node.ledger.tables import accounts, balances, batches, originators, transfers
from federation.errors import NotFound

PAGE_LINES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One row of the journal as one account sees it.

    Args:
        posted_fen: what it added to the booked balance; negative when the account paid.
        reserved_fen: what it set aside; negative when it was released.
        counterpart: the other account.
        originator: who chose the id, `<role>/<name>`; "ledger" for what the ledger does by itself.
        target_id: 16 bytes, the transfer that a confirm, reverse, expiry or refund is about; else None.
    """

    seq: int
    transfer_id: bytes
    originator: str
    verb: int
    kind: int
    origin: int
    fact: bool
    posted_fen: int
    reserved_fen: int
    counterpart: int
    target_id: bytes | None
    business_date: int
    recorded_at_unix_ms: int
    made_at_unix_ms: int


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Some lines, newest first.

    Args:
        next_before_seq: where the next, older page begins; None when there is none.
    """

    lines: tuple[StatementLine, ...]
    next_before_seq: int | None


@dataclass(frozen=True, slots=True)
class AccountAsOf:
    """Where an account stood."""

    account: int
    holder: str
    balance: Balance
    last_seq: int  # the last row of the journal that counts here


def statement(db: Engine, account: int, before_seq: int | None = None, limit: int = 50) -> StatementPage:
    """Return a page of an account's statement, newest first: what moved or set aside money.

    Args:
        before_seq: only rows before this one; None = from the newest.
        limit: lines a page, 1 to PAGE_LINES_MAX.

    Raises:
        NotFound: there is no such account.
    """
    limit = min(max(limit, 1), PAGE_LINES_MAX)
    with reading(db) as connection:
        _require(connection, account)
        seqs = _way_back(connection).seqs_back(connection, account, before_seq, limit + 1)
        lines_of = _lines(account, seqs, chunked=connection.dialect.name == "postgresql")
        both = lines_of.subquery()
        named = select(both, originators.c.name).join_from(
            both, originators, both.c.originator == originators.c.originator, isouter=True
        )
        rows = connection.execute(named.order_by(both.c.seq.desc()).limit(limit + 1)).all()
    lines = tuple(
        StatementLine(
            seq=row.seq,
            transfer_id=id_bytes(row.transfer_id),
            originator=row.name or "ledger",
            verb=row.verb,
            kind=row.kind,
            origin=row.origin,
            fact=row.fact,
            posted_fen=row.posted_fen,
            reserved_fen=row.reserved_fen,
            counterpart=row.counterpart,
            target_id=None if row.target_id is None else id_bytes(row.target_id),
            business_date=row.business_date,
            recorded_at_unix_ms=row.recorded_at_unix_ms,
            made_at_unix_ms=row.made_at_unix_ms,
        )
        for row in rows[:limit]
    )
    return StatementPage(lines, lines[-1].seq if len(rows) > limit else None)


def balance_as_of(db: Engine, account: int, unix_ms: int | None = None) -> AccountAsOf:
    """Return where an account stood after all that was recorded up to an instant.

    It is found from the present balance backwards, so it costs as much as has happened since.

    Args:
        unix_ms: the instant, by the ledger's clock; None = now.

    Raises:
        NotFound: there is no such account.
    """
    with reading(db) as connection:
        holder, now = _require(connection, account)
        newest = connection.execute(select(func.coalesce(func.max(batches.c.last_seq), 0))).scalar_one()
        if unix_ms is None:
            return AccountAsOf(account, holder, now, newest)
        last = (
            select(batches.c.last_seq)
            .where(batches.c.recorded_at_unix_ms <= unix_ms)
            .order_by(batches.c.last_seq.desc())
            .limit(1)
        )
        last_seq = connection.execute(last).scalar() or 0
        posted_since, reserved_since = _way_back(connection).moved_since(connection, account, last_seq)
    posted_fen = now.posted_fen - posted_since
    reserved_fen = now.reserved_fen - reserved_since
    overdrawn_fen = max(0, now.floor_fen - posted_fen + reserved_fen)
    then = Balance(posted_fen, reserved_fen, now.floor_fen, overdrawn_fen)
    return AccountAsOf(account, holder, then, last_seq)


def id_bytes(value: str | bytes) -> bytes:
    """Return a transfer id as 16 bytes, from whatever the database's driver gives."""
    return bytes.fromhex(value.replace("-", "")) if isinstance(value, str) else bytes(value)


def _way_back(connection: Connection) -> ModuleType:
    return links if connection.dialect.name == "sqlite" else chunks


def _lines(account: int, seqs: Sequence[int], *, chunked: bool) -> Select[*tuple[Any, ...]]:
    """Select rows of an account by their seqs, as the account sees them."""
    t = transfers.c
    paid = t.debit == account
    lines = select(
        t.seq,
        t.transfer_id,
        t.originator,
        t.verb,
        t.kind,
        t.origin,
        t.fact,
        case((paid, -t.posted_fen), else_=t.posted_fen).label("posted_fen"),
        case((paid, t.reserved_fen), else_=0).label("reserved_fen"),
        case((paid, t.credit), else_=t.debit).label("counterpart"),
        t.target_id,
        t.business_date,
        t.recorded_at_unix_ms,
        t.made_at_unix_ms,
    ).where(t.seq.in_(seqs))
    if not chunked:
        return lines
    in_chunks = literal_column(f"transfers.seq >> {chunks.CHUNK_BITS}").in_(
        {s >> chunks.CHUNK_BITS for s in seqs}
    )
    sides = [lines.where(in_chunks, side == account) for side in (t.debit, t.credit)]
    return select(union_all(*sides).subquery())


def _require(connection: Connection, account: int) -> tuple[str, Balance]:
    row = connection.execute(
        select(accounts.c.holder, *(balances.c[field] for field in Balance._fields))
        .join_from(accounts, balances, accounts.c.account == balances.c.account)
        .where(accounts.c.account == account)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no account {account} in this ledger")
    return row[0], Balance(*row[1:])
