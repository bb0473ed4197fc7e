"""`campus device`: what hangs on the campus, and keys for devices of others."""

from pathlib import Path

from campus_node.database.connect import connect
from campus_node.devices.board import DeviceBoard
from campus_node.devices.health import Health
from campus_node.devices.reports import DeviceReport
from campuscard.v1 import gateway_pb2 as pb
from federation.clock import SystemClock
from tests.campus.conftest import Campus

BY_ALICE = ("--operator", "alice", "--reason", "new gates")


def fill(north: Path) -> None:
    db = connect(f"sqlite:///{north / 'data' / 'ledger.sqlite'}")
    now = SystemClock().unix_ms()
    board = DeviceBoard(db, now)
    state = pb.GatewayState(complete=True)
    state.lines.add(line="can0", kind="can", health=pb.HEALTH_WELL, bitrate=250_000)
    state.devices.add(line="can0", address=17, health=pb.HEALTH_WELL, terminal_id=bytes(5) + b"\x17")
    state.devices.add(line="can0", address=18, health=pb.HEALTH_FAILED, reason="its PSAM is gone")
    board.take_state("canteen", state, now)
    board.take_reports("doors", [DeviceReport("east-1", "door-controller", Health.DEGRADED, now)], now)
    db.dispose()


def test_everything_is_listed_and_shown_for_people_and_for_programs(north: Path, campus: Campus) -> None:
    assert campus("device", "list").out == "Nothing is known of any device yet.\n"
    fill(north)
    listed = campus("device", "list").out
    for shown in (
        "canteen/can0/17",
        "000000000017",
        "its PSAM is gone",
        "door-controller/east-1",
        "degraded",
    ):
        assert shown in listed
    unwell = campus("device", "list", "--unwell").out
    assert "canteen/can0/18" in unwell
    assert "canteen/can0/17" not in unwell
    tree = campus("device", "list", "--json").json
    (line,) = tree["gateways"][0]["lines"]
    assert [(each["address"], each["health"]) for each in line["devices"]] == [(17, "well"), (18, "failed")]
    assert tree["reported"][0]["device"] == "east-1"
    assert "its PSAM is gone" in campus("device", "show", "canteen/can0/18").out
    assert campus("device", "show", "door-controller/east-1", "--json").json["health"] == "degraded"
    assert campus("device", "show", "canteen", "--json").json["gateway"] == "canteen"
    assert campus("device", "show", "nothing/here").code == 1


def test_it_is_said_in_chinese(north: Path, campus: Campus) -> None:
    fill(north)
    listed = campus("--lang", "zh", "device", "list").out
    assert "故障" in listed
    assert "欠佳" in listed


def test_a_key_is_made_listed_and_revoked_by_an_administrator_only(staff: None, campus: Campus) -> None:
    create = ("device", "key", "create", "doors", "--kind", "door-controller", "--kind", "turnstile")
    assert campus(*create, "--operator", "bob", "--reason", "x").code == 1
    assert campus("device", "key", "list", "--json").json["keys"] == []
    made = campus(*create, *BY_ALICE, "--json").json
    assert made["key"].startswith("cck_doors.")
    (listed,) = campus("device", "key", "list", "--json").json["keys"]
    assert (listed["kinds"], listed["reads"], listed["revoked"]) == (
        ["door-controller", "turnstile"],
        False,
        False,
    )
    assert made["key"].partition(".")[2] not in campus("device", "key", "list").out
    assert campus("device", "key", "revoke", "doors", *BY_ALICE).code == 0
    assert campus("device", "key", "revoke", "doors", *BY_ALICE).code == 1
    assert campus("device", "key", "list", "--json").json["keys"][0]["revoked"]
    actions = [entry["action"] for entry in campus("audit", "list", "--json").json["entries"]]
    assert actions[:2] == ["device.key.revoke", "device.key.create"]
    shown = campus("device", "key", "create", "wall", "--read", *BY_ALICE).out
    assert "cck_wall." in shown


def test_what_was_removed_is_forgotten_once(staff: None, north: Path, campus: Campus) -> None:
    fill(north)
    forget = ("device", "forget", "door-controller/east-1", *BY_ALICE)
    assert campus(*forget).code == 0
    assert campus(*forget).code == 1
    assert campus("device", "list", "--json").json["reported"] == []
    assert campus("alarm", "list", "--json").json["alarms"][0]["name"] == "device.failed"
    assert campus("device", "forget", "canteen", *BY_ALICE).code == 0
    assert campus("alarm", "list").out == "No alarm is open.\n"
