"""Topology and health of everything, and which alarms come of it (B5.2)."""

import pytest

from campus_node.database.connect import writing
from campus_node.devices.board import DeviceBoard, forget
from campus_node.devices.health import Health
from campus_node.devices.topology import topology_json
from campuscard.v1 import gateway_pb2 as pb
from federation.errors import NotFound, Unreadable
from tests.devices.conftest import Bench, device, line


def full(*devices: pb.DeviceState, health: Health = Health.WELL) -> pb.GatewayState:
    return pb.GatewayState(complete=True, lines=[line(health=health)], devices=devices)


def changed(*devices: pb.DeviceState, lines: tuple[pb.LineState, ...] = ()) -> pb.GatewayState:
    return pb.GatewayState(lines=lines, devices=devices)


def places(bench: Bench) -> list[tuple[str, int, str]]:
    return [(each.line, each.address, each.health.word) for each in bench.all().devices()]


def test_a_complete_state_is_shown_as_a_tree(bench: Bench) -> None:
    bench.seen(version="0.3.0")
    state = full(device(17, terminal="000000000017"), device(18, Health.DEGRADED))
    state.devices[0].report.firmware_version = 7
    state.devices[0].report.journal_id = bytes(range(16))
    state.spool_waiting, state.spool_size = 3, 200_000
    bench.state(state)
    (gateway,) = bench.all().gateways
    assert (gateway.gateway, gateway.health, gateway.version) == ("canteen", Health.WELL, "0.3.0")
    assert (gateway.spool_waiting, gateway.spool_size, gateway.attached) == (3, 200_000, True)
    shown = topology_json(bench.all())["gateways"]
    assert isinstance(shown, list)
    first = shown[0]["lines"][0]["devices"][0]
    assert first["terminal_id"] == "000000000017"
    assert first["report"]["firmware_version"] == 7
    assert first["report"]["journal_id"] == "000102030405060708090A0B0C0D0E0F"
    assert first["heard_at"] == "2026-09-01T00:00:00.000Z"


def test_what_a_partial_state_does_not_name_stays_and_what_a_complete_one_lacks_is_gone(bench: Bench) -> None:
    bench.state(full(device(1), device(2), device(3, Health.FAILED)))
    bench.state(changed(device(2, Health.DEGRADED)))
    assert places(bench) == [("can0", 1, "well"), ("can0", 2, "degraded"), ("can0", 3, "failed")]
    bench.state(full(device(1)))
    assert places(bench) == [("can0", 1, "well")]
    assert bench.alarms() == [], "alarms of what is gone are closed"
    bench.state(pb.GatewayState(complete=True))
    assert bench.all().gateways[0].lines == []


def test_a_device_on_a_line_that_was_not_told_yet_is_not_lost(bench: Bench) -> None:
    bench.state(changed(device(9, line="rs485-1")))
    (only,) = bench.all().gateways[0].lines
    assert (only.line, only.health, len(only.devices)) == ("rs485-1", Health.UNSPECIFIED, 1)
    bench.state(changed(lines=(line("rs485-1", kind="serial"),)))
    (only,) = bench.all().gateways[0].lines
    assert (only.kind, only.health, len(only.devices)) == ("serial", Health.WELL, 1)


def test_an_alarm_is_raised_once_grows_worse_and_is_closed_when_it_is_well_again(bench: Bench) -> None:
    for _ in range(3):
        bench.state(full(device(17, Health.DEGRADED)))
    assert bench.alarms() == [("device.degraded", "canteen/can0/17", "NOTICE")]
    assert bench.occurrences() == [1]
    bench.state(changed(device(17, Health.FAILED)))
    assert bench.alarms() == [("device.failed", "canteen/can0/17", "SERIOUS")]
    bench.state(changed(device(17)))
    assert bench.alarms() == []
    assert len(bench.alarms(closed=True)) == 2
    bench.state(changed(device(17, Health.SILENT)))
    assert bench.alarms() == [("device.silent", "canteen/can0/17", "WARNING")]


def test_since_says_how_long_it_has_been_so(bench: Bench) -> None:
    bench.state(full(device(17)))
    born = bench.clock.unix_ms()
    bench.clock.advance(60_000)
    bench.state(full(device(17)))
    assert [each.since_unix_ms for each in bench.all().devices()] == [born]
    bench.state(full(device(17, Health.FAILED)))
    assert [each.since_unix_ms for each in bench.all().devices()] == [born + 60_000]


def test_a_line_that_is_down_is_one_alarm_and_its_devices_speak_again_when_it_is_up(bench: Bench) -> None:
    bench.state(full(device(1), device(2), device(3, Health.FAILED)))
    down = (line(health=Health.FAILED),)
    bench.state(changed(*(device(n, Health.SILENT) for n in (1, 2, 3)), lines=down))
    assert bench.alarms() == [
        ("device.failed", "canteen/can0/3", "SERIOUS"),
        ("line.failed", "canteen/can0", "SERIOUS"),
    ]
    bench.state(changed(device(1), lines=(line(),)))
    assert bench.alarms() == [
        ("device.silent", "canteen/can0/2", "WARNING"),
        ("device.silent", "canteen/can0/3", "WARNING"),
    ] or bench.alarms() == [
        ("device.silent", "canteen/can0/3", "WARNING"),
        ("device.silent", "canteen/can0/2", "WARNING"),
    ]


def test_a_gateway_that_is_not_heard_is_silent_with_one_alarm_for_all_that_hangs_on_it(bench: Bench) -> None:
    bench.state(full(*(device(n) for n in range(1, 51))))
    bench.board.gateway_gone("canteen", bench.clock.unix_ms())
    bench.after(60)
    assert bench.alarms() == [], "a gateway may come back at once"
    bench.after(1)
    bench.after(1)
    assert bench.alarms() == [("gateway.silent", "canteen", "SERIOUS")]
    assert bench.occurrences() == [1]
    (gateway,) = bench.all().gateways
    assert (gateway.health, gateway.attached) == (Health.SILENT, False)
    assert not gateway.lines[0].current
    assert {each.current for each in bench.all().devices()} == {False}
    bench.seen()
    assert bench.alarms() == []
    assert bench.all().gateways[0].attached
    assert {each.current for each in bench.all().devices()} == {True}


def test_a_gateway_that_is_heard_all_the_time_never_counts_as_silent(bench: Bench) -> None:
    bench.seen()
    for _ in range(100):
        bench.after(5)
        bench.seen()
    assert bench.alarms(closed=None) == []


def test_an_attached_gateway_with_nothing_to_say_is_there_all_night(bench: Bench) -> None:
    bench.seen()
    for _ in range(60):
        bench.after(600)
    assert bench.alarms(closed=None) == []
    (gateway,) = bench.all().gateways
    assert (gateway.health, gateway.seen_at_unix_ms) == (Health.WELL, bench.clock.unix_ms())


def test_a_gateway_that_was_attached_when_the_node_was_killed_is_silent_if_it_stays_away(
    bench: Bench,
) -> None:
    bench.seen()
    again = DeviceBoard(bench.db, bench.clock.unix_ms())
    again.look(bench.clock.unix_ms() + 61_000)
    assert bench.alarms() == [("gateway.silent", "canteen", "SERIOUS")]
    assert not bench.all().gateways[0].attached


def test_a_node_that_was_away_does_not_blame_gateways_for_it(bench: Bench) -> None:
    bench.seen()
    bench.clock.advance(3_600_000)
    again = DeviceBoard(bench.db, bench.clock.unix_ms())
    again.look(bench.clock.unix_ms())
    assert bench.alarms() == []
    again.look(bench.clock.unix_ms() + 61_000)
    assert bench.alarms() == [("gateway.silent", "canteen", "SERIOUS")]


def test_two_gateways_have_lines_of_the_same_name(bench: Bench) -> None:
    bench.state(full(device(1, Health.FAILED)), "north-hall")
    bench.state(full(device(1)), "south-hall")
    assert [name for name, *_ in bench.alarms()] == ["device.failed"]
    bench.state(pb.GatewayState(complete=True), "south-hall")
    assert len(list(bench.all().devices())) == 1


@pytest.mark.parametrize(
    "state",
    [
        pb.GatewayState(lines=[pb.LineState(line="")]),
        pb.GatewayState(lines=[pb.LineState(line="can0/../x")]),
        pb.GatewayState(devices=[pb.DeviceState(line="can0", address=0)]),
        pb.GatewayState(devices=[pb.DeviceState(line="can0", address=255)]),
        pb.GatewayState(devices=[pb.DeviceState(line="can0", address=1, terminal_id=b"12345")]),
        pb.GatewayState(lines=[pb.LineState(line=f"can{n}") for n in range(257)]),
    ],
)
def test_a_state_that_makes_no_sense_is_refused_as_a_whole(bench: Bench, state: pb.GatewayState) -> None:
    bench.state(full(device(1)))
    state.lines.add(line="can9", kind="can")
    with pytest.raises(Unreadable):
        bench.state(state)
    assert places(bench) == [("can0", 1, "well")]
    assert len(bench.all().gateways[0].lines) == 1


def test_numbers_larger_than_a_database_holds_and_text_with_line_breaks_are_taken_cut(bench: Bench) -> None:
    state = full(device(1))
    state.lines[0].received = 2**64 - 1
    state.spool_size = 2**64 - 1
    state.devices[0].reason = "first\nsecond" + "x" * 1000
    state.devices[0].health = 99  # type: ignore[assignment]  # of a later release
    bench.state(state)
    (only,) = bench.all().devices()
    assert (only.health, only.reason[:12], len(only.reason)) == (Health.UNSPECIFIED, "first second", 500)
    assert bench.all().gateways[0].lines[0].received == 2**63 - 1


def test_a_gateway_that_was_taken_down_is_forgotten_with_its_alarms(bench: Bench) -> None:
    bench.state(full(device(1, Health.FAILED), health=Health.DEGRADED))
    bench.board.gateway_gone("canteen", bench.clock.unix_ms())
    bench.after(61)
    assert len(bench.alarms()) == 3
    with writing(bench.db) as connection:
        forget(connection, "canteen", bench.clock.unix_ms())
    assert bench.alarms() == []
    assert bench.all().gateways == []
    with pytest.raises(NotFound), writing(bench.db) as connection:
        forget(connection, "canteen", bench.clock.unix_ms())
