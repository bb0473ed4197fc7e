"""The checker finds what is wrong: a real ledger is posted, then one thing is corrupted behind its back."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from campus_node.database import migrate
from campus_node.ledger.engine import Engine
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import AccountOpening, Store
from federation.business_date import BusinessCalendar
from federation.clock import VirtualClock
from federation.transfer import Answer, Refusal, Request, Verb
from hil_rig import checker
from hil_rig.checker import check

BANK, LI, WANG, CANTEEN = 1100 * 10**12 + 1, 2100 * 10**12 + 1, 2100 * 10**12 + 2, 2300 * 10**12 + 1
NO_FLOOR = -(2**62)
POST, RESERVE, CONFIRM, REVERSE, REFUND = Verb.POST, Verb.RESERVE, Verb.CONFIRM, Verb.REVERSE, Verb.REFUND
PURCHASE, LOAD = 1, 2


def request(number: int, verb: Verb, amount_fen: int, **fields: int) -> Request:
    target = fields.get("target", 0)
    return Request(
        originator=1,
        transfer_id=number.to_bytes(16, "big"),
        verb=verb,
        fact=False,
        kind=fields.get("kind", PURCHASE if verb in {POST, RESERVE} else 0),
        debit=fields.get("debit", LI if verb in {POST, RESERVE} else 0),
        credit=fields.get("credit", CANTEEN if verb in {POST, RESERVE} else 0),
        amount_fen=amount_fen,
        currency=156,
        target_originator=1 if target else 0,
        target_id=target.to_bytes(16, "big") if target else b"",
        made_at_unix_ms=1_788_220_800_000,
        valid_for_ms=60_000 if verb is RESERVE else 0,
        origin=1,
        window_id=0,
    )


LUNCHTIME = [
    request(1, POST, 20_000, kind=LOAD, debit=BANK, credit=LI),
    request(2, POST, 1_000, kind=LOAD, debit=BANK, credit=WANG),
    request(3, POST, 850),
    request(4, RESERVE, 1_200),
    request(5, CONFIRM, 900, target=4),
    request(6, RESERVE, 700),
    request(7, REVERSE, 0, target=6),
    request(8, REFUND, 300, target=3),
    request(9, POST, 5_000, debit=WANG),  # refused: not enough
    request(10, POST, -1),  # refused: not positive
    request(11, POST, 600, credit=CANTEEN + 1),  # refused: unknown account
    request(12, RESERVE, 400),  # left open
]


def post_lunchtime(store: Store) -> list[dict[str, object]]:
    """Post the lunchtime and return what its client keeps."""
    engine = Engine(store, VirtualClock(), BusinessCalendar(), holder="test")
    engine.open()
    answers: list[Answer] = []
    heard: list[object] = []
    engine.originator_numbers(["terminal/0001"], heard.append)
    engine.open_accounts(
        [
            AccountOpening(BANK, "bank", NO_FLOOR),
            AccountOpening(LI, "li", 0),
            AccountOpening(WANG, "wang", 0),
            AccountOpening(CANTEEN, "canteen", 0),
        ],
        heard.append,
    )
    for batch in (LUNCHTIME[:2], LUNCHTIME[2:7], LUNCHTIME[7:]):
        engine.submit(batch, answers.extend)
        while engine.step():
            pass
    engine.stop(1)
    assert heard == [{"terminal/0001": 1}, [True] * 4]
    assert len(answers) == len(LUNCHTIME), answers
    lines: list[dict[str, object]] = []
    for asked, answer in zip(LUNCHTIME, answers, strict=True):
        identity = asked.transfer_id.hex().upper()
        lines.append(
            {
                "sent": identity,
                "by": "terminal/0001",
                "verb": Verb(asked.verb).name,
                "debit": asked.debit,
                "credit": asked.credit,
                "amount_fen": asked.amount_fen,
                "target": asked.target_id.hex().upper(),
            }
        )
        lines.append(
            {
                "answered": identity,
                "by": "terminal/0001",
                "refusal": Refusal(answer.refusal).name,
                "seq": answer.seq,
                "short_fen": answer.short_fen,
            }
        )
    return lines


def write_client(directory: Path, lines: Sequence[dict[str, object]]) -> Path:
    path = directory / "client.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the ledger of one lunchtime and the client's file, both right."""
    directory = tmp_path_factory.mktemp("honest")
    ledger = directory / "ledger.sqlite"
    migrate.upgrade(f"sqlite:///{ledger}")
    write_client(directory, post_lunchtime(SqliteStore(ledger)))
    return directory


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    shutil.copytree(honest, tmp_path / "copy")
    return tmp_path / "copy"


def corrupt(directory: Path, *statements: str) -> None:
    """Change the file behind the ledger's back; its own constraints are dropped first."""
    with sqlite3.connect(directory / "ledger.sqlite") as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, f"changed nothing: {statement}"
    connection.close()


def found(directory: Path) -> dict[str, Any]:
    return check(str(directory / "ledger.sqlite"), [directory / "client.jsonl"])


def test_an_honest_ledger_holds_and_is_counted(copy: Path) -> None:
    result = found(copy)
    assert result["findings"] == {}, result
    assert result["holds"]
    assert result["balanced"]
    assert (result["payments"], result["acknowledged"], result["rows"]) == (12, 9, 12)
    assert result["refused"] == {"AMOUNT_NOT_POSITIVE": 1, "INSUFFICIENT_FUNDS": 1, "UNKNOWN_ACCOUNT": 1}
    assert (result["lost"], result["double"], result["unknown"], result["unexplained_fen"]) == (0, 0, 0, 0)


COPIED = (
    "incarnation, originator, transfer_id, verb, fact, kind, origin, debit, credit, amount_fen, posted_fen,"
    " reserved_fen, target_originator, target_id, window_id, business_date, recorded_at_unix_ms,"
    " made_at_unix_ms, expires_at_unix_ms, request_hash, refusal, short_fen"
)
COPY_OF_ROW_3 = f"INSERT INTO transfers (seq, {COPIED}) SELECT 13, {COPIED} FROM transfers WHERE seq = 3"


@pytest.mark.parametrize(
    ("finding", "statements"),
    [
        ("lost", ["DELETE FROM transfers WHERE seq = 3"]),
        ("gap", ["DELETE FROM transfers WHERE seq = 12"]),
        ("balance_differs", ["DELETE FROM transfers WHERE seq = 3"]),
        ("balance_differs", [f"UPDATE balances SET posted_fen = posted_fen + 1 WHERE account = {LI}"]),
        ("not_zero", [f"UPDATE balances SET posted_fen = posted_fen + 1 WHERE account = {LI}"]),
        ("reserved_differs", [f"UPDATE balances SET reserved_fen = 0 WHERE account = {LI}"]),
        ("below_floor", [f"UPDATE balances SET floor_fen = 90000 WHERE account = {LI}"]),
        ("account_missing", [f"DELETE FROM balances WHERE account = {CANTEEN}"]),
        ("account_missing", [f"DELETE FROM accounts WHERE account = {CANTEEN}"]),
        ("altered", ["UPDATE transfers SET amount_fen = 851, posted_fen = 851 WHERE seq = 3"]),
        ("altered", [f"UPDATE transfers SET credit = {WANG} WHERE seq = 3"]),
        ("chain_broken", ["UPDATE transfers SET made_at_unix_ms = made_at_unix_ms + 1 WHERE seq = 3"]),
        ("chain_broken", ["UPDATE batches SET chain_hash = zeroblob(32) WHERE first_seq = 3"]),
        ("gap", ["DELETE FROM batches WHERE first_seq = 3"]),
        ("gap", ["UPDATE writer SET seq = seq + 1"]),
        ("answer_differs", ["UPDATE transfers SET refusal = 19 WHERE seq = 3"]),
        ("answer_differs", ["UPDATE transfers SET short_fen = 1 WHERE seq = 9"]),
        ("moved_wrongly", ["UPDATE transfers SET posted_fen = 1 WHERE seq = 9"]),
        ("moved_wrongly", ["UPDATE transfers SET reserved_fen = 0 WHERE seq = 5"]),
        ("no_expiry", ["UPDATE transfers SET expires_at_unix_ms = NULL WHERE seq = 4"]),
        ("went_back", ["UPDATE transfers SET recorded_at_unix_ms = 1 WHERE seq = 5"]),
        ("went_back", ["UPDATE transfers SET business_date = 20200101 WHERE seq = 5"]),
        ("lost", ["UPDATE originators SET name = 'terminal/0002'"]),
        ("double", ["UPDATE transfers SET amount_fen = 851, posted_fen = 851 WHERE seq = 8"]),
        (
            "double",
            [
                "UPDATE transfers SET verb = 3, posted_fen = 700, amount_fen = 700, reserved_fen = -1200,"
                " target_id = (SELECT transfer_id FROM transfers WHERE seq = 4) WHERE seq = 7"
            ],
        ),
    ],
)
def test_a_corrupted_table_is_found(copy: Path, finding: str, statements: Sequence[str]) -> None:
    corrupt(copy, *statements)
    result = found(copy)
    assert finding in result["findings"], result
    assert not result["holds"]


def test_an_id_that_was_posted_twice_is_found(copy: Path) -> None:
    with sqlite3.connect(copy / "ledger.sqlite") as connection:
        unique = "type = 'index' AND tbl_name = 'transfers' AND sql LIKE '%UNIQUE%'"
        for (name,) in connection.execute(f"SELECT name FROM sqlite_master WHERE {unique}").fetchall():
            connection.execute(f"DROP INDEX {name}")
    connection.close()
    corrupt(copy, COPY_OF_ROW_3)
    result = found(copy)
    assert result["double"] == 1, result
    assert result["unexplained_fen"] == 2 * 850


def change_client(copy: Path, change: Callable[[list[dict[str, Any]]], None]) -> dict[str, Any]:
    lines = [json.loads(line) for line in (copy / "client.jsonl").read_text().splitlines()]
    change(lines)
    write_client(copy, lines)
    return found(copy)


@pytest.mark.postgres
def test_the_same_holds_and_is_found_on_postgresql(postgres_dsn: str, tmp_path: Path) -> None:
    client = write_client(tmp_path, post_lunchtime(PostgresStore(postgres_dsn)))
    good = check(postgres_dsn, [client])
    assert good["holds"], good
    assert (good["payments"], good["acknowledged"], good["rows"]) == (12, 9, 12)
    with closing(psycopg2.connect(postgres_dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM transfers WHERE seq = 3")
    bad = check(postgres_dsn, [client])
    assert bad["lost"] == 1, bad
    assert {"gap", "chain_broken", "balance_differs"} <= bad["findings"].keys()


def test_an_acknowledgement_of_what_was_never_posted_is_a_loss(copy: Path) -> None:
    ghost = "F" * 32

    def add(lines: list[dict[str, Any]]) -> None:
        lines.append({**lines[4], "sent": ghost})
        lines.append({**lines[5], "answered": ghost})

    result = change_client(copy, add)
    assert result["lost"] == 1, result
    assert not result["holds"]


def test_a_question_without_an_answer_is_unknown(copy: Path) -> None:
    def cut(lines: list[dict[str, Any]]) -> None:
        del lines[5]

    result = change_client(copy, cut)
    assert result["unknown"] == 1
    assert not result["holds"]


def test_two_different_answers_to_one_question_are_found(copy: Path) -> None:
    def repeat(lines: list[dict[str, Any]]) -> None:
        lines.append({**lines[5], "seq": 99})

    assert change_client(copy, repeat)["findings"] == {"answered_differently": 1}


def test_a_refusal_that_the_client_heard_otherwise_is_found(copy: Path) -> None:
    def rename(lines: list[dict[str, Any]]) -> None:
        lines[17]["refusal"] = "UNKNOWN_ACCOUNT"

    assert change_client(copy, rename)["findings"] == {"answer_differs": 1}


def test_a_torn_last_line_is_not_yet_knowledge(copy: Path) -> None:
    with (copy / "client.jsonl").open("ab") as file:
        file.write(b'{"answered": "00')
    assert found(copy)["holds"]


def test_the_checker_runs_alone_where_none_of_our_packages_exist(copy: Path, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere" / "checker.py"
    script.parent.mkdir()
    shutil.copy(checker.__file__, script)
    program = [sys.executable, "-I", "-S", str(script)]  # -S: not even installed packages
    arguments = ["--ledger", str(copy / "ledger.sqlite"), str(copy / "client.jsonl")]
    good = subprocess.run([*program, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert good.returncode == 0, good
    assert json.loads(good.stdout)["holds"]
    corrupt(copy, "DELETE FROM transfers WHERE seq = 3")
    bad = subprocess.run([*program, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert bad.returncode == 1, bad
    assert json.loads(bad.stdout)["lost"] == 1
