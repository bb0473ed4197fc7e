"""Statements of the intake, each for a whole message, in the words of both databases.

SQLite has one writer at a time, so that what was looked up is still so when it is written. In PostgreSQL
another gateway may bring the same record at the same moment: its row wins, and `add_records` tells.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from campus_node.records.arrays import literals
from campus_node.records.judgement import Kept, Key, New, Sender
from campus_node.records.spooled import Spooled
from campus_node.registry.tables import psams, terminals
from campus_node.registry.terminals import TerminalState
from federation.transfer import Origin

_KEPT_POSTGRES: Final = """
SELECT r.journal_id, r.seq, r.terminal_id, r.body, r.outcome
FROM unnest(%s::bytea[], %s::bigint[]) AS k (journal_id, seq)
JOIN terminal_records r ON r.journal_id = k.journal_id AND r.seq = k.seq
"""
_KEPT_SQLITE: Final = """
WITH k (journal_id, seq) AS (VALUES {values})
SELECT r.journal_id, r.seq, r.terminal_id, r.body, r.outcome
FROM k JOIN terminal_records r ON r.journal_id = k.journal_id AND r.seq = k.seq
"""
_ADD_POSTGRES: Final = """
INSERT INTO terminal_records (journal_id, seq, terminal_id, outcome, origin, reason, gateway,
                              taken_at_unix_ms, received_at_unix_ms, body)
SELECT k.journal_id, k.seq, k.terminal_id, k.outcome, k.origin, k.reason, %s, k.taken, %s, k.body
FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[], %s::smallint[], %s::smallint[], %s::text[],
            %s::bigint[], %s::bytea[])
     AS k (journal_id, seq, terminal_id, outcome, origin, reason, taken, body)
ON CONFLICT DO NOTHING RETURNING journal_id, seq
"""
_ADD_SQLITE: Final = """
INSERT INTO terminal_records (journal_id, seq, terminal_id, outcome, origin, reason, gateway,
                              taken_at_unix_ms, received_at_unix_ms, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_CONFLICT: Final = """
INSERT INTO record_conflicts (journal_id, seq, digest, terminal_id, gateway, received_at_unix_ms, body)
VALUES ({mark}, {mark}, {mark}, {mark}, {mark}, {mark}, {mark}) ON CONFLICT DO NOTHING
"""


def kept_of(connection: Connection, keys: Collection[Key]) -> dict[Key, Kept]:
    """Return what is here already of these records."""
    wanted = sorted(keys)
    if not wanted:
        return {}
    if connection.dialect.name == "postgresql":
        rows = connection.exec_driver_sql(_KEPT_POSTGRES, literals(wanted))
    else:
        statement = _KEPT_SQLITE.format(values=", ".join(["(?, ?)"] * len(wanted)))
        rows = connection.exec_driver_sql(statement, tuple(part for key in wanted for part in key))
    return {(bytes(row[0]), row[1]): Kept(bytes(row[2]), bytes(row[3]), row[4]) for row in rows}


def senders_of(connection: Connection, terminal_ids: Collection[bytes]) -> Mapping[bytes, Sender]:
    """Return what the registry knows of these terminals."""
    joined = terminals.join(psams, terminals.c.psam_serial == psams.c.psam_serial)
    last_good = psams.c.last_good_terminal_seq.is_not(None)
    query = select(terminals.c.terminal_id, terminals.c.state, terminals.c.gateway, last_good)
    rows = connection.execute(
        query.select_from(joined).where(terminals.c.terminal_id.in_(sorted(terminal_ids)))
    )
    return {bytes(row[0]): Sender(TerminalState(row[1]), row[2], bool(row[3])) for row in rows}


def add_records(connection: Connection, gateway: str, new: Collection[New], now_unix_ms: int) -> list[Key]:
    """Keep new records, in one order for all writers; return those that were not there."""
    if not new:
        return []
    ordered = sorted(new, key=lambda each: (each.record.journal_id, each.record.seq))
    rows = [_row(each) for each in ordered]
    if connection.dialect.name == "postgresql":
        added = connection.exec_driver_sql(_ADD_POSTGRES, (gateway, now_unix_ms, *literals(rows)))
        return [(bytes(journal_id), seq) for journal_id, seq in added]
    full: list[tuple[Any, ...]] = [(*r[:6], gateway, r[6], now_unix_ms, r[7]) for r in rows]
    connection.exec_driver_sql(_ADD_SQLITE, full)
    return [(each.record.journal_id, each.record.seq) for each in ordered]


def add_conflict(
    connection: Connection, gateway: str, digest: bytes, record: Spooled, now_unix_ms: int
) -> bool:
    """Hold a content that contradicts what is here. False = it is held already."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    values = (
        record.journal_id, record.seq, digest, record.terminal_id, gateway, now_unix_ms, record.body,
    )  # fmt: skip
    return connection.exec_driver_sql(_ADD_CONFLICT.format(mark=mark), values).rowcount == 1


def _row(new: New) -> Sequence[Any]:  # as the columns of the statements above
    record = new.record
    origin = Origin.RECOLLECTED if record.recollected else Origin.OFFLINE
    reason = None if new.reason is None else new.reason.value
    return (
        record.journal_id, record.seq, record.terminal_id, int(new.outcome), int(origin), reason,
        record.taken_at_unix_ms, record.body,
    )  # fmt: skip
