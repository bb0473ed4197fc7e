"""What people ask about records. Each function works inside the caller's transaction."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, select

from campus_node.records.spooled import Outcome
from campus_node.records.tables import journals, record_conflicts, spools, terminal_records


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """One record as it is kept."""

    journal_id: bytes
    seq: int
    terminal_id: bytes
    outcome: Outcome
    origin: int
    reason: str | None
    gateway: str
    taken_at_unix_ms: int
    received_at_unix_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A content that came for a number which another content holds."""

    journal_id: bytes
    seq: int
    terminal_id: bytes
    gateway: str
    received_at_unix_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SpoolProgress:
    """How far one spool has come; see docs/records.md."""

    gateway: str
    spool_id: bytes
    committed_through: int
    backup_through: int
    covered_through: int
    last_seen_at_unix_ms: int


def of_journal(connection: Connection, journal_id: bytes, first_seq: int, limit: int) -> list[KeptRecord]:
    """Return records of a journal from a number on."""
    table = terminal_records
    wanted = (table.c.journal_id == journal_id) & (table.c.seq >= first_seq)
    return _found(connection, wanted, limit, newest_first=False)


def of_terminal(connection: Connection, terminal_id: bytes, limit: int) -> list[KeptRecord]:
    """Return the newest records of a terminal's journals."""
    its_journals = select(journals.c.journal_id).where(journals.c.terminal_id == terminal_id)
    wanted = terminal_records.c.journal_id.in_(its_journals)
    return _found(connection, wanted, limit, newest_first=True)


def quarantined(connection: Connection, limit: int) -> list[KeptRecord]:
    """Return what is kept apart, newest first."""
    wanted = terminal_records.c.outcome == int(Outcome.QUARANTINED)
    return _found(connection, wanted, limit, newest_first=True)


def contradictions(connection: Connection, limit: int) -> list[Contradiction]:
    """Return what contradicts other records, newest first."""
    table = record_conflicts
    query = select(table).order_by(table.c.received_at_unix_ms.desc(), table.c.seq).limit(limit)
    return [
        Contradiction(
            bytes(row.journal_id),
            row.seq,
            bytes(row.terminal_id),
            row.gateway,
            row.received_at_unix_ms,
            bytes(row.body),
        )
        for row in connection.execute(query)
    ]


def progress(connection: Connection) -> list[SpoolProgress]:
    """Return how far every spool has come, by gateway."""
    query = select(spools).order_by(spools.c.gateway, spools.c.first_seen_at_unix_ms)
    return [
        SpoolProgress(
            row.gateway,
            bytes(row.spool_id),
            row.committed_through,
            row.backup_through,
            row.covered_through,
            row.last_seen_at_unix_ms,
        )
        for row in connection.execute(query)
    ]


def _found(
    connection: Connection, wanted: ColumnElement[bool], limit: int, *, newest_first: bool
) -> list[KeptRecord]:
    table = terminal_records
    order = (
        (table.c.received_at_unix_ms.desc(), table.c.journal_id, table.c.seq.desc())
        if newest_first
        else (table.c.journal_id, table.c.seq)
    )
    query = select(table).where(wanted).order_by(*order).limit(limit)
    return [_kept(row) for row in connection.execute(query)]


def _kept(row: Row[tuple[object, ...]]) -> KeptRecord:
    return KeptRecord(
        bytes(row.journal_id), row.seq, bytes(row.terminal_id), Outcome(row.outcome), row.origin, row.reason,
        row.gateway, row.taken_at_unix_ms, row.received_at_unix_ms, bytes(row.body),
    )  # fmt: skip
