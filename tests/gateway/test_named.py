"""Who disturbs a line is named in the node's table of alarms, by line and address (B4.3, B7, A12)."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from campus_node.lines.can.presence import HeartbeatSource
from campus_node.lines.can.signals import Condition, Heartbeat
from campus_node.lines.line import HEAD
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.serial_port import SerialDevice
from federation.clock import SystemClock
from hil_rig.senders.lines import OpenLine
from hil_rig.senders.order import SegmentLine, SenderOrder
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.serial_hub import PtyHub
from tests.gateway.places import can_line
from tests.gateway.running import WatchedGateway
from tests.gateway.till import Till
from tests.gateway.whole import WholeCampus, whole_campus
from tests.outage_lines.segments import terminal
from tests.strangers.taps import CanTap

pytestmark = pytest.mark.slow

BITRATE, BAUD = 250_000, 115_200
WAIT_S = 90.0
CLOCK = SystemClock()
TWIN, BABBLER, STUCK, HONEST = 2, 9, 3, 1
ON_CAN = [terminal(1, HONEST), terminal(2, TWIN)]
ON_WIRE = [terminal(11, HONEST), terminal(12, TWIN), terminal(13, STUCK)]
TWINS = {"can0": terminal(22, TWIN, prefix="twin"), "serial0": terminal(32, TWIN, prefix="twin")}


class BeatingTill(Till):
    """A till on CAN that says every few seconds that it is there."""

    def open_line(self, line: SegmentLine, who: SenderOrder) -> OpenLine:
        opened = super().open_line(line, who)
        beat = partial(Heartbeat, who.address, Condition.SELLING, serial=int(who.psam_serial[-4:], 16))
        opened.line.attach(HeartbeatSource(beat))  # type: ignore[attr-defined]  # a line on CAN has services
        return opened


class House:
    """A campus, a gateway on a CAN bus and an RS-485 line, and what disturbs them."""

    def __init__(
        self, ending: ExitStack, directory: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ending, self.directory, self.sockets = ending, directory, sockets
        self.campus: WholeCampus = ending.enter_context(
            whole_campus(directory, {"can0": ON_CAN, "serial0": ON_WIRE}, monkeypatch)
        )
        ending.enter_context(CanBroker(sockets / "can0", BITRATE))
        names = ["head", "tap", TWINS["serial0"].name, *(who.name for who in ON_WIRE)]
        self.hub = ending.enter_context(PtyHub(names))
        for name, path in self.hub.paths.items():
            (sockets / name).symlink_to(path)
        serial = f'name = "serial0"\nkind = "serial"\ndevice = "{sockets / "head"}"\nbaud = {BAUD}'
        lines = [can_line("can0", sockets / "can0", BITRATE), serial]
        self.gateway: WatchedGateway = ending.enter_context(self.campus.gateway(lines))
        self.gateway.start()
        self.gateway.wait_until(lambda: self.gateway.status()["roll_version"] > 0)
        self.gateway.terminate()  # it knows its roll now, so that it looks for who should be on a line
        self.gateway.start()

    def till(self, line: str, who: SenderOrder) -> Till:
        where = (
            SegmentLine("can", str(self.sockets / "can0"), BITRATE)
            if line == "can0"
            else SegmentLine("serial", str(self.sockets), BAUD)
        )
        kind = BeatingTill if line == "can0" else Till
        till = kind(self.directory / "tills" / line, where, who)
        return self.ending.enter_context(till)

    def wait_for(self, name: str, subject: str) -> None:
        wanted = (name, f"canteen/{subject}")
        self.gateway.wait_until(lambda: wanted in self.campus.alarms(), WAIT_S)

    def named(self, name: str) -> set[str]:
        return {subject for alarm, subject in self.campus.alarms() if alarm == name}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="named-") as directory, ExitStack() as ending:
        yield House(ending, tmp_path, Path(directory), monkeypatch)


def sells_on(till: Till) -> None:
    """Bring one more record, and see it acknowledged."""
    till.sell(1)
    till.wait_until(lambda: till.journal.durable_through == till.journal.last_seq, WAIT_S)


def test_on_can_a_babbler_and_two_under_one_address_are_named_and_the_others_go_on(house: House) -> None:
    honest, one = house.till("can0", ON_CAN[0]), house.till("can0", ON_CAN[1])
    for till in (honest, one):
        sells_on(till)
    tap = CanTap(str(house.sockets / "can0"))
    house.ending.callback(tap.close)
    tap.flood(BABBLER, 3000)
    house.wait_for("line.babbling", f"can0/{BABBLER}")
    sells_on(honest)
    house.till("can0", TWINS["can0"])
    house.wait_for("line.address_conflict", f"can0/{TWIN}")
    sells_on(honest)
    assert house.named("line.babbling") == {f"canteen/can0/{BABBLER}"}
    assert house.named("line.address_conflict") == {f"canteen/can0/{TWIN}"}


def test_on_rs485_babbling_two_under_one_address_and_a_stuck_transmitter_are_named(house: House) -> None:
    honest, one, sticking = (house.till("serial0", who) for who in ON_WIRE)
    for till in (honest, one, sticking):
        sells_on(till)
    tap = SerialDevice(str(house.sockets / "tap"), BAUD)
    house.ending.callback(tap.close)
    said = SerialFrame(HEAD, BABBLER, Kind.SEGMENT, 0, True, True, payload=b"nobody asked").encode()
    until_s = CLOCK.monotonic_s() + WAIT_S
    while "canteen/serial0/9" not in house.named("line.babbling"):
        assert CLOCK.monotonic_s() < until_s, house.campus.alarms()
        for _ in range(30):
            tap.write(said)
            CLOCK.sleep(0.01)  # the pace of its babbling
    sells_on(honest)

    house.hub.stick(ON_WIRE[2].name)
    house.wait_for("line.stuck_transmitter", "serial0")
    house.hub.unplug(ON_WIRE[2].name)
    house.wait_for("line.stuck_transmitter", f"serial0/{STUCK}")
    sells_on(honest)
    assert house.named("line.stuck_transmitter") == {"canteen/serial0", f"canteen/serial0/{STUCK}"}

    twin = house.till("serial0", TWINS["serial0"])
    house.wait_for("line.address_conflict", f"serial0/{TWIN}")
    assert house.named("line.address_conflict") == {f"canteen/serial0/{TWIN}"}
    assert not twin.said
    sells_on(honest)
