"""The senders themselves: what they write is what arrives, and they know durably what they were told."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from campus_node.lines.can.head import HeadLine
from campus_node.lines.can.port import CanConfiguration
from campus_node.lines.driver import Drive
from hil_rig.senders.order import SegmentLine, read_order
from hil_rig.senders.process import SegmentProcess
from hil_rig.virtual.can_broker import CanBroker
from tests.outage_lines.plain_head import PlainHead
from tests.outage_lines.segments import segment, terminal

pytestmark = pytest.mark.slow

BITRATE = 250_000


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory) / "can0"


def test_five_senders_on_a_bus_bring_every_record_once_and_know_it(
    tmp_path: Path, socket_path: Path, seed: int
) -> None:
    terminals = [terminal(number, number) for number in range(1, 6)]
    line = SegmentLine("can", str(socket_path), BITRATE)
    order = segment(tmp_path, line, terminals, records_each=20, interval_s=0.02, seed=seed, again=3)
    with CanBroker(socket_path, BITRATE):
        head = HeadLine("can0", CanConfiguration("campus-broker", str(socket_path), BITRATE).port(0))
        with Drive(head), PlainHead(head, terminals) as plain, SegmentProcess(order, "can0") as senders:
            senders.wait_until(lambda now: now.done == 5, 60.0)
            senders.stop()
        head.close()
    assert plain.conflicts == 0
    assert plain.kept() == 100
    assert plain.received >= 115
    arrived = {journal.hex().upper(): bodies for journal, bodies in plain.records.items()}
    for path in senders.files:
        events = [json.loads(event) for event in path.read_text().splitlines()]
        written = {event["appended"]: event["body"] for event in events if "appended" in event}
        assert {seq: body.hex().upper() for seq, body in arrived[events[0]["journal"]].items()} == written
        assert max(event["acknowledged"] for event in events if "acknowledged" in event) == 20
        assert all(len(body) == 210 for body in written.values())


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    line = SegmentLine("can", "/run/can0", BITRATE)
    order = segment(tmp_path, line, [terminal(1, 1)], records_each=1, interval_s=1.0, seed=1)
    order.write(tmp_path / "order.json")
    assert read_order(tmp_path / "order.json") == order
