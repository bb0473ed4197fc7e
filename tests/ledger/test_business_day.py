"""The business date of the books never goes back, whatever the calendar or a new setting say."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from campus_node.ledger.chart import Kind
from campus_node.ledger.engine import Engine
from campus_node.ledger.sqlite_store import SqliteStore
from federation.business_date import BusinessCalendar
from federation.clock import VirtualClock
from tests.ledger.engine_books import Database, EngineBooks, open_account, opened, post
from tests.ledger.programs import BANK, FIRST, LI, lunch
from tests.ledger.script import Script

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_repeated_hour_in_autumn_does_not_open_a_closed_day_again(sqlite_path: Path) -> None:
    autumn = datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN)  # at 03:00 it becomes 02:00 again
    clock = VirtualClock(round(autumn.timestamp() * 1000))
    calendar = BusinessCalendar("Europe/Berlin", "02:30")
    with EngineBooks(lambda: SqliteStore(sqlite_path), f"sqlite:///{sqlite_path}", clock, calendar) as books:
        Script(books, clock)("""
            open      li  online
            fund      li  100  as before
            business  before  20261024
            wait      40min
            fund      li  100  as after
            business  after   20261025
            wait      30min                # 02:10 for the second time
            fund      li  100  as again
            business  again   20261025
            restart
            fund      li  100  as restarted
            business  restarted  20261025
        """)


def test_a_later_cut_off_after_a_restart_does_not_open_a_closed_day_again(sqlite_path: Path) -> None:
    clock = VirtualClock(
        round(datetime(2026, 9, 2, 1, 0, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)
    )
    dates = []
    for cut_off in ("00:00", "03:00"):
        calendar = BusinessCalendar("Asia/Shanghai", cut_off)
        engine = opened(Engine(SqliteStore(sqlite_path), clock, calendar, holder="a test"))
        for opening in FIRST:
            open_account(engine, opening)
        post(engine, [lunch(len(dates), BANK, LI, Kind.LOAD)])
        engine.stop(0)
        database = Database(f"sqlite:///{sqlite_path}")
        dates.append(database.rows()[-1][16])
        database.close()
    assert dates == [20260902, 20260902]
