"""How complete each journal is, and which numbers are missing (rules of the field, 9)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, or_, select, text, update

from campus_node.records.arrays import literals
from campus_node.records.spooled import Missing
from campus_node.records.tables import journals, terminal_records
from campus_node.registry.tables import terminals

_FETCHED: Final = 1_000
_BEGIN: Final = text("""
INSERT INTO journals (journal_id, terminal_id, gateway, contiguous_through, highest_seq)
VALUES (:journal_id, :terminal_id, :gateway, 0, 0) ON CONFLICT (journal_id) DO NOTHING
""")
_PROGRESS_POSTGRES: Final = """
UPDATE journals SET gateway = %s, contiguous_through = k.through, highest_seq = k.highest,
    gap_since_unix_ms = k.since
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[]) AS k (through, highest, since, journal_id)
WHERE journals.journal_id = k.journal_id
"""
_PROGRESS_SQLITE: Final = """
UPDATE journals SET gateway = ?, contiguous_through = ?, highest_seq = ?, gap_since_unix_ms = ?
WHERE journal_id = ?
"""
_RANGES: Final = text("""
SELECT before + 1, seq - 1 FROM (
    SELECT seq, lag(seq, 1, :through) OVER (ORDER BY seq) AS before FROM terminal_records
    WHERE journal_id = :journal_id AND seq > :through) AS numbers
WHERE seq > before + 1 ORDER BY seq LIMIT :limit
""")


class Progress(NamedTuple):
    """How complete a journal is."""

    contiguous_through: int
    highest_seq: int
    gap_since_unix_ms: int | None


def note(
    connection: Connection,
    gateway: str,
    arrived: Mapping[bytes, Collection[int]],
    terminal_of: Mapping[bytes, bytes],
    now_unix_ms: int,
) -> None:
    """Take into account which numbers have just come.

    Args:
        arrived: new numbers by journal; their rows are written.
        terminal_of: whose journal each is.
    """
    if not arrived:
        return
    known = _locked(connection, arrived)
    if len(known) < len(arrived):
        first = [
            {"journal_id": journal_id, "terminal_id": terminal_of[journal_id], "gateway": gateway}
            for journal_id in sorted(arrived)
            if journal_id not in known
        ]
        connection.execute(_BEGIN, first)
        known = _locked(connection, arrived)
    rows: list[tuple[Any, ...]] = []
    for journal_id, numbers in sorted(arrived.items()):
        now = _progress(connection, journal_id, known[journal_id], numbers, now_unix_ms)
        rows.append((*now, journal_id))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_PROGRESS_POSTGRES, (gateway, *literals(rows)))
    else:
        connection.exec_driver_sql(_PROGRESS_SQLITE, [(gateway, *row) for row in rows])


def missing(
    connection: Connection, limit: int, *, gateway: str = "", since_before_unix_ms: int | None = None
) -> list[Missing]:
    """Return what is missing, longest first, at most `limit` ranges.

    Args:
        gateway: only of terminals that this gateway serves.
        since_before_unix_ms: only what has been missing since then.
    """
    query = select(journals).where(journals.c.gap_since_unix_ms.is_not(None))
    if since_before_unix_ms is not None:
        query = query.where(journals.c.gap_since_unix_ms <= since_before_unix_ms)
    if gateway:
        query = query.where(_served_by(gateway))
    found: list[Missing] = []
    for row in connection.execute(query.order_by(journals.c.gap_since_unix_ms).limit(limit)).all():
        parameters = {
            "journal_id": bytes(row.journal_id),
            "through": row.contiguous_through,
            "limit": limit - len(found),
        }
        found += [
            Missing(
                bytes(row.terminal_id),
                bytes(row.journal_id),
                row.gateway,
                first,
                last,
                row.gap_since_unix_ms,
            )
            for first, last in connection.execute(_RANGES, parameters)
        ]
        if len(found) >= limit:
            break
    return found


def to_be_asked(
    connection: Connection, gateway: str, since_before_unix_ms: int, asked_before_unix_ms: int, limit: int
) -> list[Missing]:
    """Return what to ask a gateway's terminals for once more: the first range of each journal.

    A terminal takes one request at a time; the next range is asked for when this one has come.
    """
    asked = journals.c.recollect_asked_at_unix_ms
    query = (
        select(journals)
        .where(
            journals.c.gap_since_unix_ms <= since_before_unix_ms,
            or_(asked.is_(None), asked <= asked_before_unix_ms),
            _served_by(gateway),
        )
        .order_by(journals.c.gap_since_unix_ms)
        .limit(limit)
    )
    found = []
    for row in connection.execute(query).all():
        parameters = {"journal_id": bytes(row.journal_id), "through": row.contiguous_through, "limit": 1}
        for first, last in connection.execute(_RANGES, parameters):
            found.append(
                Missing(
                    bytes(row.terminal_id), bytes(row.journal_id), gateway, first, last, row.gap_since_unix_ms
                )
            )
    return found


def note_asked(connection: Connection, journal_ids: Collection[bytes], now_unix_ms: int) -> None:
    """Remember that the missing records of these journals were asked for."""
    _locked(connection, journal_ids)  # in the order of all writers, so that two of them never deadlock
    chosen = journals.c.journal_id.in_(sorted(journal_ids))
    connection.execute(update(journals).where(chosen).values(recollect_asked_at_unix_ms=now_unix_ms))


def _served_by(gateway: str) -> Any:  # a condition on journals; SQLAlchemy's type of it says nothing more
    served = select(terminals.c.terminal_id).where(terminals.c.gateway == gateway)
    return journals.c.terminal_id.in_(served)


def _locked(connection: Connection, journal_ids: Collection[bytes]) -> dict[bytes, Progress]:
    query = (
        select(
            journals.c.journal_id,
            journals.c.contiguous_through,
            journals.c.highest_seq,
            journals.c.gap_since_unix_ms,
        )
        .where(journals.c.journal_id.in_(sorted(journal_ids)))
        .order_by(journals.c.journal_id)
        .with_for_update()
    )
    return {bytes(row[0]): Progress(*row[1:]) for row in connection.execute(query)}


def _progress(
    connection: Connection, journal_id: bytes, before: Progress, numbers: Collection[int], now_unix_ms: int
) -> Progress:
    highest = max(before.highest_seq, *numbers)
    through = before.contiguous_through
    here = set(numbers)
    if through + 1 in here:
        while through + 1 in here:
            through += 1
        if before.highest_seq > through:  # the hole is filled: what came before may go on from here
            through = _go_on(connection, journal_id, through)
    if through == highest:
        return Progress(through, highest, None)
    same_hole = through == before.contiguous_through and before.gap_since_unix_ms is not None
    return Progress(through, highest, before.gap_since_unix_ms if same_hole else now_unix_ms)


def _go_on(connection: Connection, journal_id: bytes, through: int) -> int:
    for seq in _numbers_above(connection, journal_id, through):
        if seq != through + 1:
            break
        through = seq
    return through


def _numbers_above(connection: Connection, journal_id: bytes, through: int) -> Iterator[int]:
    while True:
        query = (
            select(terminal_records.c.seq)
            .where(terminal_records.c.journal_id == journal_id, terminal_records.c.seq > through)
            .order_by(terminal_records.c.seq)
            .limit(_FETCHED)
        )
        numbers = connection.execute(query).scalars().all()
        yield from numbers
        if len(numbers) < _FETCHED:
            return
        through = numbers[-1]
