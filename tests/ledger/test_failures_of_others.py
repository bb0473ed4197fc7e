"""Failures that ledgers elsewhere had, each as a test that it cannot happen here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event, text

from campus_node.database.connect import connect, reading
from campus_node.database.migrate import require_current
from campus_node.ledger.chart import Kind
from campus_node.ledger.engine import Engine
from campus_node.ledger.history import balance_as_of, statement
from campus_node.ledger.sqlite_store import SqliteStore
from federation.clock import VirtualClock
from federation.errors import Misconfigured, StoreDown, Tampered
from federation.transfer import Answer, Refusal
from hil_rig.faults import Counted, Fault, What
from tests.ledger.books import CALENDAR
from tests.ledger.engine_books import post
from tests.ledger.faulty_connections import LEDGER, Died
from tests.ledger.machine import LedgerMachine, Place
from tests.ledger.programs import BANK, CANTEEN, LI, lunch
from tests.ledger.script import Script, id_of

TABLE = """
    open  li       online
    open  canteen  merchant
    fund  li       5000
"""


def test_the_same_key_twice_in_one_batch_does_not_crash_the_ledger(play: Script) -> None:
    play(TABLE)
    play("""
        reserve    t1  li -> canteen  1000
        & reserve  t1  li -> canteen  1000
        & reserve  t1  li -> canteen  2000  ! TRANSFER_CONFLICT
        & confirm  t1  1000
        & confirm  t1  1000
        & confirm  t1  1000
        balance    li  4000
        rows       3
    """)


def test_a_retry_is_not_refused_as_different_because_of_what_changed_on_its_way(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000  for 60s  origin ONLINE
        reserve  t1  li -> canteen  1000  for 7s   origin RECOLLECTED
        restart
        reserve  t1  li -> canteen  1000  for 1s   origin PAPER
        balance  li  5000  1000
    """)
    ids = [row[3] for row in play.books.rows()]
    assert ids == [id_of("fund:1"), id_of("t1")], (
        "the ledger keeps the id that the caller chose, and makes none"
    )


def test_a_time_out_releases_the_position_even_if_nobody_ever_asks_again(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  3000  for 60s
        reserve  t2  li -> canteen  2000  for 7d
        restart
        wait     60s
        tick
        balance  li  5000  2000
        restart
        wait     7d
        restart
        tick
        balance  li  5000
        rows     5
    """)


def test_closing_a_settlement_window_under_load_leaves_no_transfer_behind(play: Script) -> None:
    play(TABLE)
    play("""
        open     north  due_to
        post     t1  li -> north  100  window 7
        & post   t2  li -> north  100  window 8    # the next window is open already
        & post   t3  li -> north  100  window 7    # and this one is still coming in
        wait     16h                               # the business day ends
        post     t4  li -> north  100  window 7  made 1h
        post     t5  li -> north  100  window 8
        clock    -2h
        post     t6  li -> north  100  window 7    # by any clock it should be elsewhere
        post     t7  li -> north  100
    """)
    windows: dict[object, list[object]] = {}
    for row in play.books.rows():
        windows.setdefault(row[15], []).append(row[3])
    assert windows[7] == [id_of("t1"), id_of("t3"), id_of("t4"), id_of("t6")]
    assert windows[8] == [id_of("t2"), id_of("t5")]
    days = {row[16] for row in play.books.rows() if row[15] == 7}
    assert len(days) == 2, "the window is more than one day: a sum by time would have left some behind"


def test_a_settlement_that_is_repeated_does_not_double_the_position(play: Script) -> None:
    play(TABLE)
    play("""
        open     south  due_from
        open     icbc   bank
        post     t1  south -> canteen  900  window 8
        balance  south  -900
        post     settle:8    icbc -> south  900  kind PEER_SETTLEMENT  window 8
        & post   settle:8    icbc -> south  900  kind PEER_SETTLEMENT  window 8
        post     settle:8    icbc -> south  900  kind PEER_SETTLEMENT  window 8
        restart
        post     settle:8    icbc -> south  900  kind PEER_SETTLEMENT  window 8
        post     settle:8    icbc -> south  901  kind PEER_SETTLEMENT  window 8   ! TRANSFER_CONFLICT
        balance  south  0
        balance  icbc   -900
    """)


def test_no_balance_moves_when_the_batch_dies_before_its_commit(place: Place, machine: LedgerMachine) -> None:
    rows, balances = machine.database.rows(), machine.database.balances()
    deaths = 0
    for nth in range(1, 20):
        engine, store, outcomes = machine.engine, machine.store, []
        place.breaker.arm(Fault(LEDGER, What.CRASH_BEFORE_WRITE, Counted.WRITE, nth))
        engine.submit([lunch(nth)], outcomes.append)
        try:
            engine.step()
        except Died:
            deaths += 1
        place.breaker.arm()
        if outcomes:  # it has fewer statements than that: all was written
            break
        store.close()
        assert machine.database.rows() == rows
        assert machine.database.balances() == balances
        machine.engine = machine.new_engine()
    assert deaths >= 5, "fence, rows, batch, balances and commit are crashed at"
    [answer] = outcomes[0]
    assert answer.refusal == Refusal.NONE
    assert machine.database.balances()[LI][0] == balances[LI][0] - 100


def test_nobody_is_answered_before_another_connection_can_see_the_row(machine: LedgerMachine) -> None:
    seen: list[bool] = []

    def look(outcome: list[Answer]) -> None:
        seen.extend(any(row[0] == answer.seq for row in machine.database.rows()) for answer in outcome)

    machine.engine.submit([lunch(1), lunch(2)], look)
    machine.engine.step()
    assert seen == [True, True]


def test_a_commit_whose_answer_was_lost_is_looked_up_and_not_made_twice(
    place: Place, machine: LedgerMachine
) -> None:
    balance = machine.database.balances()[LI]
    for nth in (1, 2, 3):
        place.breaker.arm(Fault(LEDGER, What.DROP_CONNECTION, Counted.COMMIT, nth))
        [answer] = post(machine.engine, [lunch(nth)])
        assert answer.refusal == Refusal.NONE
        place.breaker.arm()
    assert machine.database.balances()[LI][0] == balance[0] - 300
    assert [row[3] for row in machine.database.rows()].count(lunch(3).transfer_id) == 1


def test_a_balance_is_read_without_any_statement(machine: LedgerMachine, place: Place) -> None:
    place.breaker.arm(Fault(LEDGER, What.KILL, Counted.WRITE, 1))
    for account in (LI, CANTEEN, BANK):
        assert machine.engine.balance(account) == machine.database.balances()[account]
    assert place.breaker.record.missing(), "no statement was sent to the database"


def test_no_question_about_a_balance_reads_all_of_history(place: Place, machine: LedgerMachine) -> None:
    years_of_loads(machine)
    middle_unix_ms = machine.clock.unix_ms()
    for n in range(4):
        machine.clock.advance(1_000)
        post(machine.engine, [lunch(n)])
    machine.store.close()
    db = connect(place.url)

    with statements(db) as asked:
        then = balance_as_of(db, LI, middle_unix_ms)
        now = balance_as_of(db, LI)
        statement(db, LI, None, 10)
    assert then.balance.posted_fen == now.balance.posted_fen + 400
    plans = [plan(db, *question) for question in asked if "transfers" in question[0]]
    assert plans, "the tail after an instant, and a page of a statement"
    assert not [lines for lines in plans if reads_everything(lines)]
    db.dispose()


def test_opening_the_books_reads_no_closed_history(place: Place, machine: LedgerMachine) -> None:
    years_of_loads(machine)
    machine.store.close()
    place.breaker.arm()
    machine.engine = machine.new_engine()
    questions = [question for question in place.breaker.statements if "FROM transfers" in question[0]]
    assert questions, "open reservations are read from the journal"
    db = connect(place.url)
    assert not [lines for question in questions if reads_everything(lines := plan(db, *question))]
    db.dispose()


def test_a_lost_ledger_is_not_formatted_but_refused(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "ledger.sqlite"
    engine = Engine(SqliteStore(path), clock, CALENDAR, holder="a test")
    with pytest.raises(Misconfigured, match="restore"):
        engine.open()
    assert not path.exists(), "nothing was made in its place"


def test_an_emptied_ledger_file_is_not_formatted_but_refused(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    engine = Engine(SqliteStore(path), clock, CALENDAR, holder="a test")
    with pytest.raises((Misconfigured, StoreDown)):
        engine.open()
    with pytest.raises(Misconfigured):
        require_current(f"sqlite:///{path}")
    with reading(connect(f"sqlite:///{path}")) as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []


def test_a_journal_without_its_writer_row_is_not_begun_again_at_one(
    place: Place, machine: LedgerMachine
) -> None:
    machine.engine.stop(0)
    db = connect(place.url)
    with db.begin() as connection:
        connection.execute(text("DELETE FROM writer"))
    db.dispose()
    with pytest.raises((Misconfigured, Tampered)):
        machine.new_engine()


def years_of_loads(machine: LedgerMachine) -> None:
    """Fill the journal with four thousand rows of one account, and let the database learn of it."""
    for start in range(0, 4_000, 1_000):
        machine.clock.advance(1_000)
        post(machine.engine, [lunch(start + n, BANK, LI, Kind.LOAD) for n in range(1_000)])
    db = connect(machine.place.url)
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    db.dispose()


@contextmanager
def statements(db: sqlalchemy.Engine) -> Iterator[list[tuple[str, Any]]]:
    """Give the list of what is asked of a database meanwhile, with parameters."""
    asked: list[tuple[str, Any]] = []

    def listen(_connection: object, _cursor: object, sql: str, parameters: Any, *_: object) -> None:
        asked.append((sql, parameters))

    event.listen(db, "before_cursor_execute", listen)
    yield asked
    event.remove(db, "before_cursor_execute", listen)


def plan(db: sqlalchemy.Engine, sql: str, parameters: Any) -> str:
    """Return how the database would answer a question."""
    explain = "EXPLAIN QUERY PLAN" if db.dialect.name == "sqlite" else "EXPLAIN"
    with reading(db) as connection:
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {sql}", parameters))


def reads_everything(lines: str) -> bool:
    """Tell whether a plan goes through the whole journal."""
    scans = {"SCAN r", "SCAN t"} & set(lines.splitlines())
    return bool(scans) or "Seq Scan on transfers" in lines or "SCAN transfers" in lines
