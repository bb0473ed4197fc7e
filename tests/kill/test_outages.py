"""Disk full, read-only, database gone, clock set back: an error or a wait, nothing lost, nobody needed."""

import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from campus_node.database import migrate
from hil_rig.campus import RigCampus
from hil_rig.demo.report import run_checker
from hil_rig.postgres_server import PostgresServer
from tests.kill.siege import CLOCK, campus_in, paying
from tests.kill.test_postgres_kills import kill_with_backends
from tests.soak import size

IMPATIENT = {"CAMPUS_LEDGER__OUTAGE_HOLD_S": "1"}  # callers are told soon
HOUR_MS = 3_600_000

Act = Callable[[], object]


def survive(campus: RigCampus, seed: int, hurt: Act, heal: Act) -> str:
    """Hurt the node under load until a caller is told so, heal it, see that all goes on; return its log."""
    with paying(campus, seed) as crowd:
        crowd.wait_for_more()
        hurt()
        crowd.wait_for_unanswered()
        assert campus.node.running, campus.node.log_tail()
        heal()
        crowd.wait_for_more()
    assert campus.node.terminate() == 0, campus.node.log_tail()
    said = run_checker(campus.ledger, campus.receipts).said
    assert said["holds"], said
    assert campus.node.starts == 1, "it recovered by itself"
    return campus.node.log_path.read_text(errors="replace")


@contextmanager
def small_disk(campus: RigCampus) -> Iterator[tuple[Act, Act]]:
    """Give acts that fill the disk under the ledger and that make room again.

    As root the ledger moves to a file system of its own that is really full; otherwise the kernel lets the
    process write to no file any more (RLIMIT_FSIZE).
    """
    if os.geteuid() != 0:
        unlimited = resource.prlimit(campus.node.pid, resource.RLIMIT_FSIZE)
        yield (
            lambda: resource.prlimit(campus.node.pid, resource.RLIMIT_FSIZE, (0, unlimited[1])),
            lambda: resource.prlimit(campus.node.pid, resource.RLIMIT_FSIZE, unlimited),
        )
        return
    room = campus.directory / "data"
    kept = room.with_name("data-on-the-big-disk")
    campus.node.terminate()
    room.rename(kept)
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(room)], check=True)
    try:
        for file in kept.iterdir():
            (room / file.name).write_bytes(file.read_bytes())
        campus.node.starts = 0
        campus.node.start()
        ballast = room / "ballast"

        def fill() -> None:
            subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], check=False, capture_output=True)
            assert os.statvfs(room).f_bavail == 0, "the disk is full"

        yield fill, ballast.unlink
    finally:
        if campus.node.running:
            campus.node.kill()
        for file in kept.iterdir():
            file.unlink()
        subprocess.run(["umount", str(room)], check=True)


def test_a_full_disk_is_waited_out_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    with campus_in(tmp_path, environment=IMPATIENT) as campus, small_disk(campus) as (fill, make_room):
        log = survive(campus, seed, fill, make_room)
    assert "store_down" in log


@pytest.mark.postgres
def test_a_database_that_turns_read_only_is_waited_out_and_nothing_is_lost(
    tmp_path: Path, postgres_to_kill: PostgresServer, seed: int
) -> None:
    migrate.upgrade(postgres_to_kill.dsn())

    def set_read_only(value: str) -> None:
        with closing(psycopg2.connect(postgres_to_kill.dsn())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = off")
                cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
                cursor.execute("SELECT pg_reload_conf()")

    with campus_in(tmp_path, database=postgres_to_kill.dsn(), environment=IMPATIENT) as campus:
        log = survive(campus, seed, lambda: set_read_only("on"), lambda: set_read_only("off"))
    assert "read-only" in log


def test_a_ledger_that_somebody_else_keeps_locked_is_waited_out_and_nothing_is_lost(
    tmp_path: Path, seed: int
) -> None:
    with (
        campus_in(tmp_path, environment=IMPATIENT) as campus,
        closing(sqlite3.connect(campus.ledger, isolation_level=None)) as intruder,
    ):
        log = survive(
            campus, seed, lambda: intruder.execute("BEGIN IMMEDIATE"), lambda: intruder.execute("ROLLBACK")
        )
    assert "locked" in log


@pytest.mark.postgres
def test_a_database_that_is_gone_for_long_is_waited_out_and_nothing_is_lost(
    tmp_path: Path, postgres_to_kill: PostgresServer, seed: int
) -> None:
    migrate.upgrade(postgres_to_kill.dsn())
    gone_s = size(4, 30)
    hold = IMPATIENT if gone_s < 15 else {}

    def come_back() -> None:
        CLOCK.sleep(gone_s)  # the outage itself, not a wait for something
        postgres_to_kill.start()

    with campus_in(tmp_path, database=postgres_to_kill.dsn(), environment=hold) as campus:
        survive(campus, seed, lambda: kill_with_backends(postgres_to_kill), come_back)


def test_a_clock_that_is_set_back_an_hour_stops_nothing_and_the_books_do_not_go_back(
    tmp_path: Path, seed: int
) -> None:
    clock_file = tmp_path / "clock"
    clock_file.write_text("0")
    stepped_clock = Path(__file__).parent / "stepped_clock"
    environment = {"PYTHONPATH": str(stepped_clock), "STEPPED_CLOCK_FILE": str(clock_file)}
    with campus_in(tmp_path, environment=environment) as campus:
        with paying(campus, seed) as crowd:
            crowd.wait_for_more()
            before_unix_ms = CLOCK.unix_ms()
            temporary = clock_file.with_suffix(".new")
            temporary.write_text(str(-HOUR_MS))
            temporary.replace(clock_file)
            crowd.wait_for_more(200)
            campus.node.kill()
            campus.node.start()  # and it begins with the clock behind the books
            crowd.wait_for_more(200)
        campus.node.terminate()
        said = run_checker(campus.ledger, campus.receipts).said
        assert said["holds"], said  # went_back is one of its findings
        assert "set_back" in campus.node.log_path.read_text(errors="replace")
        with closing(sqlite3.connect(campus.ledger)) as connection:
            (late,) = connection.execute(
                "SELECT count(*) FROM transfers WHERE recorded_at_unix_ms >= ?", (before_unix_ms,)
            ).fetchone()
        assert late > 400, "rows after the step are dated after those before it"
