"""Statements about card movements, each for a whole batch, in the words of both databases.

Only the node that writes the ledger assesses records, so what was looked up is still so when it is written;
should two do it all the same, the unique keys let only one of them.
"""

# ruff: noqa: S608  # statements are put together from constants and question marks

from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, select, update

from campus_node.purse.journal_entries import Movement, decode
from campus_node.records.arrays import literals
from campus_node.records.assessment import (
    Claim,
    Identity,
    RecordKey,
    TerminalKey,
    Waiting,
    digest_of,
    identity_of,
)
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome, Quarantine
from campus_node.records.tables import card_movements, terminal_records
from federation.errors import OutcomeUnknown, Unreadable

_PENDING: Final = int(Outcome.PENDING)
_ENDS_WITHIN: Final = 256  # entries of a journal after a movement's first one
_CLAIM: Final = """
m.asn, m.purse, m.line, m.counter, m.terminal_id, m.terminal_seq, m.digest, m.journal_id, m.seq, m.known_by
"""
_BY_IDENTITY: Final = f"""
SELECT {_CLAIM}
FROM {{keys}} JOIN card_movements m
    ON m.asn = k.asn AND m.purse = k.purse AND m.line = k.line AND m.counter = k.counter
"""
_BY_TERMINAL: Final = f"""
SELECT {_CLAIM}
FROM {{keys}} JOIN card_movements m
    ON m.asn = k.asn AND m.terminal_id = k.terminal_id AND m.terminal_seq = k.terminal_seq AND m.line = 0
"""
_IDENTITIES_POSTGRES: Final = """
unnest(%s::bytea[], %s::smallint[], %s::smallint[], %s::int[]) AS k (asn, purse, line, counter)"""
_TERMINALS_POSTGRES: Final = """
unnest(%s::bytea[], %s::bytea[], %s::bigint[]) AS k (asn, terminal_id, terminal_seq)"""
_COLUMNS: Final = tuple(column.name for column in card_movements.columns)
_ADD_POSTGRES: Final = f"""
INSERT INTO card_movements ({", ".join(_COLUMNS)})
SELECT * FROM unnest(
    %s::bytea[], %s::smallint[], %s::smallint[], %s::int[], %s::bytea[], %s::bigint[], %s::smallint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::smallint[], %s::smallint[], %s::bytea[],
    %s::bytea[], %s::bigint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT DO NOTHING
"""
_ADD_SQLITE: Final = f"""
INSERT INTO card_movements ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT DO NOTHING
"""
_MARK_POSTGRES: Final = f"""
UPDATE terminal_records SET outcome = k.outcome, reason = k.reason
FROM unnest(%s::smallint[], %s::text[], %s::bytea[], %s::bigint[]) AS k (outcome, reason, journal_id, seq)
WHERE terminal_records.journal_id = k.journal_id AND terminal_records.seq = k.seq
    AND terminal_records.outcome = {_PENDING}
"""
_MARK_SQLITE: Final = f"""
UPDATE terminal_records SET outcome = ?, reason = ? WHERE journal_id = ? AND seq = ? AND outcome = {_PENDING}
"""


class KnownBy(IntEnum):
    """How it is known that a movement happened; a number in `card_movements.known_by`."""

    MACS = 1  # MAC2 and TAC
    EVIDENCE = 2  # a later record of the card
    PEOPLE = 3  # two people
    TAC = 4  # a load


class Accepted(NamedTuple):
    """A movement that is in the books."""

    movement: Movement
    record: RecordKey
    made_at_unix_ms: int
    meal: int
    known_by: KnownBy
    origin: int
    merchant_account: int
    posted_seq: int


Mark = tuple[int, str | None, bytes, int]  # outcome, reason, journal, number


def waiting(connection: Connection, limit: int) -> list[Waiting]:
    """Return what nobody has looked at yet, in the order in which it came in."""
    table = terminal_records
    return _waiting(connection, (table.c.outcome == _PENDING) & table.c.reason.is_(None), limit)


def by_identity(connection: Connection, wanted: Collection[Identity]) -> dict[Identity, Claim]:
    """Return which of these identities are taken, and by what."""
    found = _claims(connection, _BY_IDENTITY, _IDENTITIES_POSTGRES, "asn, purse, line, counter", wanted)
    return {claim.identity: claim for claim in found}


def by_terminal(connection: Connection, wanted: Collection[TerminalKey]) -> dict[TerminalKey, Claim]:
    """Return which of these numbers of terminals are taken, and by what."""
    found = _claims(connection, _BY_TERMINAL, _TERMINALS_POSTGRES, "asn, terminal_id, terminal_seq", wanted)
    return {claim.terminal: claim for claim in found}


def add(connection: Connection, accepted: Collection[Accepted], now_unix_ms: int) -> None:
    """Write movements down.

    Raises:
        OutcomeUnknown: somebody else took one of the identities at the same moment: look again.
    """
    if not accepted:
        return
    rows = sorted(_row(each, now_unix_ms) for each in accepted)
    if connection.dialect.name == "postgresql":
        count = connection.exec_driver_sql(_ADD_POSTGRES, literals(rows)).rowcount
    else:
        count = sum(connection.exec_driver_sql(_ADD_SQLITE, row).rowcount for row in rows)
    if count != len(rows):
        raise OutcomeUnknown("another process has written the same movement: look again")


def mark(connection: Connection, marks: Iterable[Mark]) -> None:
    """Say what became of records; those that are decided already stay as they are."""
    rows = sorted(marks, key=lambda each: each[2:])
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_MARK_POSTGRES, literals(rows))
    else:
        connection.exec_driver_sql(_MARK_SQLITE, rows)


def look_again(connection: Connection, reasons: Sequence[str]) -> int:
    """Put what waits for one of these reasons before those who assess once more; return how many."""
    chosen = (terminal_records.c.outcome == _PENDING) & terminal_records.c.reason.in_(list(reasons))
    return connection.execute(update(terminal_records).where(chosen).values(reason=None)).rowcount


def release_revoked(connection: Connection, terminal_id: bytes) -> int:
    """Let a revoked terminal's records be assessed: its last good number is known. Return how many."""
    table = terminal_records
    apart = (table.c.outcome == int(Outcome.QUARANTINED)) & (table.c.terminal_id == terminal_id)
    chosen = apart & (table.c.reason == Quarantine.REVOKED_TERMINAL.value)
    return connection.execute(update(table).where(chosen).values(outcome=_PENDING, reason=None)).rowcount


def record(connection: Connection, key: RecordKey) -> Waiting:
    """Return a record that is kept."""
    wanted = (terminal_records.c.journal_id == key[0]) & (terminal_records.c.seq == key[1])
    return _waiting(connection, wanted, 1)[0]


def waits_for(connection: Connection, key: RecordKey) -> tuple[Outcome, str | None] | None:
    """Return how a record stands, and why; None = it is not here."""
    table = terminal_records
    wanted = (table.c.journal_id == key[0]) & (table.c.seq == key[1])
    row = connection.execute(select(table.c.outcome, table.c.reason).where(wanted)).first()
    return None if row is None else (Outcome(row[0]), row[1])


def pending_for(connection: Connection, reasons: Sequence[str], limit: int) -> list[RecordKey]:
    """Return the records that wait for one of these reasons."""
    table = terminal_records
    wanted = (table.c.outcome == _PENDING) & table.c.reason.in_(list(reasons))
    rows = connection.execute(select(table.c.journal_id, table.c.seq).where(wanted).limit(limit))
    return [(bytes(row[0]), row[1]) for row in rows]


def begun_before(connection: Connection, before_unix_ms: int, limit: int) -> list[Waiting]:
    """Return first entries of movements that came in before then, and whose end has not come."""
    table = terminal_records
    wanted = (table.c.outcome == _PENDING) & (table.c.reason == Why.BEGUN.value)
    return _waiting(connection, wanted & (table.c.received_at_unix_ms <= before_unix_ms), limit)


def has_ended(connection: Connection, opened: RecordKey) -> bool:
    """Tell whether an entry after this one says how its movement ended."""
    table = terminal_records
    wanted = (table.c.journal_id == opened[0]) & table.c.seq.between(opened[1] + 1, opened[1] + _ENDS_WITHIN)
    for each in _waiting(connection, wanted, _ENDS_WITHIN):
        try:
            movement = decode(each.body)
        except Unreadable:
            continue
        if movement is not None and movement.opened_seq == opened[1] and movement.settled:
            return True
    return False


def _waiting(connection: Connection, wanted: ColumnElement[bool], limit: int) -> list[Waiting]:
    table = terminal_records
    query = select(
        table.c.journal_id, table.c.seq, table.c.origin, table.c.received_at_unix_ms, table.c.body,
        table.c.terminal_id,
    )  # fmt: skip
    found = [
        Waiting(bytes(row[0]), row[1], row[2], row[3], bytes(row[4]), bytes(row[5]))
        for row in connection.execute(query.where(wanted).order_by(table.c.received_at_unix_ms).limit(limit))
    ]
    found.sort(key=lambda each: (each.received_at_unix_ms, each.journal_id, each.seq))
    return found


def _claims(
    connection: Connection,
    statement: str,
    postgres: str,
    columns: str,
    wanted: Collection[tuple[Any, ...]],
) -> list[Claim]:
    keys = sorted(wanted)
    if not keys:
        return []
    if connection.dialect.name == "postgresql":
        found = connection.exec_driver_sql(statement.format(keys=postgres), literals(keys))
    else:
        places = ", ".join(["(" + ", ".join("?" * len(keys[0])) + ")"] * len(keys))
        table = f"(WITH k ({columns}) AS (VALUES {places}) SELECT * FROM k) k"
        found = connection.exec_driver_sql(
            statement.format(keys=table), tuple(part for key in keys for part in key)
        )
    return [
        Claim(
            (bytes(r[0]), r[1], r[2], r[3]),
            (bytes(r[0]), bytes(r[4]), r[5]),
            bytes(r[6]),
            (bytes(r[7]), r[8]),
            r[9] != KnownBy.MACS,
        )
        for r in found
    ]


def _row(each: Accepted, now_unix_ms: int) -> tuple[Any, ...]:  # as the columns of the table
    movement = each.movement
    return (
        *identity_of(movement), movement.terminal_id, movement.terminal_seq, int(movement.transaction_type),
        movement.amount_fen, movement.balance_before_fen, movement.balance_after_fen, each.made_at_unix_ms,
        each.meal, int(each.known_by), digest_of(movement), *each.record, each.origin, each.merchant_account,
        each.posted_seq, now_unix_ms,
    )  # fmt: skip
