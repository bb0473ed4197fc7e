"""A day at the counter: real commands, a real node, real books."""

import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.campus.conftest import Campus

pytestmark = pytest.mark.slow  # starts real processes

BY_BOB = ("--operator", "bob", "--reason", "at the counter")
GOOD = ("--kind", "load", "--debit", "bank/1", "--credit", "online/1", "--amount-fen", "5")


def _post(
    campus: Campus, kind: str, debit: str, credit: str, fen: int, *more: str
) -> tuple[int, dict[str, object]]:
    said = campus(
        "ledger", "post", "--kind", kind, "--debit", debit, "--credit", credit, "--amount-fen", fen, *BY_BOB,
        *more, "--json",
    )  # fmt: skip
    return said.code, said.json


@pytest.fixture
def open_accounts(staff: None, node: object, campus: Campus) -> None:
    for account in ("bank/1", "online/20260001", "merchant-payable/1"):
        assert campus("ledger", "open", account, "--holder", account, *BY_BOB).code == 0


def test_a_day_at_the_counter(
    open_accounts: None, node: subprocess.Popen[bytes], north: Path, campus: Campus
) -> None:
    assert _post(campus, "load", "bank/1", "online/20260001", 5000)[0] == 0
    assert _post(campus, "purchase", "online/20260001", "merchant-payable/1", 1250)[0] == 0
    code, refused = _post(campus, "purchase", "online/20260001", "merchant-payable/1", 9000)
    assert (code, refused["refusal"], refused["short_fen"]) == (1, "INSUFFICIENT_FUNDS", 5250)

    balance = campus("ledger", "balance", "online/20260001", "--json").json
    assert (balance["posted_fen"], balance["available_fen"]) == (3750, 3750)
    assert "37.50" in campus("ledger", "balance", "2100/20260001").out
    lines = campus("ledger", "statement", "online/20260001", "--json").json["lines"]
    assert [(line["kind"], line["posted_fen"]) for line in lines] == [("purchase", -1250), ("load", 5000)]
    page = campus("ledger", "statement", "online/20260001", "--limit", "1")
    assert "There is more: --before-seq 2" in page.out
    assert "purchase" in page.out
    assert "load" in campus("ledger", "statement", "online/20260001", "--before-seq", "2").out
    assert campus("ledger", "check").code == 0
    chain = campus("ledger", "verify-chain", "--json").json
    assert (chain["whole"], chain["rows"]) == (True, 3)

    running = campus("ledger", "rebuild", "--operator", "alice", "--reason", "x")
    assert running.code == 1
    assert "is running: stop it first" in running.err
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
    assert campus("ledger", "balance", "online/20260001", "--json").json["posted_fen"] == 3750
    rebuilt = campus("ledger", "rebuild", "--operator", "alice", "--reason", "x", "--json")
    assert (rebuilt.code, rebuilt.json) == (0, {"corrected": []})


def test_a_repeat_with_the_same_id_moves_money_once(open_accounts: None, campus: Campus) -> None:
    transfer_id = "0123456789ABCDEF0123456789ABCDEF"
    _, first = _post(campus, "load", "bank/1", "online/20260001", 100, "--id", transfer_id)
    _, again = _post(campus, "load", "bank/1", "online/20260001", 999, "--id", transfer_id)
    assert (first["posted"], again["refusal"]) == (True, "TRANSFER_CONFLICT")
    assert campus("ledger", "balance", "online/20260001", "--json").json["posted_fen"] == 100


def test_money_by_hand_takes_two_people(open_accounts: None, campus: Campus) -> None:
    code, asked = _post(campus, "adjustment", "bank/1", "online/20260001", 77)
    assert (code, asked["posted"], asked["state"]) == (0, False, "requested")
    request = str(asked["approval"])
    assert campus("ledger", "balance", "online/20260001", "--json").json["posted_fen"] == 0
    (waiting,) = campus("approval", "list", "--json").json["approvals"]
    assert (waiting["id"], waiting["requested_by"]) == (request, "bob")
    assert "adjustment" in campus("approval", "list").out

    alone = campus("approval", "approve", request, "--operator", "bob")
    assert (alone.code, "bob" in alone.err) == (1, True)
    approved = campus("approval", "approve", request[:16], "--operator", "carol", "--json")
    assert (approved.code, approved.json["posted"], approved.json["approval"]["state"]) == (
        0,
        True,
        "executed",
    )
    again = campus("approval", "approve", request, "--operator", "carol", "--json")
    assert (again.code, again.json["seq"]) == (0, approved.json["seq"])
    assert campus("ledger", "balance", "online/20260001", "--json").json["posted_fen"] == 77
    assert campus("approval", "list").out == "Nothing waits for approval.\n"


def test_a_refused_request_posts_nothing(staff: None, campus: Campus) -> None:
    _, asked = _post(campus, "adjustment", "bank/1", "online/20260001", 77)
    request = str(asked["approval"])
    by_carol = ("--operator", "carol", "--note", "wrong account")
    assert campus("approval", "refuse", request, *by_carol).code == 0
    (listed,) = campus("approval", "list", "--all", "--json").json["approvals"]
    assert (listed["state"], listed["decision_note"]) == ("refused", "wrong account")
    assert campus("approval", "refuse", "ffff", *by_carol).code == 1


def test_an_approved_transfer_that_the_ledger_refuses_is_told(open_accounts: None, campus: Campus) -> None:
    _, asked = _post(campus, "adjustment", "online/20260001", "bank/1", 77)
    said = campus("approval", "approve", str(asked["approval"]), "--operator", "carol", "--json")
    assert (said.code, said.json["refusal"], said.json["approval"]["state"]) == (
        1,
        "INSUFFICIENT_FUNDS",
        "failed",
    )


def test_without_a_node_nothing_is_posted_opened_or_approved(
    staff: None, north: Path, campus: Campus
) -> None:
    _, asked = _post(campus, "adjustment", "bank/1", "online/20260001", 77)
    trail = len(campus("audit", "list", "--json").json["entries"])
    for said in (
        campus("ledger", "open", "bank/1", "--holder", "x", *BY_BOB),
        campus("ledger", "post", *GOOD, *BY_BOB),
        campus("approval", "approve", str(asked["approval"]), "--operator", "carol"),
    ):
        assert said.code == 1
        assert f"is not running: start it with: campus node run {north}" in said.err
    assert len(campus("audit", "list", "--json").json["entries"]) == trail
    (waiting,) = campus("approval", "list", "--json").json["approvals"]
    assert waiting["state"] == "requested"


def test_whoever_has_no_role_posts_nothing(open_accounts: None, campus: Campus) -> None:
    said = campus(
        "ledger", "post", "--kind", "load", "--debit", "bank/1", "--credit", "online/20260001",
        "--amount-fen", 1, "--operator", "carol", "--reason", "x",
    )  # fmt: skip
    assert said.code == 1
    assert "carol may not ledger.post in north" in said.err
    assert campus("ledger", "balance", "online/20260001", "--json").json["posted_fen"] == 0


def test_an_account_is_opened_once_for_one_holder(open_accounts: None, campus: Campus) -> None:
    assert campus("ledger", "open", "bank/1", "--holder", "bank/1", *BY_BOB).code == 0
    other = campus("ledger", "open", "bank/1", "--holder", "somebody else", *BY_BOB)
    assert other.code == 1
    assert "TRANSFER_CONFLICT" in other.out


@pytest.mark.parametrize(
    ("option", "wrong", "told"),
    [
        ("--kind", "lode", "lode is no kind of transfer. Did you mean load?"),
        ("--debit", "bnak/1", "there is no class of accounts bnak. Did you mean bank?"),
        ("--debit", "20260001", "20260001 is no account: write CLASS/LOCAL"),
        ("--debit", "9999000020260001", "there is no class of accounts 9999"),
        ("--amount-fen", "0", "--amount-fen must be a whole number of at least 1"),
        ("--amount-fen", "-5", "--amount-fen must be a whole number of at least 1"),
        ("--amount-fen", "1.5", "--amount-fen must be a whole number of at least 1"),
        ("--id", "xyz", "xyz is no transfer id: 32 hexadecimal digits"),
        ("--reason", " ", "--reason needs a text"),
    ],
)
def test_a_wrong_post_is_usage(north: Path, campus: Campus, option: str, wrong: str, told: str) -> None:
    good = dict(zip((*GOOD, *BY_BOB)[::2], (*GOOD, *BY_BOB)[1::2], strict=True))
    arguments = [part for pair in (good | {option: wrong}).items() for part in pair]
    said = campus("ledger", "post", *arguments)
    assert said.code == 2
    assert told in said.err


def test_an_unknown_account_has_no_balance(north: Path, campus: Campus) -> None:
    said = campus("ledger", "balance", "online/1", "--json")
    assert (said.code, said.json["error"]["name"]) == (1, "NotFound")


@pytest.mark.parametrize("instant", ["yesterday", "2026-09-01", "2026-09-01T12:00:00"])
def test_an_instant_without_its_zone_is_usage(north: Path, campus: Campus, instant: str) -> None:
    said = campus("ledger", "balance", "online/1", "--as-of", instant)
    assert said.code == 2
    assert "is no instant with a time zone" in said.err


def test_a_changed_balance_is_found_and_rebuilt_from_the_journal(
    open_accounts: None, node: subprocess.Popen[bytes], north: Path, campus: Campus
) -> None:
    _post(campus, "load", "bank/1", "online/20260001", 5000)
    node.send_signal(signal.SIGTERM)
    node.wait(30)
    with sqlite3.connect(north / "data" / "ledger.sqlite") as db:
        db.execute("UPDATE balances SET posted_fen = 9999 WHERE account = 2100000020260001")
    found = campus("ledger", "check", "--json")
    assert (found.code, found.json["balanced"]) == (1, False)
    assert "differences" in campus("ledger", "check").out
    assert campus("ledger", "verify-chain").code == 0, "the journal itself is whole"
    rebuilt = campus("ledger", "rebuild", "--operator", "alice", "--reason", "somebody wrote 9999", "--json")
    assert rebuilt.code == 0
    assert rebuilt.json["corrected"][0]["found"] == 9999
    assert campus("ledger", "check").code == 0
    assert campus("audit", "list", "--json").json["entries"][0]["action"] == "ledger.rebuild"


def test_a_changed_row_breaks_the_chain(
    open_accounts: None, node: subprocess.Popen[bytes], north: Path, campus: Campus
) -> None:
    _post(campus, "load", "bank/1", "online/20260001", 5000)
    node.send_signal(signal.SIGTERM)
    node.wait(30)
    with sqlite3.connect(north / "data" / "ledger.sqlite") as db:
        db.execute("UPDATE transfers SET amount_fen = 1")
    said = campus("ledger", "verify-chain", "--json")
    assert (said.code, said.json["whole"], said.json["broken_at_seq"]) == (1, False, 1)


def test_a_database_of_a_newer_release_is_refused_with_advice(north: Path, campus: Campus) -> None:
    with sqlite3.connect(north / "data" / "ledger.sqlite") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (("ledger", "check"), ("node", "run", str(north)), ("database", "upgrade")):
        said = campus(*command)
        assert said.code == 1
        assert "a newer release wrote it" in said.err
