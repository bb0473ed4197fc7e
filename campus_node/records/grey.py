"""Grey purchases: kept out of all sums until evidence closes them (rules of the field, 13 to 17).

The evidence is a later record of the same card: one that has the grey one's counter shows that it never
happened; one with the next counter, before which the card had exactly the grey amount less, shows that it
did, if nobody else has its counter. Everything else leaves it open, until two people decide.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, text, update

from campus_node.purse.journal_entries import Movement
from campus_node.records.assessment import RecordKey
from campus_node.records.tables import card_movements, grey_movements

_ADD: Final = text("""
INSERT INTO grey_movements (journal_id, opened_seq, seq, asn, purse, counter, terminal_id, amount_fen,
                            balance_before_fen, state, why, since_unix_ms)
VALUES (:journal_id, :opened_seq, :seq, :asn, :purse, :counter, :terminal_id, :amount_fen,
        :balance_before_fen, 'open', :why, :since)
ON CONFLICT (journal_id, opened_seq) DO UPDATE SET seq = excluded.seq, why = excluded.why
    WHERE grey_movements.state = 'open' AND excluded.seq > grey_movements.seq
""")


class GreyState(StrEnum):
    """How a grey purchase stands."""

    OPEN = "open"
    PROVEN = "proven"  # it happened: booked
    VOID = "void"  # it did not
    DECIDED = "decided"  # in the holder's favour, at the risk account's cost


class Grey(NamedTuple):
    """A grey purchase.

    Args:
        opened: its first entry; record: its newest one.
        why: the terminal's word for it: torn, disputed and so on.
        since_unix_ms: when the node heard of it.
    """

    opened: RecordKey
    record: RecordKey
    asn: bytes
    purse: int
    counter: int
    terminal_id: bytes
    amount_fen: int
    balance_before_fen: int
    state: GreyState
    why: str
    since_unix_ms: int


class Neighbour(NamedTuple):
    """A movement of the same card that is in the books.

    Args:
        opened_by: the record that says so.
        terminal_id, terminal_seq: where it was made.
    """

    terminal_id: bytes
    amount_fen: int
    balance_before_fen: int
    journal_id: bytes
    seq: int


def judge(grey: Grey, taken: Neighbour | None, following: Neighbour | None) -> GreyState:
    """Return what evidence says of a grey purchase. Pure.

    Args:
        taken: the movement that has its counter, if any.
        following: the one that has the next counter, if any.
    """
    if taken is not None:
        return GreyState.VOID
    if following is None:
        return GreyState.OPEN
    spent_fen = grey.balance_before_fen - following.balance_before_fen
    return GreyState.PROVEN if spent_fen == grey.amount_fen else GreyState.OPEN


def add(connection: Connection, opened: RecordKey, record: RecordKey, movement: Movement, now: int) -> None:
    """Keep a grey purchase, or its newest entry."""
    connection.execute(
        _ADD,
        {
            "journal_id": opened[0],
            "opened_seq": opened[1],
            "seq": record[1],
            "asn": movement.asn,
            "purse": int(movement.purse),
            "counter": movement.card_seq,
            "terminal_id": movement.terminal_id,
            "amount_fen": movement.amount_fen,
            "balance_before_fen": movement.balance_before_fen,
            "why": movement.reason.name.lower(),
            "since": now,
        },
    )


def open_of(connection: Connection, asns: Collection[bytes]) -> list[Grey]:
    """Return the open ones of these cards, in the order of their counters."""
    table = grey_movements
    found: list[Grey] = []
    for asn in sorted(asns):
        wanted = (table.c.asn == asn) & (table.c.state == GreyState.OPEN.value)
        found += _found(connection, wanted, 1_000)
    return found


def cards_with_open(connection: Connection) -> set[bytes]:
    """Return the cards that have an open one; few, and mostly none."""
    query = select(grey_movements.c.asn).where(grey_movements.c.state == GreyState.OPEN.value).distinct()
    return {bytes(asn) for asn in connection.execute(query).scalars()}


def listed(
    connection: Connection, limit: int, *, everything: bool = False, before_unix_ms: int | None = None
) -> list[Grey]:
    """Return grey purchases, oldest first.

    Args:
        everything: those that are closed as well.
        before_unix_ms: only those that have been known since before then.
    """
    wanted: Any = True if everything else grey_movements.c.state == GreyState.OPEN.value
    if before_unix_ms is not None:
        wanted = (grey_movements.c.since_unix_ms <= before_unix_ms) & wanted
    return _found(connection, wanted, limit)


def find(connection: Connection, record: RecordKey) -> Grey | None:
    """Return the grey purchase that a record is about: its first entry or its newest."""
    table = grey_movements
    wanted = (table.c.journal_id == record[0]) & (
        (table.c.opened_seq == record[1]) | (table.c.seq == record[1])
    )
    return next(iter(_found(connection, wanted, 1)), None)


def decided(connection: Connection, journals: Collection[bytes]) -> frozenset[RecordKey]:
    """Return the first entries of those of these journals' purchases that two people have decided."""
    table = grey_movements
    query = select(table.c.journal_id, table.c.opened_seq).where(
        table.c.journal_id.in_(sorted(journals)), table.c.state == GreyState.DECIDED.value
    )
    return frozenset((bytes(row[0]), row[1]) for row in connection.execute(query))


def at_opening(connection: Connection, opened: Iterable[RecordKey]) -> list[Grey]:
    """Return those of these movements that are or were grey."""
    found: list[Grey] = []
    for journal_id, seq in sorted(opened):
        wanted = (grey_movements.c.journal_id == journal_id) & (grey_movements.c.opened_seq == seq)
        found += _found(connection, wanted, 1)
    return found


def close(connection: Connection, opened: RecordKey, state: GreyState, now_unix_ms: int) -> bool:
    """Close one. False = it was closed before."""
    table = grey_movements
    that = (table.c.journal_id == opened[0]) & (table.c.opened_seq == opened[1])
    is_open = table.c.state == GreyState.OPEN.value
    values = {"state": state.value, "closed_at_unix_ms": now_unix_ms}
    return connection.execute(update(table).where(that & is_open).values(**values)).rowcount == 1


def neighbours(connection: Connection, grey: Grey) -> tuple[Neighbour | None, Neighbour | None]:
    """Return what has a grey purchase's counter, and what has the next one."""
    table = card_movements
    wanted = (
        (table.c.asn == grey.asn)
        & (table.c.purse == grey.purse)
        & (table.c.line == 0)
        & table.c.counter.in_((grey.counter, grey.counter + 1))
    )
    query = select(
        table.c.counter, table.c.terminal_id, table.c.amount_fen, table.c.balance_before_fen,
        table.c.journal_id, table.c.seq,
    ).where(wanted)  # fmt: skip
    found = {
        row[0]: Neighbour(bytes(row[1]), row[2], row[3], bytes(row[4]), row[5])
        for row in connection.execute(query)
    }
    return found.get(grey.counter), found.get(grey.counter + 1)


def _found(connection: Connection, wanted: Any, limit: int) -> list[Grey]:  # a condition, or all
    table = grey_movements
    query = select(table).order_by(table.c.since_unix_ms, table.c.asn, table.c.counter, table.c.seq)
    if wanted is not True:
        query = query.where(wanted)
    return [
        Grey(
            (bytes(row.journal_id), row.opened_seq), (bytes(row.journal_id), row.seq), bytes(row.asn),
            row.purse, row.counter, bytes(row.terminal_id), row.amount_fen, row.balance_before_fen,
            GreyState(row.state), row.why, row.since_unix_ms,
        )
        for row in connection.execute(query.limit(limit))
    ]  # fmt: skip
