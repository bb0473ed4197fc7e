"""Alarms in the database. Each function works inside the caller's transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, select, text, update

from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.tables import alarms
from federation.errors import NotFound

LISTED_MAX = 1000

# The same words in both databases. What grows worse must be seen again, so it loses its acknowledgement.
_RAISE = text("""
INSERT INTO alarms (name, severity, subject, dedupe_key, evidence, occurrences,
                    first_seen_at_unix_ms, last_seen_at_unix_ms)
VALUES (:name, :severity, :subject, :dedupe_key, :evidence, 1, :now, :now)
ON CONFLICT (dedupe_key) WHERE closed_at_unix_ms IS NULL DO UPDATE SET
    occurrences = alarms.occurrences + 1,
    last_seen_at_unix_ms = CASE WHEN excluded.last_seen_at_unix_ms > alarms.last_seen_at_unix_ms
        THEN excluded.last_seen_at_unix_ms ELSE alarms.last_seen_at_unix_ms END,
    evidence = excluded.evidence,
    acknowledged_at_unix_ms = CASE WHEN excluded.severity > alarms.severity
        THEN NULL ELSE alarms.acknowledged_at_unix_ms END,
    acknowledged_by = CASE WHEN excluded.severity > alarms.severity
        THEN NULL ELSE alarms.acknowledged_by END,
    acknowledged_note = CASE WHEN excluded.severity > alarms.severity
        THEN NULL ELSE alarms.acknowledged_note END,
    severity = CASE WHEN excluded.severity > alarms.severity
        THEN excluded.severity ELSE alarms.severity END
RETURNING alarm
""")


@dataclass(frozen=True, slots=True)
class RecordedAlarm:
    """An alarm as it stands in the database: all occurrences of one key between opening and closing."""

    number: int
    alarm: Alarm  # the gravest severity and the last evidence
    occurrences: int
    first_seen_at_unix_ms: int
    last_seen_at_unix_ms: int
    acknowledged_at_unix_ms: int | None
    acknowledged_by: str | None
    acknowledged_note: str | None
    closed_at_unix_ms: int | None
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms are wanted; the default is all that are open."""

    closed: bool | None = False  # None = open and closed
    acknowledged: bool | None = None
    severity_at_least: Severity = Severity.NOTICE
    area: str = ""  # first parts of the name: `ledger` finds ledger.unbalanced
    subject: str = ""
    seen_since_unix_ms: int = 0


def raise_alarm(connection: Connection, alarm: Alarm, now_unix_ms: int) -> int:
    """Open an alarm, or count an occurrence of the one that is open under its key; return its number."""
    number = connection.execute(
        _RAISE,
        {
            "name": alarm.name,
            "severity": int(alarm.severity),
            "subject": alarm.subject,
            "dedupe_key": alarm.key,
            "evidence": json.dumps(dict(alarm.evidence), ensure_ascii=False, sort_keys=True),
            "now": now_unix_ms,
        },
    ).scalar_one()
    return int(number)


def acknowledge(connection: Connection, number: int, operator: str, note: str, now_unix_ms: int) -> bool:
    """Record who has seen an open alarm. False = somebody had already, or it is closed; nothing changed.

    Raises:
        NotFound: there is no such alarm.
    """
    return _change(
        connection,
        number,
        alarms.c.acknowledged_at_unix_ms.is_(None) & alarms.c.closed_at_unix_ms.is_(None),
        acknowledged_at_unix_ms=now_unix_ms,
        acknowledged_by=operator,
        acknowledged_note=note,
    )


def close(connection: Connection, number: int, closed_by: str, now_unix_ms: int) -> bool:
    """End an alarm; the next occurrence opens a new one. False = it was closed already.

    Raises:
        NotFound: there is no such alarm.
    """
    return _change(
        connection,
        number,
        alarms.c.closed_at_unix_ms.is_(None),
        closed_at_unix_ms=now_unix_ms,
        closed_by=closed_by,
    )


def find(
    connection: Connection,
    wanted: AlarmFilter | None = None,
    *,
    limit: int = 100,
    before_number: int | None = None,
) -> list[RecordedAlarm]:
    """Return alarms, newest number first; `before_number` gives the next page."""
    assert 0 < limit <= LISTED_MAX, f"limit must be 1 to {LISTED_MAX}"
    query = select(alarms).where(*_conditions(wanted or AlarmFilter()))
    if before_number is not None:
        query = query.where(alarms.c.alarm < before_number)
    return [_recorded(row) for row in connection.execute(query.order_by(alarms.c.alarm.desc()).limit(limit))]


def _conditions(wanted: AlarmFilter) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        alarms.c.severity >= int(wanted.severity_at_least),
        alarms.c.last_seen_at_unix_ms >= wanted.seen_since_unix_ms,
    ]
    if wanted.closed is not None:
        conditions.append(alarms.c.closed_at_unix_ms.is_not(None).is_(wanted.closed))
    if wanted.acknowledged is not None:
        conditions.append(alarms.c.acknowledged_at_unix_ms.is_not(None).is_(wanted.acknowledged))
    if wanted.area:
        in_area = alarms.c.name.startswith(f"{wanted.area}.", autoescape=True)
        conditions.append((alarms.c.name == wanted.area) | in_area)
    if wanted.subject:
        conditions.append(alarms.c.subject == wanted.subject)
    return conditions


def _change(connection: Connection, number: int, condition: ColumnElement[bool], **values: object) -> bool:
    changed = connection.execute(update(alarms).where(alarms.c.alarm == number, condition).values(**values))
    if changed.rowcount == 1:
        return True
    if connection.execute(select(alarms.c.alarm).where(alarms.c.alarm == number)).first() is None:
        raise NotFound(f"there is no alarm {number}")
    return False


def _recorded(row: Row[tuple[object, ...]]) -> RecordedAlarm:
    return RecordedAlarm(
        row.alarm,
        Alarm(row.name, Severity(row.severity), row.subject, json.loads(row.evidence), row.dedupe_key),
        row.occurrences,
        row.first_seen_at_unix_ms,
        row.last_seen_at_unix_ms,
        row.acknowledged_at_unix_ms,
        row.acknowledged_by,
        row.acknowledged_note,
        row.closed_at_unix_ms,
        row.closed_by,
    )
