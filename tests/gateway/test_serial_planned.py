"""A polled line that opened before its gateway knew the roll: who is planned there is served (B3, B4.1)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from campuscard.v1 import gateway_pb2 as pb
from hil_rig.senders.order import SegmentLine, SenderOrder
from hil_rig.virtual.serial_hub import PtyHub
from tests.gateway.places import make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.gateway.till import Till
from tests.outage_lines.segments import terminal

pytestmark = pytest.mark.slow

BAUD = 115_200
FIRST, JOINS = terminal(1, 201), terminal(2, 254)


@pytest.fixture
def ports() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory, PtyHub(["head", FIRST.name, JOINS.name]) as hub:
        for name, path in hub.paths.items():
            (Path(directory) / name).symlink_to(path)
        yield Path(directory)


def test_a_roll_that_comes_late_tells_an_open_line_whom_to_expect(tmp_path: Path, ports: Path) -> None:
    campus = make_campus(tmp_path)
    line = SegmentLine("serial", str(ports), BAUD)
    serial = f'name = "serial0"\nkind = "serial"\ndevice = "{ports / "head"}"\nbaud = {BAUD}'
    with PlainNode(campus) as node:
        directory = make_gateway(campus, node.port, [serial])
        with WatchedGateway(directory) as gateway, Till(tmp_path / "tills", line, FIRST) as till:
            gateway.start()
            gateway.wait_until(lambda: gateway.status()["lines"][0]["open"])
            node.wait_until(lambda: bool(node.hellos))
            assert gateway.status()["roll_version"] == 0
            node.say(planned(directory, [FIRST], 1))
            till.sell(2)
            till.wait_until(lambda: till.journal.durable_through == 2)
            node.say(planned(directory, [FIRST, JOINS], 2))  # while the other one has the line for itself
            with Till(tmp_path / "tills", line, JOINS) as other:
                other.sell(3)
                other.wait_until(lambda: other.journal.durable_through == 3)
                till.sell(1)
                till.wait_until(lambda: till.journal.durable_through == 3)
            node.wait_until(lambda: len(node.all_records()) == 6)
            assert gateway.terminate() == 0


def planned(gateway: Path, terminals: list[SenderOrder], version: int) -> pb.NodeToGateway:
    roll = roll_of(gateway, terminals, version)
    for each, who in zip(roll.roll.terminals, terminals, strict=True):
        each.line, each.address = "serial0", who.address
    return roll
