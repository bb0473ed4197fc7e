"""A real gateway process between terminals on a bus with real timing and a node over mutual TLS."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campuscard.v1 import gateway_pb2 as pb
from hil_rig.senders.order import SegmentLine
from hil_rig.senders.process import SegmentProcess
from hil_rig.virtual.can_broker import CanBroker
from tests.gateway.places import can_line, make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.outage_lines.segments import segment, terminal

pytestmark = pytest.mark.slow

BITRATE = 250_000


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory) / "can0"


def bodies_by_journal(node: PlainNode) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for each in node.all_records():
        known = found.setdefault(each.journal_id.hex().upper(), {})
        assert known.setdefault(each.seq, each.body.hex().upper()) == each.body.hex().upper()
    return found


def known_to(senders: SegmentProcess) -> dict[str, dict[int, str]]:
    """Return what the senders wrote, by journal; each of them knows that all of it is acknowledged."""
    written: dict[str, dict[int, str]] = {}
    for path in senders.files:
        events: list[dict[str, Any]] = [json.loads(event) for event in path.read_text().splitlines()]
        records = {event["appended"]: event["body"] for event in events if "appended" in event}
        assert max(event["acknowledged"] for event in events if "acknowledged" in event) == max(records)
        written[events[0]["journal"]] = records
    return written


def test_records_reach_the_node_once_through_a_node_away_and_a_gateway_killed(
    tmp_path: Path, socket_path: Path, seed: int
) -> None:
    terminals = [terminal(number, number) for number in (1, 2, 254)]
    line = SegmentLine("can", str(socket_path), BITRATE)
    order = segment(tmp_path / "tills", line, terminals, records_each=60, interval_s=0.05, seed=seed, again=3)
    campus = make_campus(tmp_path)
    with PlainNode(campus) as node, CanBroker(socket_path, BITRATE):
        directory = make_gateway(campus, node.port, [can_line("can0", socket_path)])
        node.first.append(roll_of(directory, terminals))
        with WatchedGateway(directory) as gateway, SegmentProcess(order, "can0") as senders:
            gateway.start()
            node.wait_until(lambda: len(node.all_records()) >= 10)
            node.stop()
            before = len(node.all_records())
            gateway.wait_until(lambda: gateway.status()["spool"]["waiting"] > 20)
            gateway.kill()
            gateway.start()  # the node is away: sessions begin with the keys that lie here sealed
            position = gateway.status()["spool"]["last_position"]
            gateway.wait_until(lambda: gateway.status()["spool"]["last_position"] > position + 5)
            assert len(node.all_records()) == before
            node.start()
            senders.wait_until(lambda now: now.done == 3, 60.0)
            written = 3 * 60
            node.wait_until(lambda: len({(r.journal_id, r.seq) for r in node.all_records()}) == written)
            senders.stop()
            assert gateway.terminate() == 0
    assert bodies_by_journal(node) == known_to(senders)
    assert len(node.hellos) >= 2
    assert len({hello.spool_id for hello in node.hellos}) == 1
    told = {device.address: device for state in node.states for device in state.devices}
    assert {each: told[each].terminal_id.hex() for each in told} == {
        each.address: each.terminal_id for each in terminals
    }
    assert node.states[-1].lines or any(state.complete for state in node.states)
    assert pb.HEALTH_WELL in {state.lines[0].health for state in node.states if state.lines}
