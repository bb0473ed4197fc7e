"""Takes the records of gateways' spools: once each, with the first answer for every repeat.

One message is one transaction: its records, what contradicts others, alarms, how complete each journal is,
and the spool's watermark are there together or not at all. So an answer that was lost costs a repeat and
nothing else (rules of the field, 5 to 9).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine

from campus_node.database.connect import reading, writing
from campus_node.records import gaps, rows, spools
from campus_node.records.judgement import Judged, New, Sender, judge, require_message
from campus_node.records.spooled import Marks, Missing, Outcome, Quarantine, Spooled
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Unreadable

_SEVERITY: Final = {
    Quarantine.UNKNOWN_TERMINAL: Severity.SERIOUS,
    Quarantine.RETIRED_TERMINAL: Severity.SERIOUS,
    Quarantine.REVOKED_TERMINAL: Severity.CRITICAL,
    Quarantine.UNREADABLE: Severity.WARNING,
}


class Taken(NamedTuple):
    """What became of a message: one outcome a record, and how far its spool is now."""

    outcomes: list[Outcome]
    marks: Marks


class Intake:
    """Where all gateways' records come in. Safe to call from several threads.

    Args:
        db: where they are kept.
        clock: wall time.
        covered_by_backup: whether a record counts as covered only when a backup that holds it was made;
            otherwise as soon as it is committed.
        on_taken: told after each message that its records are here; must not wait.
    """

    def __init__(
        self,
        db: Engine,
        clock: Clock,
        *,
        covered_by_backup: bool = False,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._covered_by_backup = covered_by_backup
        self._on_taken = on_taken

    @property
    def covered_by_backup(self) -> bool:
        """Whether marks of what is covered move by themselves, when a backup was made."""
        return self._covered_by_backup

    def attach(
        self, gateway: str, spool_id: bytes, last_position: int, oldest_position: int
    ) -> spools.SpoolMarks:
        """Return how far a spool has come, after what its gateway says of itself.

        Args:
            last_position: the highest that the spool gave out; below what we know the spool was put back.
            oldest_position: the lowest that it still has; 0 = none.

        Raises:
            Unreadable: the spool's id has no 16 bytes.
            StoreDown, OutcomeUnknown: ask again.
        """
        spools.require_id(spool_id)
        now_unix_ms = self._clock.unix_ms()
        with writing(self._db) as connection:
            return spools.attach(connection, (gateway, spool_id), last_position, oldest_position, now_unix_ms)

    def take(self, gateway: str, spool_id: bytes, records: Sequence[Spooled]) -> list[Outcome]:
        """Take one message in one transaction; return what became of each record; see `take_message`."""
        return self.take_message(gateway, spool_id, records).outcomes

    def take_message(self, gateway: str, spool_id: bytes, records: Sequence[Spooled]) -> Taken:
        """Take one message in one transaction.

        Raises:
            Unreadable: no records, too many, positions that do not follow one another or the watermark, or
                a field out of its range. Nothing was taken.
            StoreDown, OutcomeUnknown: send it again.
        """
        require_message(records, spool_id)
        now_unix_ms = self._clock.unix_ms()
        with writing(self._db) as connection:
            spool = spools.locked(connection, (gateway, spool_id), now_unix_ms)
            if records[0].position > spool.committed_through + 1:
                raise Unreadable(
                    Sentence(
                        "the spool's position {next} comes next, not {given}",
                        next=spool.committed_through + 1,
                        given=records[0].position,
                    )
                )
            judged = self._keep(connection, gateway, records, now_unix_ms)
            committed = max(spool.committed_through, records[-1].position)
            spools.commit(connection, (gateway, spool_id), committed, now_unix_ms)
        self._on_taken()
        marks = spool._replace(committed_through=committed).marks(by_backup=self._covered_by_backup)
        return Taken(judged.outcomes, marks)

    def alarm(self, gateway: str, spool_id: bytes, number: int, alarm: Alarm) -> int:
        """Take an alarm of a gateway once; return up to which number its alarms are here.

        Args:
            number: counts the alarms of this spool; one that is not above the last is a repeat.
        """
        spools.require_id(spool_id)
        now_unix_ms = self._clock.unix_ms()
        with writing(self._db) as connection:
            spool = spools.locked(connection, (gateway, spool_id), now_unix_ms)
            if number > spool.alarms_through:
                raise_alarm(connection, alarm, now_unix_ms)
                spools.note_alarm(connection, (gateway, spool_id), number)
        return max(number, spool.alarms_through)

    def marks(self, gateway: str, spool_id: bytes) -> Marks:
        """Return how far a spool has come; zeros for one that never was here."""
        with reading(self._db) as connection:
            spool = spools.find(connection, (gateway, spool_id))
        return spool.marks(by_backup=self._covered_by_backup)

    def missing(self, gateway: str, older_than_ms: int, again_after_ms: int, limit: int) -> list[Missing]:
        """Return what to ask a gateway's terminals for once more, and remember that it was asked.

        Args:
            older_than_ms: how long a number may be missing before it is asked for.
            again_after_ms: when a journal that was asked for is asked for once more.
        """
        now_unix_ms = self._clock.unix_ms()
        before = now_unix_ms - older_than_ms, now_unix_ms - again_after_ms
        with reading(self._db) as connection:  # most of the time there is nothing
            if not gaps.to_be_asked(connection, gateway, *before, 1):
                return []
        with writing(self._db) as connection:
            found = gaps.to_be_asked(connection, gateway, *before, limit)
            gaps.note_asked(connection, [each.journal_id for each in found], now_unix_ms)
        return found

    def _keep(
        self, connection: Connection, gateway: str, records: Sequence[Spooled], now_unix_ms: int
    ) -> Judged:
        keys = {(record.journal_id, record.seq) for record in records}
        senders = rows.senders_of(connection, {record.terminal_id for record in records})
        judged = judge(records, rows.kept_of(connection, keys), senders)
        new = judged.new
        added = rows.add_records(connection, gateway, new.values(), now_unix_ms)
        if len(added) < len(new):
            # Another gateway brought some of them at the same moment; its rows are committed by now.
            judged = judge(records, rows.kept_of(connection, keys), senders)
        first_time = [new[key] for key in added]
        _note(connection, gateway, first_time, now_unix_ms)
        alarms = _hold(connection, gateway, judged, now_unix_ms)
        alarms += _apart(gateway, first_time)
        alarms += _strays(gateway, first_time, senders)
        for alarm in sorted(alarms, key=lambda alarm: alarm.key):  # in one order: two writers never deadlock
            raise_alarm(connection, alarm, now_unix_ms)
        return judged


def _note(connection: Connection, gateway: str, new: Sequence[New], now_unix_ms: int) -> None:
    arrived: defaultdict[bytes, list[int]] = defaultdict(list)
    terminal_of: dict[bytes, bytes] = {}
    for each in new:
        arrived[each.record.journal_id].append(each.record.seq)
        terminal_of.setdefault(each.record.journal_id, each.record.terminal_id)
    gaps.note(connection, gateway, arrived, terminal_of, now_unix_ms)


def _hold(connection: Connection, gateway: str, judged: Judged, now_unix_ms: int) -> list[Alarm]:
    """Keep what contradicts other records beside them; return an alarm for each that is new."""
    alarms = []
    for (journal_id, seq, digest), record in sorted(judged.conflicts.items()):
        if rows.add_conflict(connection, gateway, digest, record, now_unix_ms):
            evidence = {"journal": journal_id.hex().upper(), "seq": seq, "gateway": gateway}
            subject = f"terminal/{record.terminal_id.hex().upper()}"
            alarms.append(Alarm("record.conflict", Severity.SERIOUS, subject, evidence))
    return alarms


def _apart(gateway: str, new: Sequence[New]) -> list[Alarm]:
    """Return an alarm for each terminal whose records are kept apart, and each reason."""
    found: defaultdict[tuple[Quarantine, bytes], list[Spooled]] = defaultdict(list)
    for each in new:
        if isinstance(each.reason, Quarantine):
            found[each.reason, each.record.terminal_id].append(each.record)
    return [
        Alarm(
            f"record.{why.value}",
            _SEVERITY[why],
            f"terminal/{terminal_id.hex().upper()}",
            {
                "gateway": gateway,
                "records": len(records),
                "journal": records[0].journal_id.hex().upper(),
                "seq": records[0].seq,
            },
        )
        for (why, terminal_id), records in found.items()
    ]


def _strays(gateway: str, new: Sequence[New], senders: Mapping[bytes, Sender]) -> list[Alarm]:
    """Return a notice for each terminal whose records came by a gateway that does not serve it."""
    strays = {
        each.record.terminal_id: senders[each.record.terminal_id].gateway
        for each in new
        if each.record.terminal_id in senders and senders[each.record.terminal_id].gateway != gateway
    }
    return [
        Alarm(
            "record.other_gateway",
            Severity.NOTICE,
            f"terminal/{terminal_id.hex().upper()}",
            {"gateway": gateway, "served_by": served_by},
        )
        for terminal_id, served_by in strays.items()
    ]
