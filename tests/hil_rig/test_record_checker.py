"""The checker of records finds what is wrong: a table and files that agree, then one thing is changed."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from campus_node.database import migrate
from hil_rig import record_checker
from hil_rig.senders.knowledge import Knowledge

JOURNAL, TERMINAL = bytes(range(16)), bytes.fromhex("000000000001")
BODIES = [bytes([number]) * 105 for number in range(1, 6)]
PENDING = 2
Change = Callable[[sqlite3.Connection], object]


def _row(seq: int, body: bytes, journal: bytes = JOURNAL) -> tuple[Any, ...]:
    return journal, seq, TERMINAL, PENDING, 1, "canteen", 0, 0, body


def _insert(connection: sqlite3.Connection, *rows: tuple[Any, ...]) -> None:
    connection.executemany(
        "INSERT INTO terminal_records (journal_id, seq, terminal_id, outcome, origin, gateway,"
        " taken_at_unix_ms, received_at_unix_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    database = tmp_path / "node.sqlite"
    migrate.upgrade(f"sqlite:///{database}")
    with closing(sqlite3.connect(database)) as connection, connection:
        _insert(connection, *(_row(seq, body) for seq, body in enumerate(BODIES, 1)))
    knowledge = Knowledge(tmp_path / "till.jsonl")
    knowledge.begin(JOURNAL, TERMINAL)
    for seq, body in enumerate(BODIES, 1):
        knowledge.appended(seq, body)
    knowledge.sent(1, 5, 1)
    knowledge.sent(4, 5, 2)
    knowledge.acknowledged(5, 3, [(4, PENDING), (4, PENDING)], 3)
    knowledge.close()
    return tmp_path


def check(place: Path) -> dict[str, Any]:
    return record_checker.check(str(place / "node.sqlite"), [place / "till.jsonl"])


def test_what_agrees_holds(place: Path) -> None:
    said = check(place)
    assert said["holds"], said
    assert (said["appended"], said["acknowledged"], said["rows"], said["repeated"]) == (5, 5, 5, 2)
    assert said["answered_again"] == 1


@pytest.mark.parametrize(
    ("finding", "change"),
    [
        ("lost", lambda db: db.execute("DELETE FROM terminal_records WHERE seq = 3")),
        ("altered", lambda db: db.execute("UPDATE terminal_records SET body = x'00' WHERE seq = 3")),
        ("double", lambda db: _insert(db, _row(6, BODIES[2]))),
        ("double", lambda db: _insert(db, _row(3, BODIES[2], journal=bytes(16)))),
        ("written_by_nobody", lambda db: _insert(db, _row(6, b"x"))),
        ("misattributed", lambda db: db.execute("UPDATE terminal_records SET terminal_id = x'000000000002'")),
        ("answer_differs", lambda db: db.execute("UPDATE terminal_records SET outcome = 1 WHERE seq = 4")),
    ],
)
def test_what_is_wrong_in_the_tables_is_found(place: Path, finding: str, change: Change) -> None:
    with closing(sqlite3.connect(place / "node.sqlite")) as connection, connection:
        change(connection)
    said = check(place)
    assert finding in said["findings"], said
    assert not said["holds"]


@pytest.mark.parametrize(
    ("finding", "event"),
    [
        ("unacknowledged", {"appended": 6, "body": "00"}),
        ("acknowledged_unsent", {"acknowledged": 6, "backed_up": 5, "verdicts": []}),
        ("marks_contradict", {"acknowledged": 4, "backed_up": 5, "verdicts": []}),
        ("answered_differently", {"acknowledged": 5, "backed_up": 5, "verdicts": [[4, 1]]}),
    ],
)
def test_what_is_wrong_in_the_files_is_found(place: Path, finding: str, event: dict[str, Any]) -> None:
    with (place / "till.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    said = check(place)
    assert finding in said["findings"], said


def test_a_torn_last_line_is_not_yet_knowledge(place: Path) -> None:
    with (place / "till.jsonl").open("a") as file:
        file.write('{"appended": 6, "bo')
    assert check(place)["holds"]


def test_it_runs_by_itself_outside_our_packages(place: Path) -> None:
    script = Path(record_checker.__file__)
    asked = [
        sys.executable,
        "-I",
        str(script),
        "--node",
        str(place / "node.sqlite"),
        str(place / "till.jsonl"),
    ]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["holds"]


@pytest.mark.postgres
def test_a_server_is_read_like_a_file(place: Path, postgres_dsn: str) -> None:
    import psycopg2

    with closing(psycopg2.connect(postgres_dsn)) as connection, connection, connection.cursor() as cursor:
        for seq, body in enumerate(BODIES, 1):
            cursor.execute(
                "INSERT INTO terminal_records (journal_id, seq, terminal_id, outcome, origin, gateway,"
                " taken_at_unix_ms, received_at_unix_ms, body) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                _row(seq, body),
            )
    said = record_checker.check(postgres_dsn, [place / "till.jsonl"])
    assert said["holds"], said
