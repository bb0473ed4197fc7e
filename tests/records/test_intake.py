"""Records are taken once, answered alike for ever, and committed with their watermark or not at all."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, event

from campus_node.database.connect import writing
from campus_node.records.intake import Intake
from campus_node.records.spooled import RECORDS_MAX, Marks, Outcome, Spooled
from campus_node.registry.terminals import TerminalState, by_name, set_state
from federation.clock import VirtualClock
from federation.errors import Unreadable
from tests.records.build import (
    FOURTEEN,
    JOURNAL,
    OTHER_JOURNAL,
    OTHER_SPOOL,
    SEVEN,
    SPOOL,
    alarms,
    held,
    placed,
    record,
    register_all,
    rows,
    terminal,
)


def test_a_record_is_kept_and_its_repeat_gets_the_first_answer(intake: Intake, db: Engine) -> None:
    assert intake.take("canteen", SPOOL, [record(1)]) == [Outcome.PENDING]
    assert intake.take("canteen", SPOOL, [record(1)]) == [Outcome.PENDING]
    assert rows(db) == [(JOURNAL, 1, b"record 1", Outcome.PENDING)]
    assert intake.marks("canteen", SPOOL) == Marks(1, 1)
    assert not alarms(db)


def test_every_record_three_times_shuffled_from_two_gateways_is_one_row(
    intake: Intake, db: Engine, seed: int
) -> None:
    rng = random.Random(seed)
    honest = [record(seq) for seq in range(1, 120)]
    honest += [
        record(seq, terminal_id=FOURTEEN.terminal_id, journal_id=OTHER_JOURNAL) for seq in range(1, 80)
    ]
    thrice = honest * 3
    rng.shuffle(thrice)
    streams: dict[tuple[str, bytes], list[Spooled]] = {("canteen", SPOOL): [], ("library", OTHER_SPOOL): []}
    for each in thrice:
        streams[rng.choice(sorted(streams))].append(each)
    for (gateway, spool), sent in streams.items():
        whole = placed(sent)
        for start in range(0, len(whole), 64):
            message = whole[start : start + 64]
            outcomes = intake.take(gateway, spool, message)
            assert set(outcomes) == {Outcome.PENDING}
            assert intake.take(gateway, spool, message) == outcomes  # its answer was lost
        assert intake.marks(gateway, spool) == Marks(len(sent), len(sent))
    assert [(row[0], row[1]) for row in rows(db)] == sorted((r.journal_id, r.seq) for r in honest)
    assert set(alarms(db)) == {"record.other_gateway"}
    assert intake.missing("canteen", 0, 0, 10) == []


def test_another_content_for_a_number_is_held_with_an_alarm_and_never_replaces_the_first(
    intake: Intake, db: Engine
) -> None:
    intake.take("canteen", SPOOL, [record(1)])
    forged = record(1, 2, b"another sum")
    assert intake.take("canteen", SPOOL, [forged]) == [Outcome.CONFLICT]
    assert intake.take("library", OTHER_SPOOL, placed([forged, record(1)])) == [
        Outcome.CONFLICT,
        Outcome.PENDING,
    ]
    assert rows(db) == [(JOURNAL, 1, b"record 1", Outcome.PENDING)]
    assert held(db) == [(1, b"another sum")]
    assert alarms(db)["record.conflict"] == 1


def test_the_same_number_from_another_terminal_is_a_conflict(intake: Intake, db: Engine) -> None:
    message = placed([record(1), record(1, terminal_id=FOURTEEN.terminal_id)])
    assert intake.take("canteen", SPOOL, message) == [Outcome.PENDING, Outcome.CONFLICT]
    assert held(db) == [(1, b"record 1")]


def test_a_record_twice_in_one_message_is_one_row(intake: Intake, db: Engine) -> None:
    message = placed([record(1), record(1), record(1, body=b"not the same")])
    assert intake.take("canteen", SPOOL, message) == [Outcome.PENDING, Outcome.PENDING, Outcome.CONFLICT]
    assert len(rows(db)) == 1
    assert len(held(db)) == 1


def test_records_of_unknown_and_retired_terminals_are_acknowledged_kept_apart_and_alarm(
    intake: Intake, db: Engine, clock: VirtualClock
) -> None:
    stranger = b"\x99" * 6
    with writing(db) as connection:
        set_state(connection, by_name(connection, "till-14"), TerminalState.RETIRED, clock.unix_ms())
    message = placed(
        [
            record(1),
            record(1, terminal_id=stranger, journal_id=OTHER_JOURNAL),
            record(2, terminal_id=stranger, journal_id=OTHER_JOURNAL),
            record(1, terminal_id=FOURTEEN.terminal_id, journal_id=b"L" * 16),
            record(2, body=b""),
        ]
    )
    outcomes = intake.take("canteen", SPOOL, message)
    assert outcomes == [Outcome.PENDING, *[Outcome.QUARANTINED] * 4]
    assert intake.take("canteen", SPOOL, message) == outcomes
    assert alarms(db) == {
        "record.unknown_terminal": 1,
        "record.retired_terminal": 1,
        "record.unreadable": 1,
    }
    assert intake.marks("canteen", SPOOL).committed_through == 5


def test_a_quarantined_record_keeps_its_answer_when_the_terminal_is_registered_later(
    intake: Intake, db: Engine, clock: VirtualClock
) -> None:
    late = terminal(21)
    message = [record(1, terminal_id=late.terminal_id)]
    assert intake.take("canteen", SPOOL, message) == [Outcome.QUARANTINED]
    register_all(db, clock, late)
    assert intake.take("canteen", SPOOL, message) == [Outcome.QUARANTINED]


def test_what_does_not_follow_the_watermark_is_refused_as_a_whole(intake: Intake, db: Engine) -> None:
    intake.take("canteen", SPOOL, [record(1), record(2)])
    for wrong in (
        [],
        [record(4)],
        [record(3), record(5)],
        [record(3), record(3)],
        [record(0, 3)],
        [record(3, body=bytes(487))],
        [record(3, terminal_id=b"short")],
        [record(seq) for seq in range(3, RECORDS_MAX + 4)],
    ):
        with pytest.raises(Unreadable):
            intake.take("canteen", SPOOL, wrong)
    with pytest.raises(Unreadable):
        intake.take("canteen", b"no id", [record(3)])
    assert intake.marks("canteen", SPOOL).committed_through == 2
    assert len(rows(db)) == 2


def test_a_message_of_the_largest_size_is_taken(intake: Intake, db: Engine) -> None:
    full = [record(seq, body=bytes([seq % 256]) * 486) for seq in range(1, RECORDS_MAX + 1)]
    assert intake.take("canteen", SPOOL, full) == [Outcome.PENDING] * RECORDS_MAX
    assert len(rows(db)) == RECORDS_MAX


def test_a_spool_that_overlaps_what_is_known_moves_the_mark_forwards_only(intake: Intake) -> None:
    intake.take("canteen", SPOOL, [record(seq) for seq in (1, 2, 3)])
    assert intake.take_message("canteen", SPOOL, [record(1), record(2)]).marks == Marks(3, 3)
    assert intake.take_message("canteen", SPOOL, [record(3), record(4)]).marks == Marks(4, 4)


class _PowerCut(Exception):
    """The process dies here."""


@contextmanager
def _cut_at(db: Engine, statement_number: int) -> Iterator[list[int]]:
    """Die when the given statement of a transaction is about to be sent, or at the commit after the last."""
    seen = [0]

    def before(connection: Connection, *_: object) -> None:
        seen[0] += 1
        if seen[0] == statement_number:
            connection.invalidate()  # its end of the connection is gone with the process
            raise _PowerCut

    def commit(connection: Connection) -> None:
        before(connection)

    event.listen(db, "before_cursor_execute", before)
    event.listen(db, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(db, "before_cursor_execute", before)
        event.remove(db, "commit", commit)


def test_a_crash_between_any_two_writes_leaves_nothing_and_the_repeat_all(intake: Intake, db: Engine) -> None:
    message = placed(
        [record(1), record(2), record(2, body=b"other"), record(1, journal_id=OTHER_JOURNAL, body=b"")]
    )
    died = 0
    for number in range(1, 100):
        try:
            with _cut_at(db, number) as seen:
                intake.take("canteen", SPOOL, message)
        except _PowerCut:
            died += 1
            assert rows(db) == [], f"statement {number}"
            assert held(db) == []
            assert not alarms(db)
            assert intake.marks("canteen", SPOOL) == Marks(0, 0)
        else:
            assert seen[0] < number, "all statements were sent"
            break
    assert died >= 8
    assert len(rows(db)) == 3
    assert len(held(db)) == 1
    assert alarms(db) == {"record.conflict": 1, "record.unreadable": 1}
    assert intake.marks("canteen", SPOOL) == Marks(4, 4)


def test_two_gateways_that_bring_the_same_records_at_the_same_moment_get_the_same_answers(
    intake: Intake, db: Engine, seed: int
) -> None:
    rng = random.Random(seed)
    messages = [[record(seq) for seq in range(first, first + 32)] for first in range(1, 320, 32)]
    answers: dict[str, list[Outcome]] = {}
    start = threading.Barrier(2)

    def send(gateway: str, spool: bytes, shuffled: list[list[Spooled]]) -> None:
        start.wait(10)
        outcomes = []
        position = 1
        for message in shuffled:
            outcomes += intake.take(gateway, spool, placed(message, position))
            position += len(message)
        answers[gateway] = outcomes

    backwards = [rng.sample(message, len(message)) for message in messages]
    threads = [
        threading.Thread(target=send, args=("canteen", SPOOL, messages)),
        threading.Thread(target=send, args=("library", OTHER_SPOOL, backwards)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {"canteen": [Outcome.PENDING] * 320, "library": [Outcome.PENDING] * 320}
    assert [row[1] for row in rows(db)] == list(range(1, 321))
    assert held(db) == []
    assert intake.missing("canteen", 0, 0, 10) == []


def test_records_of_a_terminal_that_another_gateway_serves_are_taken_and_noticed(
    intake: Intake, db: Engine
) -> None:
    assert intake.take("library", SPOOL, [record(1)]) == [Outcome.PENDING]
    assert alarms(db) == {"record.other_gateway": 1}
    assert SEVEN.gateway == "canteen"
