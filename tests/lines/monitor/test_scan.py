"""Who is on a line, from what it says itself or from what it answers; and who shares an address."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack

import can
import pytest

from campus_node.cli.commands_line import parse_addresses, settings_of
from campus_node.cli.entry import run
from campus_node.cli.usage import WrongUsage
from campus_node.lines.can.signals import Distress, Emergency, Heartbeat, frame_of
from campus_node.lines.driver import Drive
from campus_node.lines.monitor.scan import CanScan, Place, SerialScan
from campus_node.lines.serial.serial_port import SerialDevice
from campus_node.lines.serial.terminal import SerialTerminalLine
from federation.clock import SystemClock
from hil_rig.virtual.serial_hub import PtyHub
from tests.lines.monitor.conftest import Capture

SLACK_S = 0.3  # this machine may be busy


def _heard(*said: Heartbeat | Emergency) -> list[Place]:
    scan = CanScan()
    for each in said:
        frame = frame_of(each)
        scan.take(can.Message(arbitration_id=frame.can_id, data=frame.payload))
    return scan.places


def test_a_conversation_tells_who_holds_it(capture: Capture) -> None:
    scan = CanScan()
    for message in capture.messages:
        scan.take(message)
    head, till = scan.places
    assert (head.address, head.conflict) == (0, False)
    assert (till.address, till.serials, till.terminal_ids) == (0x11, {"5566"}, {"112233445566"})
    assert till.frames > 50


def test_two_serial_numbers_under_one_address_are_a_conflict() -> None:
    places = _heard(
        Heartbeat(5, serial=1), Heartbeat(6, serial=2), Heartbeat(5, serial=3), Heartbeat(5, serial=1)
    )
    assert [(place.address, place.conflict) for place in places] == [(5, True), (6, False)]
    assert places[0].serials == {"0001", "0003"}


def test_an_emergency_alone_names_its_address() -> None:
    assert [place.address for place in _heard(Emergency(9, Distress.STORE_FULL))] == [9]


def test_addresses_and_settings_are_read_as_they_are_typed() -> None:
    assert parse_addresses("1-254") == range(1, 255)
    assert parse_addresses("7") == range(7, 8)
    for wrong in ("0-5", "5-1", "1-255", "x", "", "1-2-3"):
        with pytest.raises(WrongUsage):
            parse_addresses(wrong)
    assert settings_of(["a=1", "b=true", "c=x=y"]) == {"a": 1, "b": True, "c": "x=y"}


def _colliding(count: int, bits: int) -> list[bytes]:
    """Return serial numbers whose SHA-256 begin with the same bits: they answer at once for longer."""
    found: dict[int, list[bytes]] = {}
    for number in range(1, 10_000):
        serial = number.to_bytes(10)
        start = int.from_bytes(hashlib.sha256(serial).digest()[:4]) >> (32 - bits)
        found.setdefault(start, []).append(serial)
        if len(found[start]) == count:
            return found[start]
    raise AssertionError("no such numbers")


@pytest.fixture
def wired() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
def test_on_a_polled_line_each_is_found_at_its_rate_and_two_on_one_address_are_told_apart(
    wired: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = _colliding(2, bits=1)
    hub = wired.enter_context(PtyHub(["head", "till 3", "till 5", "twin"]))
    for node, address, serial, baud in (
        ("till 3", 3, bytes(9) + b"\3", 115_200),
        ("till 5", 5, twins[0], 38_400),
        ("twin", 5, twins[1], 38_400),
    ):
        line = SerialTerminalLine(node, SerialDevice(hub.paths[node], baud), address, serial)
        wired.callback(line.close)
        wired.enter_context(Drive(line))
    port = SerialDevice(hub.paths["head"], 115_200, slack_s=SLACK_S)
    wired.callback(port.close)
    found = [
        place
        for _, _, place in SerialScan(port, SystemClock()).run(range(3, 6), (38_400, 115_200))
        if place is not None
    ]
    assert [(place.address, place.baud, place.conflict) for place in found] == [
        (5, 38_400, True),
        (3, 115_200, False),
    ]
    assert found[0].serials == {serial.hex().upper() for serial in twins}
    assert found[1].serials == {"0" * 19 + "3"}
    port.close()
    asked = ["line", "scan", "--device", hub.paths["head"], "--slack-ms", str(round(1000 * SLACK_S))]
    code = run([*asked, "--addresses", "3", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (code, told["conflicts"]) == (0, [])
    assert [(place["address"], place["baud"]) for place in told["places"]] == [(3, 115_200)]
    assert run([*asked, "--addresses", "5", "--baud", "38400"]) == 1
    assert "two share it" in capsys.readouterr().out
