"""How far each gateway's spool has come. Each function works inside the caller's transaction.

Marks are per gateway and spool. They may go back: when this database was restored (the gateway sends again
what it still has), and when a spool was put back from a copy (what it sends under old positions is new then).
"""

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, select, text, update

from campus_node.records.spooled import SEQ_MAX, SPOOL_ID_BYTES, Marks
from campus_node.records.tables import spools
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from campus_node.wording import Sentence
from federation.errors import Unreadable

_BEGIN: Final = text("""
INSERT INTO spools (gateway, spool_id, committed_through, backup_through, covered_through, alarms_through,
                    first_seen_at_unix_ms, last_seen_at_unix_ms)
VALUES (:gateway, :spool_id, 0, 0, 0, 0, :now, :now) ON CONFLICT (gateway, spool_id) DO NOTHING
""")
Name = tuple[str, bytes]  # gateway, spool


class SpoolMarks(NamedTuple):
    """How far a spool has come.

    Args:
        committed_through: every position up to it is here.
        covered_through: and in a backup, as far as somebody said so.
        alarms_through: every alarm of this spool up to it is here.
    """

    committed_through: int = 0
    covered_through: int = 0
    alarms_through: int = 0

    def marks(self, *, by_backup: bool) -> Marks:
        """Return what the gateway is told; without backups to wait for, what is committed is covered."""
        covered = min(self.covered_through, self.committed_through)
        return Marks(self.committed_through, covered if by_backup else self.committed_through)


def require_id(spool_id: bytes) -> None:
    """Return if this can name a spool; raise Unreadable."""
    if len(spool_id) != SPOOL_ID_BYTES:
        raise Unreadable(Sentence("a spool's id has 16 bytes"))


def attach(
    connection: Connection,
    name: Name,
    last_position: int,
    oldest_position: int,
    now_unix_ms: int,
) -> SpoolMarks:
    """Take what a gateway says of its spool, and return how far the spool has come then.

    Raises:
        Unreadable: the positions are out of range, or the oldest is above the last.
    """
    if not 0 <= oldest_position <= max(last_position, 1) <= SEQ_MAX:
        raise Unreadable(Sentence("a spool's oldest position is not above its last one"))
    before = locked(connection, name, now_unix_ms)
    now = before
    if last_position < before.committed_through:
        now = SpoolMarks(last_position, min(before.covered_through, last_position))  # its alarms begin anew
        _alarm(connection, "spool.rolled_back", name, before, last_position, now_unix_ms)
    elif oldest_position > before.committed_through + 1:
        now = before._replace(committed_through=oldest_position - 1)
        _alarm(connection, "spool.records_missing", name, before, oldest_position, now_unix_ms)
    if now != before:
        connection.execute(
            update(spools)
            .where(_that(name))
            .values(
                committed_through=now.committed_through,
                covered_through=now.covered_through,
                backup_through=now.covered_through,
                alarms_through=now.alarms_through,
            )
        )
    return now


def locked(connection: Connection, name: Name, now_unix_ms: int) -> SpoolMarks:
    """Return how far a spool has come, and keep others from it until the transaction ends."""
    found = _read(connection, name, lock=True)
    if found is None:
        parameters = {"gateway": name[0], "spool_id": name[1], "now": now_unix_ms}
        connection.execute(_BEGIN, parameters)
        found = _read(connection, name, lock=True)
    assert found is not None, "it was just put there"
    return found


def find(connection: Connection, name: Name) -> SpoolMarks:
    """Return how far a spool has come; zeros for one that never was here."""
    return _read(connection, name, lock=False) or SpoolMarks()


def commit(connection: Connection, name: Name, committed_through: int, now_unix_ms: int) -> None:
    """Move the watermark."""
    values = {"committed_through": committed_through, "last_seen_at_unix_ms": now_unix_ms}
    connection.execute(update(spools).where(_that(name)).values(**values))


def note_alarm(connection: Connection, name: Name, number: int) -> None:
    """Remember up to which number the gateway's alarms are here."""
    connection.execute(update(spools).where(_that(name)).values(alarms_through=number))


def begin_backup(connection: Connection) -> int:
    """Remember what is committed now, before a backup begins; return how many spools there are."""
    return connection.execute(update(spools).values(backup_through=spools.c.committed_through)).rowcount


def end_backup(connection: Connection) -> int:
    """Count as covered what was committed when the backup began; return in how many spools that is more."""
    more = spools.c.backup_through > spools.c.covered_through
    return connection.execute(
        update(spools).where(more).values(covered_through=spools.c.backup_through)
    ).rowcount


def _that(name: Name) -> ColumnElement[bool]:
    return (spools.c.gateway == name[0]) & (spools.c.spool_id == name[1])


def _read(connection: Connection, name: Name, *, lock: bool) -> SpoolMarks | None:
    query = select(spools.c.committed_through, spools.c.covered_through, spools.c.alarms_through).where(
        _that(name)
    )
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else SpoolMarks(*row)


def _alarm(
    connection: Connection, what: str, name: Name, before: SpoolMarks, position: int, now_unix_ms: int
) -> None:
    evidence = {
        "spool": name[1].hex().upper(),
        "committed_through": before.committed_through,
        "position": position,
    }
    raise_alarm(connection, Alarm(what, Severity.SERIOUS, f"gateway/{name[0]}", evidence), now_unix_ms)
