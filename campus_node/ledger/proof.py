"""Proof that the books are right: balances against the journal, the journal against its chain.

Nothing here trusts what the posting engine kept in memory; everything is computed from the tables.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Select,
    bindparam,
    cast,
    func,
    select,
    union_all,
    update,
)
from sqlalchemy import (
    Row as SqlRow,
)

from campus_node.database.connect import reading, writing
from campus_node.ledger import links
from campus_node.ledger.history import id_bytes
from campus_node.ledger.rows import COLUMNS, GENESIS_HASH, Row, chain_rows
from campus_node.ledger.tables import accounts, balances, batches, transfers, writer
from federation.errors import JournalBroken

Progress = Callable[[int, int], None]  # done, of how many

_ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not follow from the journal."""

    what: str
    subject: str
    expected: int | str
    found: int | str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verifying the chain found.

    Args:
        broken_at_seq: first row of the first batch whose hash does not follow; None if all do.
        last_hash: 32 bytes, of the last batch that holds.
    """

    batches: int
    rows: int
    broken_at_seq: int | None
    last_hash: bytes

    def require_whole(self) -> None:
        """Raise JournalBroken where the chain breaks."""
        if self.broken_at_seq is not None:
            raise JournalBroken(
                f"the journal was changed in or after the batch that begins at seq {self.broken_at_seq}:"
                " keep this database as evidence and restore the last backup whose chain is whole"
            )


def check(db: Engine) -> list[Difference]:
    """Return everything that is not as the journal says; an empty list is a clean bill.

    Compares: every balance with the sum of its rows, the sum over all accounts with zero, every account with
    its balance row, the numbering of rows with the writer's, every row's accounts with those that exist, and
    on SQLite every link back with the row it must lead to.
    """
    with reading(db) as connection:
        return [
            *_balance_differences(connection),
            *_sum_differences(connection),
            *_account_differences(connection),
            *_numbering_differences(connection),
            *_link_differences(connection),
        ]


def rebuild(db: Engine) -> list[Difference]:
    """Write every balance and link anew from the journal, in one commit; return what was wrong before.

    The caller holds the writer's lease, so that nobody posts meanwhile.
    """
    changed = (
        update(balances)
        .where(balances.c.account == bindparam("of"))
        .values(
            posted_fen=bindparam("posted"),
            reserved_fen=bindparam("reserved"),
            overdrawn_fen=bindparam("over"),
        )
    )
    with writing(db) as connection:
        wrong = list(_balance_differences(connection))
        new = [
            {"of": row.account, "posted": row.posted, "reserved": row.reserved, "over": _overdrawn_fen(row)}
            for row in connection.execute(_balances_beside_journal())
            if _is_wrong(row)
        ]
        if new:
            connection.execute(changed, new)
        wrong += _link_differences(connection)
        if connection.dialect.name == "sqlite":
            links.rebuild(connection)
        return wrong


def verify_chain(db: Engine, progress: Progress | None = None) -> ChainReport:
    """Recompute the hash of every batch from its rows.

    A row that was changed, added, removed or moved breaks the chain at its batch.
    """
    with reading(db) as connection:
        end_seq, end_hash = connection.execute(select(writer.c.seq, writer.c.chain_hash)).one_or_none() or (
            0,
            GENESIS_HASH,
        )
        rows = _rows_in_order(connection, progress, end_seq)
        hash_, next_seq, count = GENESIS_HASH, 1, 0
        for batch in connection.execute(select(batches).order_by(batches.c.last_seq)).yield_per(1_000):
            seqs = range(next_seq, batch.last_seq + 1)
            some = [row for _, row in zip(seqs, rows, strict=False)]
            follows = [row.seq for row in some] == list(seqs) and batch.first_seq == next_seq
            expected = chain_rows(hash_, some)
            if not follows or expected != bytes(batch.chain_hash):
                return ChainReport(count, next_seq - 1, next_seq, hash_)
            hash_, next_seq, count = expected, batch.last_seq + 1, count + 1
        whole = next(rows, None) is None and (end_seq, bytes(end_hash)) == (next_seq - 1, hash_)
        return ChainReport(count, next_seq - 1, None if whole else next_seq, hash_)


def _rows_in_order(connection: Connection, progress: Progress | None, end_seq: int) -> Iterator[Row]:
    """Yield the whole journal by seq, some thousand rows at a time."""
    newest = connection.execute(select(func.coalesce(func.max(transfers.c.seq), 0))).scalar_one()
    columns = [transfers.c[name] for name in COLUMNS]
    bounds = [*range(1, newest + 1, _ROWS_AT_ONCE), newest + 1]
    for start, end in pairwise(bounds):
        window = transfers.c.seq.between(start, end - 1)
        found = connection.execute(select(*columns).where(window).order_by(transfers.c.seq))
        yield from map(_journal_row, found)
        if progress is not None:
            progress(end - 1, max(newest, end_seq))


def _journal_row(values: SqlRow[tuple[object, ...]]) -> Row:
    row = Row._make(values)
    return row._replace(
        transfer_id=id_bytes(row.transfer_id),
        target_id=None if row.target_id is None else id_bytes(row.target_id),
        request_hash=bytes(row.request_hash),
    )


def _balances_beside_journal() -> Select[tuple[int, int, int, int, int, int, int]]:
    """Select each balance and, beside it, what its rows add up to."""
    t = transfers.c
    sides = union_all(
        select(t.debit.label("account"), (-t.posted_fen).label("posted"), t.reserved_fen.label("reserved")),
        select(t.credit, t.posted_fen, t.reserved_fen * 0),
    ).subquery()
    sums = (
        select(
            sides.c.account,
            cast(func.sum(sides.c.posted), BigInteger).label("posted"),
            cast(func.sum(sides.c.reserved), BigInteger).label("reserved"),
        )
        .group_by(sides.c.account)
        .subquery()
    )
    return select(
        balances.c.account,
        balances.c.posted_fen,
        balances.c.reserved_fen,
        balances.c.floor_fen,
        balances.c.overdrawn_fen,
        func.coalesce(sums.c.posted, 0).label("posted"),
        func.coalesce(sums.c.reserved, 0).label("reserved"),
    ).join_from(balances, sums, balances.c.account == sums.c.account, isouter=True)


def _overdrawn_fen(row: SqlRow[tuple[int, int, int, int, int, int, int]]) -> int:
    below_fen: int = row.floor_fen - row.posted + row.reserved
    return max(0, below_fen)


def _is_wrong(row: SqlRow[tuple[int, int, int, int, int, int, int]]) -> bool:
    kept = row.posted_fen, row.reserved_fen, row.overdrawn_fen
    return kept != (row.posted, row.reserved, _overdrawn_fen(row))


def _balance_differences(connection: Connection) -> Iterator[Difference]:
    for row in connection.execute(_balances_beside_journal().order_by(balances.c.account)):
        subject = f"account/{row.account}"
        if row.posted_fen != row.posted:
            yield Difference("posted_fen", subject, row.posted, row.posted_fen)
        if row.reserved_fen != row.reserved:
            yield Difference("reserved_fen", subject, row.reserved, row.reserved_fen)
        if row.overdrawn_fen != _overdrawn_fen(row):
            yield Difference("overdrawn_fen", subject, _overdrawn_fen(row), row.overdrawn_fen)


def _sum_differences(connection: Connection) -> Iterator[Difference]:
    total = int(connection.execute(select(func.coalesce(func.sum(balances.c.posted_fen), 0))).scalar_one())
    if total:
        yield Difference("sum of all accounts", "ledger", 0, total)


def _account_differences(connection: Connection) -> Iterator[Difference]:
    without_balance = select(accounts.c.account).except_(select(balances.c.account))
    for (account,) in connection.execute(without_balance):
        yield Difference("balance row", f"account/{account}", "one", "none")
    without_account = select(balances.c.account).except_(select(accounts.c.account))
    for (account,) in connection.execute(without_account):
        yield Difference("account row", f"account/{account}", "one", "none")
    t = transfers.c
    moved = union_all(
        select(t.debit.label("account")).where((t.posted_fen != 0) | (t.reserved_fen != 0)),
        select(t.credit).where(t.posted_fen != 0),
    ).subquery()
    for (account,) in connection.execute(select(moved.c.account).except_(select(balances.c.account))):
        yield Difference("balance row", f"account/{account}", "one, for its rows", "none")


def _link_differences(connection: Connection) -> list[Difference]:
    if connection.dialect.name != "sqlite":
        return []
    found = links.differences(connection)
    return [Difference("link back", subject, str(expected), str(found)) for subject, expected, found in found]


def _numbering_differences(connection: Connection) -> Iterator[Difference]:
    t = transfers.c
    count, first, last = connection.execute(
        select(func.count(), func.coalesce(func.min(t.seq), 1), func.coalesce(func.max(t.seq), 0))
    ).one()
    if (first, last) != (1, count):
        yield Difference("gapless seq", "journal", f"1 to {count}", f"{first} to {last}, {count} rows")
    written = connection.execute(select(writer.c.seq)).scalar() or 0
    if written != last:
        yield Difference("last seq of the writer", "journal", last, written)
