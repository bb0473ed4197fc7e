"""Which numbers are missing, when they are asked for again, and what counts as covered."""

import random

from sqlalchemy import Engine

from campus_node.database.connect import reading, writing
from campus_node.records import gaps, spools
from campus_node.records.intake import Intake
from campus_node.records.spooled import Marks
from federation.clock import VirtualClock
from tests.records.build import JOURNAL, SEVEN, SPOOL, placed, record

GRACE_MS = 600_000


def missing(db: Engine) -> list[tuple[int, int]]:
    with reading(db) as connection:
        return [(each.first_seq, each.through_seq) for each in gaps.missing(connection, 100)]


def test_what_is_missing_is_listed_and_filled_in_any_order(intake: Intake, db: Engine, seed: int) -> None:
    rng = random.Random(seed)
    intake.take("canteen", SPOOL, placed([record(seq) for seq in (1, 2, 5, 9, 10, 20)]))
    assert missing(db) == [(3, 4), (6, 8), (11, 19)]
    lacking = [3, 4, 6, 7, 8, *range(11, 20)]
    rng.shuffle(lacking)
    for position, seq in enumerate(lacking, 7):
        intake.take("canteen", SPOOL, [record(seq, position, recollected=True)])
    assert missing(db) == []


def test_a_long_gap_that_closes_goes_on_through_everything_above_it(intake: Intake, db: Engine) -> None:
    numbers = [seq for seq in range(1, 2_600) if seq != 2]
    for start in range(0, len(numbers), 250):
        part = numbers[start : start + 250]
        intake.take("canteen", SPOOL, placed([record(seq) for seq in part], start + 1))
    assert missing(db) == [(2, 2)]
    intake.take("canteen", SPOOL, [record(2, len(numbers) + 1)])
    assert missing(db) == []


def test_a_missing_record_is_asked_for_after_a_grace_time_and_again_if_it_does_not_come(
    intake: Intake, clock: VirtualClock
) -> None:
    intake.take("canteen", SPOOL, placed([record(1), record(4), record(7)]))
    assert intake.missing("canteen", GRACE_MS, GRACE_MS, 10) == []
    clock.advance(GRACE_MS)
    (asked,) = intake.missing("canteen", GRACE_MS, GRACE_MS, 10)
    assert (asked.terminal_id, asked.journal_id) == (SEVEN.terminal_id, JOURNAL)
    assert (asked.first_seq, asked.through_seq) == (2, 3)
    assert intake.missing("canteen", GRACE_MS, GRACE_MS, 10) == []
    assert intake.missing("library", GRACE_MS, GRACE_MS, 10) == []  # its terminal hangs elsewhere
    clock.advance(GRACE_MS)
    assert intake.missing("canteen", GRACE_MS, GRACE_MS, 10) == [asked]


def test_the_next_gap_is_asked_for_when_the_first_is_filled(intake: Intake, clock: VirtualClock) -> None:
    intake.take("canteen", SPOOL, placed([record(1), record(3), record(5)]))
    clock.advance(GRACE_MS)
    assert [each.first_seq for each in intake.missing("canteen", GRACE_MS, 0, 10)] == [2]
    intake.take("canteen", SPOOL, [record(2, 4)])
    assert intake.missing("canteen", GRACE_MS, 0, 10) == []  # its own grace time begins
    clock.advance(GRACE_MS)
    assert [each.first_seq for each in intake.missing("canteen", GRACE_MS, 0, 10)] == [4]


def test_what_was_committed_before_a_backup_began_is_covered_when_it_is_done(
    db: Engine, intake: Intake, clock: VirtualClock
) -> None:
    careful = Intake(db, clock, covered_by_backup=True)
    careful.take("canteen", SPOOL, [record(1), record(2)])
    assert careful.marks("canteen", SPOOL) == Marks(2, 0)
    assert intake.marks("canteen", SPOOL) == Marks(2, 2)
    with writing(db) as connection:
        assert spools.begin_backup(connection) == 1
    assert careful.take_message("canteen", SPOOL, [record(3)]).marks == Marks(3, 0)
    with writing(db) as connection:
        assert spools.end_backup(connection) == 1
        assert spools.end_backup(connection) == 0
    assert careful.take_message("canteen", SPOOL, [record(4)]).marks == Marks(4, 2)


def test_marks_go_back_with_a_spool_that_was_put_back_and_forwards_over_what_it_lost(
    db: Engine, clock: VirtualClock, intake: Intake
) -> None:
    careful = Intake(db, clock, covered_by_backup=True)
    assert careful.attach("canteen", SPOOL, 0, 0) == spools.SpoolMarks()
    careful.take("canteen", SPOOL, [record(seq) for seq in range(1, 11)])
    with writing(db) as connection:
        spools.begin_backup(connection)
        spools.end_backup(connection)
    assert careful.attach("canteen", SPOOL, 10, 4) == spools.SpoolMarks(10, 10)
    assert careful.attach("canteen", SPOOL, 6, 1) == spools.SpoolMarks(6, 6)
    assert careful.attach("canteen", SPOOL, 40, 31) == spools.SpoolMarks(30, 6)
    assert intake.marks("canteen", SPOOL).committed_through == 30
