"""`campus terminal`, `campus card register|lost|found` and `campus record`, as somebody types them."""

from pathlib import Path

import pytest

from campus_node.database.connect import connect
from campus_node.records.intake import Intake
from federation.clock import SystemClock
from tests.campus.conftest import Campus
from tests.records.build import JOURNAL, SPOOL, record

BY_BOB = ("--operator", "bob", "--reason", "new till")
BY_ALICE = ("--operator", "alice", "--reason", "new till")
REGISTER = (
    "terminal", "register", "till-7", "--number", "000000000007", "--psam", "00000000000000000007",
    "--gateway", "canteen", "--merchant", "merchant-payable/1", "--line", "can0", "--address", "7",
)  # fmt: skip
ASN = "00000001000000000042"
CARD = ("card", "register", ASN, "--issuer", "4355434100000001", "--account", "online/42")


def books(north: Path) -> str:
    return f"sqlite:///{north / 'data' / 'ledger.sqlite'}"


@pytest.mark.usefixtures("staff")
def test_a_terminal_is_registered_listed_isolated_admitted_and_retired(campus: Campus) -> None:
    assert campus(*REGISTER, *BY_BOB).out == "Terminal till-7 is registered.\n"
    listed = campus("terminal", "list", "--json").json["terminals"]
    assert [(each["name"], each["state"], each["address"]) for each in listed] == [("till-7", "active", 7)]
    assert "can0/7" in campus("terminal", "list").out
    assert campus("terminal", "list", "--gateway", "library").out == "No terminal is registered.\n"
    assert campus("terminal", "isolate", "till-7", *BY_ALICE).out == "Terminal till-7 is isolated now.\n"
    again = campus("terminal", "isolate", "till-7", *BY_ALICE, "--json").json
    assert (again["state"], again["changed"]) == ("isolated", False)
    assert campus("terminal", "admit", "000000000007", *BY_BOB).code == 0
    assert campus("terminal", "retire", "till-7", *BY_BOB, "--json").json["state"] == "retired"
    refused = campus("terminal", "admit", "till-7", *BY_BOB)
    assert refused.code == 1
    assert "stays so" in refused.err
    trail = campus("audit", "list", "--json").json["entries"]
    actions = [each["action"] for each in trail]
    assert [action for action in actions if action.startswith("terminal.")] == [
        "terminal.retired", "terminal.active", "terminal.isolated", "terminal.register",
    ]  # fmt: skip


@pytest.mark.usefixtures("staff")
def test_mistakes_are_told_and_nothing_is_changed(campus: Campus) -> None:
    assert campus(*REGISTER, *BY_BOB).code == 0
    twice = campus(*REGISTER, *BY_BOB)
    assert twice.code == 1
    assert "number 000000000007 belongs to terminal till-7 already" in twice.err
    assert campus("terminal", "register", "x", "--number", "7", *REGISTER[5:], *BY_BOB).code == 2
    refused = campus("terminal", "retire", "till-7", "--operator", "carol", "--reason", "no")
    assert refused.code == 1
    assert campus("terminal", "retire", "nobody", *BY_BOB).code == 1
    assert len(campus("terminal", "list", "--json").json["terminals"]) == 1


@pytest.mark.usefixtures("staff")
def test_a_card_is_lost_and_found_and_the_hotlist_follows(campus: Campus) -> None:
    assert campus(*CARD, *BY_BOB).out == f"Card {ASN} is registered.\n"
    assert campus(*CARD, *BY_BOB).code == 1
    assert campus("card", "standing", ASN, "--json").json["may_pay"] is True
    lost = campus("card", "lost", ASN, "--at", "2026-09-01T12:00:00+08:00", *BY_BOB, "--json").json
    assert (lost["changed"], lost["hotlist_version"]) == (True, 1)
    assert lost["flags"] == [{"flag": "lost", "effective_at": "2026-09-01T04:00:00Z", "reason": "new till"}]
    again = campus("card", "lost", ASN, *BY_BOB, "--json").json
    assert (again["changed"], again["hotlist_version"]) == (False, 1)
    assert "may not pay: lost" in campus("card", "standing", ASN).out
    assert campus("card", "flag", ASN, "broken", *BY_BOB, "--json").json["hotlist_version"] == 1
    found = campus("card", "found", ASN, *BY_BOB, "--json").json
    assert (found["changed"], found["hotlist_version"]) == (True, 2)
    assert campus("card", "standing", ASN, "--json").json["may_pay"] is True
    assert campus("card", "flag", ASN, "closed", *BY_BOB, "--json").json["hotlist_version"] == 3
    assert campus("card", "unflag", ASN, "closed", *BY_BOB).code == 1
    assert campus("card", "lost", "00000001000000009999", *BY_BOB).code == 1
    assert campus("card", "lost", "42", *BY_BOB).code == 2
    refused = campus("card", "lost", ASN, "--operator", "carol", "--reason", "no right")
    assert refused.code == 1


@pytest.mark.usefixtures("staff")
def test_records_are_shown_with_what_is_apart_missing_and_covered(
    north: Path, campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert campus(*REGISTER, *BY_BOB).code == 0
    assert campus("record", "gaps").out == "No record is missing.\n"
    assert campus("record", "covered").code == 0
    db = connect(books(north))
    intake = Intake(db, SystemClock(), covered_by_backup=True)
    taken = [record(1), record(5, 2), record(6, 3, b""), record(1, 4, b"another")]
    intake.take("canteen", SPOOL, taken)
    shown = campus("record", "show", "till-7", "--json").json["records"]
    assert [(each["seq"], each["outcome"]) for each in shown] == [
        (6, "quarantined"), (5, "pending"), (1, "pending"),
    ]  # fmt: skip
    in_order = campus("record", "show", JOURNAL.hex(), "--from", "5", "--json").json["records"]
    assert [each["seq"] for each in in_order] == [5, 6]
    apart = campus("record", "quarantine", "--json").json
    assert [each["reason"] for each in apart["records"]] == ["unreadable"]
    assert [each["body"] for each in apart["conflicts"]] == [b"another".hex().upper()]
    gaps = campus("record", "gaps", "--json")
    assert gaps.code == 1
    assert [(each["first_seq"], each["through_seq"]) for each in gaps.json["gaps"]] == [(2, 4)]
    assert gaps.json["missing"] == 3
    monkeypatch.setenv("CAMPUS_RECORDS__COVERED_BY", "backup")
    assert campus("record", "covered", "--begin").code == 2
    assert campus("record", "covered", "--begin", "--operator", "alice").code == 0
    intake.take("canteen", SPOOL, [record(2, 5)])
    done = campus("record", "covered", "--done", "--operator", "alice", "--json").json
    assert [(each["committed_through"], each["covered_through"]) for each in done["spools"]] == [(5, 4)]
    assert intake.marks("canteen", SPOOL).covered_through == 4
    db.dispose()
