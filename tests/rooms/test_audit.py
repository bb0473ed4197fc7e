"""The audit trail: nothing in it can be changed unnoticed."""

import threading

import pytest
from sqlalchemy import Engine, text

from campus_node.database.connect import writing
from campus_node.operators.audit import GENESIS, Actor, AuditHead, auditing, entries, verify
from campus_node.operators.canonical import canonical_json
from federation.clock import VirtualClock
from federation.errors import JournalBroken


def leave(db: Engine, clock: VirtualClock, count: int, operator: str = "li") -> None:
    for number in range(count):
        with auditing(db, clock) as change:
            actor = Actor(operator, "desk")
            change.record(actor, "test.change", str(number), "why", before={"n": number}, after={"中": None})


def run(db: Engine, statement: str) -> None:
    with writing(db) as connection:
        assert connection.execute(text(statement)).rowcount >= 1


def test_an_empty_trail_is_whole(db: Engine) -> None:
    assert verify(db) == AuditHead(0, GENESIS)


def test_a_whole_trail_tells_its_head_and_contains_its_earlier_ones(db: Engine, clock: VirtualClock) -> None:
    leave(db, clock, 3)
    early = verify(db)
    leave(db, clock, 4)
    head = verify(db, noted=early)
    assert (early.seq, head.seq) == (3, 7)
    assert verify(db, noted=head) == head


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("UPDATE audit SET why = 'a better reason' WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit SET operator = 'wang' WHERE seq = 1", "entry 1 was changed"),
        ("UPDATE audit SET at_unix_ms = at_unix_ms + 1 WHERE seq = 5", "entry 5 was changed"),
        ("UPDATE audit SET before = NULL WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET after = '{}' WHERE seq = 2", "entry 2 was changed"),
        ("DELETE FROM audit WHERE seq = 3", "entry 3 is missing, 4 follows"),
        ("DELETE FROM audit WHERE seq = 1", "entry 1 is missing, 2 follows"),
        ("DELETE FROM audit WHERE seq = 5", "ends at entry 4, but its head says otherwise"),
        ("DELETE FROM audit", "ends at entry 0, but its head says otherwise"),
        ("DELETE FROM audit_head", "ends at entry 5, but its head says otherwise"),
        ("UPDATE audit SET seq = 6 WHERE seq = 5", "entry 5 is missing, 6 follows"),
        (
            "INSERT INTO audit SELECT 6, at_unix_ms, operator, place, action, subject, why, before, after, "
            "chain_hash FROM audit WHERE seq = 5",
            "entry 6 was changed",
        ),
    ],
)
def test_a_trail_that_was_touched_is_found(db: Engine, clock: VirtualClock, done: str, said: str) -> None:
    leave(db, clock, 5)
    run(db, done)
    with pytest.raises(JournalBroken, match=said):
        verify(db)


def test_a_trail_written_anew_or_cut_off_lacks_the_head_that_was_noted(
    db: Engine, clock: VirtualClock
) -> None:
    leave(db, clock, 5)
    noted = verify(db)
    run(db, "DELETE FROM audit")
    run(db, "DELETE FROM audit_head")
    leave(db, clock, 5, operator="eve")
    assert verify(db).seq == 5, "whole in itself"
    with pytest.raises(JournalBroken, match="noted entry 5 is not in it"):
        verify(db, noted)


def test_an_entry_is_committed_with_its_change_or_not_at_all(db: Engine, clock: VirtualClock) -> None:
    def fail_half_way() -> None:
        with auditing(db, clock) as change:
            change.record(Actor("li", "desk"), "test.change", "x", "why")
            raise RuntimeError

    leave(db, clock, 1)
    with pytest.raises(RuntimeError):
        fail_half_way()
    assert verify(db).seq == 1


def test_changes_at_the_same_time_make_one_chain(db: Engine, clock: VirtualClock) -> None:
    threads = [threading.Thread(target=leave, args=(db, clock, 10, f"p{number}")) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(db).seq == 40


def test_entries_are_read_page_by_page(db: Engine, clock: VirtualClock) -> None:
    leave(db, clock, 5)
    first = entries(db, limit=3)
    second = entries(db, limit=3, before_seq=first[-1].seq)
    assert [entry.seq for entry in first + second] == [5, 4, 3, 2, 1]


def test_one_content_has_one_spelling() -> None:
    assert (
        canonical_json({"b": [1, {"y": None, "x": "李"}], "a": True})
        == '{"a":true,"b":[1,{"x":"李","y":null}]}'
    )


@pytest.mark.parametrize("value", [{"fen": 1.5}, {"a": [{"b": 0.0}]}, {1: "a"}, {"a": b"b"}, {"a": {1}}])
def test_what_has_no_exact_spelling_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"float|key must be text|not JSON"):
        canonical_json(value)
