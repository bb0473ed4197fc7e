"""Parameters of terminals, and the keys that they pin, on the command line (A15, B2.3)."""

import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from campus_node.campus_directory import CampusDirectory
from campus_node.database.connect import connect
from campus_node.lines import notice
from campus_node.notices.desk import NoticeDesk
from campus_node.spending import parameters
from campus_node.spending.parameter_values import read_parameters
from federation.clock import SystemClock
from federation.hotlist_reception import Reception, Taken
from federation.hotlist_wire import read
from tests.campus.conftest import Campus

ALICE = ("--operator", "alice", "--reason", "new term")
BOB = ("--operator", "bob", "--reason", "new till")
ISSUER = "4355434100000001"


def desk_of(north: Path) -> NoticeDesk:
    place = CampusDirectory(north)
    return NoticeDesk.of(north, connect(place.database_url(place.settings())), SystemClock())


def test_what_is_set_is_what_gateways_are_told_and_terminals_read(
    staff: None, campus: Campus, north: Path
) -> None:
    first = campus("parameters", "set", "day_max_fen=20000", "class_3_served=no", *ALICE, "--json")
    assert (first.code, first.json["version"]) == (0, 1), first.err
    again = campus("parameters", "set", "day_max_fen=20000", *ALICE, "--json")
    assert again.json["version"] == 1, "nothing changed"
    second = campus("parameters", "set", "payment_max_fen=900", "--default", "day_max_fen", *ALICE, "--json")
    assert second.json["version"] == 2
    assert second.json["changed"] == ["day_max_fen", "payment_max_fen"]
    assert second.json["parameters"] == {"class_3_served": "no", "payment_max_fen": "900"}
    told = [each for each in desk_of(north).told_since("canteen", 0).messages if each.HasField("parameters")]
    (message,) = told
    values = read_parameters((each.name, each.value) for each in message.parameters.parameters.parameters)
    assert message.parameters.parameters.version == 2
    assert values.of(parameters.PAYMENT_MAX) == 900
    assert values.of(parameters.DAY_MAX) == parameters.DAY_MAX.default_value
    assert [
        each["version"] for each in campus("parameters", "show", "--versions", "--json").json["versions"]
    ] == [
        2,
        1,
    ]
    assert campus("parameters", "show", "1", "--json").json["parameters"]["day_max_fen"] == "20000"
    assert "no version 3" in campus("parameters", "show", "3").err
    trail = campus("audit", "list", "--json").json["entries"]
    assert [each["action"] for each in trail][:2] == ["parameters.change", "parameters.change"]


def test_two_mistakes_are_both_told_and_nothing_is_taken(staff: None, campus: Campus) -> None:
    said = campus("parameters", "set", "day_max_fen=lots", "day_cut_off=25:00", "served=yes", *ALICE)
    assert said.code == 2
    assert "day_max_fen is 'lots', wanted: a whole number from 0 to" in said.err
    assert "day_cut_off is '25:00', wanted: a time of day" in said.err
    near = campus("parameters", "set", "day_max_fan=1", "nothing=1", *ALICE)
    assert "did you mean day_max_fen?" in near.err
    assert "nothing is no parameter" in near.err
    assert "nothing is to change" in campus("parameters", "set", *ALICE).err
    assert campus("parameters", "show", "--json").json["versions"] == []


def test_only_who_may_changes_them(staff: None, campus: Campus) -> None:
    refused = campus("parameters", "set", "day_max_fen=1", *BOB)
    assert refused.code == 1
    assert campus("parameters", "show", "--json").json["versions"] == []


def test_a_version_that_waits_is_replaced_at_its_instant_only(staff: None, campus: Campus) -> None:
    at = ("--at", "2099-09-01T00:00:00+08:00")
    waits = campus("parameters", "set", "day_max_fen=1", *at, *ALICE, "--json").json
    assert (waits["waits"], waits["effective_at"]) == (True, "2099-08-31T16:00:00Z")
    early = campus("parameters", "set", "served=no", *ALICE)
    assert early.code == 1
    assert "waits for 2099-08-31T16:00:00+00:00" in early.err
    both = campus("parameters", "set", "served=no", *at, *ALICE, "--json").json
    assert both["parameters"] == {"day_max_fen": "1", "served": "no"}


def test_all_parameters_are_listed_with_what_is_good_for_them(staff: None, campus: Campus) -> None:
    campus("parameters", "set", "class_3_day_max_fen=20000", *ALICE)
    listed = {each["name"]: each for each in campus("parameters", "list", "--json").json["parameters"]}
    assert set(listed) == {each.name for each in parameters.all_parameters()}
    assert listed["day_max_fen"]["given"] == {"class_3_day_max_fen": "20000"}
    assert listed["day_max_fen"]["range"] == "0 to 10,000,000"
    shown = campus("--lang", "zh", "parameters", "list").out
    assert "class_3_day_max_fen=20000" in shown
    assert "0 至 10000000 的整数" in shown


def test_pins_are_settings_under_which_a_terminal_believes_this_campus(
    staff: None, campus: Campus, north: Path
) -> None:
    assert campus("firmware", "key").code == 0
    told = campus("terminal", "pins", "--json").json
    assert told["hotlist_keys"] == [], "nobody said yet whose cards are this campus's"
    assert campus("parameters", "set", f"own_issuer={ISSUER}", *ALICE).code == 0
    asn = "00000001000000000042"
    named = (asn, "--issuer", ISSUER, "--account", "online/42")
    registered = campus("card", "register", *named, *BOB)
    assert registered.code == 0, registered.err
    assert campus("card", "lost", asn, *BOB).code == 0

    trust = tomllib.loads(campus("terminal", "pins").out)["trust"]
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(trust["notice_keys"]))
    issuer, _, pinned = trust["hotlist_keys"].partition(":")
    assert issuer == ISSUER
    assert len(trust["firmware_keys"]) == 64
    (message,) = [each.notice for each in desk_of(north).told_since("canteen", 0).messages if each.notice]
    delta = read(notice.hear(message, {notice.key_id(key): key}, 0, SystemClock().unix_ms()).notice.hotlist)
    reception = Reception(bytes.fromhex(issuer), [Ed25519PublicKey.from_public_bytes(bytes.fromhex(pinned))])
    assert reception.take(delta) is Taken.APPLIED  # type: ignore[arg-type]  # a revocation is a delta
    assert reception.hotlist.find(bytes.fromhex(asn)) is not None


@pytest.mark.parametrize("issuer", ["12", "43554341000000zz"])
def test_what_is_no_issuer_is_told(north: Path, campus: Campus, issuer: str) -> None:
    assert "is no issuer" in campus("terminal", "pins", "--issuer", issuer).err
