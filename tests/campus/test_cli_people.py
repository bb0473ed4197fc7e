"""Operators, alarms and the audit trail on the command line."""

import sqlite3
from pathlib import Path

from campus_node.database.connect import connect, writing
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from federation.clock import SystemClock
from tests.campus.conftest import Campus


def test_the_first_operator_becomes_administrator_and_enrols_the_others(staff: None, campus: Campus) -> None:
    people = campus("operator", "list", "--json").json["operators"]
    assert [(p["operator"], [g["role"] for g in p["grants"]]) for p in people] == [
        ("alice", ["administrator"]),
        ("bob", ["card_office"]),
        ("carol", ["finance"]),
    ]
    assert "card-office@north" in campus("operator", "list").out


def test_only_an_administrator_enrols(staff: None, campus: Campus) -> None:
    for more in (("--operator", "bob"), ("--operator", "nobody"), ()):
        said = campus("operator", "add", "dave", "--reason", "x", *more)
        assert said.code == 1, more
    assert campus("operator", "add", "dave", "--operator", "alice").code == 2, "a reason is wanted"


def test_roles_are_given_and_taken_in_a_scope(staff: None, campus: Campus) -> None:
    by_alice = ("--operator", "alice", "--reason", "moved")
    scope = ("--scope", "north/canteens")
    assert campus("operator", "grant", "bob", "cashier", *scope, *by_alice).code == 0
    assert "cashier@north/canteens" in campus("operator", "list").out
    assert campus("operator", "revoke", "bob", "cashier", *scope, *by_alice).code == 0
    assert campus("operator", "revoke", "bob", "cashier", *scope, *by_alice).code == 1
    elsewhere = campus("operator", "grant", "bob", "cashier", "--scope", "south", *by_alice)
    assert (elsewhere.code, "not within this campus" in elsewhere.err) == (1, True)
    malformed = campus("operator", "grant", "bob", "cashier", "--scope", "A B", *by_alice)
    assert (malformed.code, "is no scope" in malformed.err) == (1, True)
    assert campus("operator", "disable", "bob", *by_alice).code == 0
    assert "disabled" in campus("operator", "list").out


def test_an_alarm_is_listed_and_acknowledged_once(staff: None, north: Path, campus: Campus) -> None:
    assert campus("alarm", "list").out == "No alarm is open.\n"
    db = connect(f"sqlite:///{north / 'data' / 'ledger.sqlite'}")
    with writing(db) as connection:
        alarm = Alarm("ledger.unbalanced", Severity.CRITICAL, "north", {"difference_fen": 5})
        raise_alarm(connection, alarm, SystemClock().unix_ms())
    db.dispose()
    (listed,) = campus("alarm", "list", "--json").json["alarms"]
    assert (listed["name"], listed["severity"], listed["open"]) == ("ledger.unbalanced", "critical", True)
    acknowledge = ("alarm", "acknowledge", str(listed["number"]), "--note", "on my way", "--operator")
    assert campus(*acknowledge, "nobody").code == 1
    assert campus(*acknowledge, "bob").code == 0
    assert campus(*acknowledge, "carol").code == 1
    (after,) = campus("alarm", "list", "--json").json["alarms"]
    assert (after["acknowledged_by"], after["acknowledged_note"]) == ("bob", "on my way")
    assert campus("audit", "list", "--json").json["entries"][0]["action"] == "alarm.acknowledge"
    assert campus("alarm", "acknowledge", "99", "--note", "x", "--operator", "bob").code == 1


def test_the_audit_trail_tells_who_and_why_and_notices_changes(
    staff: None, north: Path, campus: Campus
) -> None:
    newest = campus("audit", "list", "--json", "--limit", "1").json["entries"][0]
    assert (newest["operator"], newest["action"], newest["why"]) == ("alice", "operator.grant", "first day")
    assert newest["place"].startswith("cli:")
    about_bob = campus("audit", "list", "--subject", "bob", "--json").json["entries"]
    assert [entry["action"] for entry in about_bob] == ["operator.grant", "operator.enrol"]
    assert campus("audit", "verify").code == 0
    with sqlite3.connect(north / "data" / "ledger.sqlite") as db:
        db.execute("UPDATE audit SET why = 'nothing' WHERE seq = 2")
    broken = campus("audit", "verify")
    assert broken.code == 1
    assert "entry 2 was changed" in broken.err
    assert "keep these files as evidence" in broken.err
