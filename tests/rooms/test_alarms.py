"""Alarms: what people see of what went wrong."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from campus_node.database.connect import reading, writing
from campus_node.watch import store
from campus_node.watch.alarms import Alarm, Severity, alarm_body, parse_alarm
from campus_node.watch.store import AlarmFilter, RecordedAlarm
from federation.clock import VirtualClock
from federation.errors import NotFound


def an_alarm(
    name: str = "account.overdrawn_by_fact",
    severity: Severity = Severity.SERIOUS,
    subject: str = "2100_000000000007",
    **evidence: object,
) -> Alarm:
    return Alarm(name, severity, subject, evidence)


def raised(db: Engine, clock: VirtualClock, alarm: Alarm) -> int:
    with writing(db) as connection:
        return store.raise_alarm(connection, alarm, clock.unix_ms())


def found(db: Engine, wanted: AlarmFilter | None = None) -> list[RecordedAlarm]:
    with reading(db) as connection:
        return store.find(connection, wanted)


def names(db: Engine, wanted: AlarmFilter) -> list[str]:
    return [recorded.alarm.name for recorded in found(db, wanted)]


def test_the_same_again_counts_up_and_keeps_the_last_evidence(db: Engine, clock: VirtualClock) -> None:
    first = clock.unix_ms()
    number = raised(db, clock, an_alarm(overdrawn_fen=100))
    clock.advance(5_000)
    assert raised(db, clock, an_alarm(overdrawn_fen=300)) == number
    (recorded,) = found(db)
    assert recorded.occurrences == 2
    assert (recorded.first_seen_at_unix_ms, recorded.last_seen_at_unix_ms) == (first, first + 5_000)
    assert recorded.alarm.evidence == {"overdrawn_fen": 300}


def test_after_closing_the_same_is_a_new_alarm(db: Engine, clock: VirtualClock) -> None:
    number = raised(db, clock, an_alarm())
    with writing(db) as connection:
        assert store.close(connection, number, "li", clock.unix_ms())
        assert not store.close(connection, number, "wang", clock.unix_ms())
    assert found(db) == []
    again = raised(db, clock, an_alarm())
    assert again != number
    assert [recorded.number for recorded in found(db, AlarmFilter(closed=None))] == [again, number]
    (closed,) = found(db, AlarmFilter(closed=True))
    assert (closed.number, closed.closed_by, closed.occurrences) == (number, "li", 1)


def test_another_subject_or_key_is_another_alarm(db: Engine, clock: VirtualClock) -> None:
    numbers = {
        raised(db, clock, an_alarm()),
        raised(db, clock, an_alarm(subject="2100_000000000008")),
        raised(db, clock, replace(an_alarm(), dedupe_key="its own")),
    }
    assert len(numbers) == 3


def test_an_acknowledgement_says_who_when_and_why_and_the_first_one_stands(
    db: Engine, clock: VirtualClock
) -> None:
    number = raised(db, clock, an_alarm())
    clock.advance(60_000)
    with writing(db) as connection:
        assert store.acknowledge(connection, number, "li", "called the canteen", clock.unix_ms())
        assert not store.acknowledge(connection, number, "wang", "me too", clock.unix_ms())
    raised(db, clock, an_alarm())  # no worse than before: it stays acknowledged
    (recorded,) = found(db, AlarmFilter(acknowledged=True))
    assert (recorded.acknowledged_by, recorded.acknowledged_note) == ("li", "called the canteen")
    assert recorded.acknowledged_at_unix_ms == clock.unix_ms()


def test_what_grows_worse_must_be_seen_again(db: Engine, clock: VirtualClock) -> None:
    number = raised(db, clock, an_alarm(severity=Severity.WARNING))
    with writing(db) as connection:
        store.acknowledge(connection, number, "li", "", clock.unix_ms())
    raised(db, clock, an_alarm(severity=Severity.CRITICAL))
    (worse,) = found(db, AlarmFilter(acknowledged=False))
    assert (worse.alarm.severity, worse.acknowledged_by) == (Severity.CRITICAL, None)
    raised(db, clock, an_alarm(severity=Severity.NOTICE))
    assert found(db)[0].alarm.severity is Severity.CRITICAL


def test_a_clock_set_back_does_not_set_back_when_it_was_last_seen(db: Engine, clock: VirtualClock) -> None:
    raised(db, clock, an_alarm())
    last = clock.unix_ms()
    clock.step(-3_600_000)
    raised(db, clock, an_alarm())
    assert found(db)[0].last_seen_at_unix_ms == last


def test_alarms_are_found_by_area_severity_subject_and_time(db: Engine, clock: VirtualClock) -> None:
    for name, severity in (
        ("ledger.unbalanced", Severity.CRITICAL),
        ("ledger_copy.late", Severity.NOTICE),
        ("offline.terminal", Severity.WARNING),
    ):
        raised(db, clock, an_alarm(name, severity, subject=name))
        clock.advance(1_000)
    newest_first = ["offline.terminal", "ledger_copy.late", "ledger.unbalanced"]
    assert names(db, AlarmFilter()) == newest_first
    assert names(db, AlarmFilter(area="ledger")) == ["ledger.unbalanced"]
    assert names(db, AlarmFilter(area="ledger.unbalanced")) == ["ledger.unbalanced"]
    assert names(db, AlarmFilter(severity_at_least=Severity.WARNING)) == [newest_first[0], newest_first[2]]
    assert names(db, AlarmFilter(subject="ledger_copy.late")) == ["ledger_copy.late"]
    assert names(db, AlarmFilter(seen_since_unix_ms=clock.unix_ms() - 1_500)) == ["offline.terminal"]


def test_a_list_is_read_page_by_page(db: Engine, clock: VirtualClock) -> None:
    numbers = [raised(db, clock, an_alarm(subject=str(subject))) for subject in range(5)]
    with reading(db) as connection:
        first = store.find(connection, limit=3)
        second = store.find(connection, limit=3, before_number=first[-1].number)
    assert [recorded.number for recorded in first + second] == numbers[::-1]


def test_an_alarm_that_does_not_exist_is_told(db: Engine, clock: VirtualClock) -> None:
    with writing(db) as connection:
        with pytest.raises(NotFound, match="no alarm 77"):
            store.acknowledge(connection, 77, "li", "", clock.unix_ms())
        with pytest.raises(NotFound, match="no alarm 77"):
            store.close(connection, 77, "li", clock.unix_ms())


def test_occurrences_from_many_sides_at_once_are_one_alarm_and_all_counted(
    db: Engine, clock: VirtualClock
) -> None:
    def raise_ten() -> None:
        for _ in range(10):
            raised(db, clock, an_alarm())

    threads = [threading.Thread(target=raise_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (recorded,) = found(db)
    assert recorded.occurrences == 40


def test_a_body_carries_the_whole_alarm() -> None:
    alarm = an_alarm(holder="李", amounts_fen=[1, 2])
    back = parse_alarm(alarm_body(alarm))
    assert (back.name, back.severity, back.subject, back.evidence, back.key) == (
        alarm.name,
        alarm.severity,
        alarm.subject,
        alarm.evidence,
        alarm.key,
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"name": "a.b", "severity": "grave", "subject": "x", "evidence": {}, "dedupe_key": ""}',
        '{"name": "nodot", "severity": "notice", "subject": "x", "evidence": {}, "dedupe_key": ""}',
        '{"name": "a.b", "severity": "notice", "subject": "", "evidence": {}, "dedupe_key": ""}',
        '{"name": "a.b", "severity": "notice", "subject": "x", "evidence": [], "dedupe_key": ""}',
        '{"name": "a.b", "severity": 10, "subject": "x", "evidence": {}, "dedupe_key": ""}',
    ],
)
def test_a_body_that_is_no_alarm_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_alarm(body)
