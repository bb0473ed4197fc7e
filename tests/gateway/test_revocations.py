"""A revocation reaches who was away when it was said, as soon as its line is there (A16, A15)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.gateway.revocations import AGAIN_AFTER_S, KEPT_MAX, Revocations
from campus_node.lines.notice import sign
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from hil_rig.senders.order import SegmentLine
from hil_rig.virtual.can_broker import CanBroker
from tests.gateway.places import can_line, make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.gateway.till import Till
from tests.outage_lines.segments import terminal

FAR_MS = 4_000_000_000_000


def test_a_line_that_opens_is_told_a_few_times_and_then_no_more() -> None:
    kept = Revocations()
    kept.keep(b"first", FAR_MS)
    kept.keep(b"second", FAR_MS)
    kept.keep(b"first", FAR_MS)
    kept.opened("can0", 100.0)
    said = [kept.due(100.0 + tenth / 10, 0) for tenth in range(600)]
    assert [each for each in said if each] == [{"can0": [b"first", b"second"]}] * len(AGAIN_AFTER_S)
    kept.opened("can0", 200.0)
    kept.closed("can0")
    assert not kept.due(300.0, 0)


def test_what_has_expired_is_not_said_and_only_the_newest_are_kept() -> None:
    kept = Revocations()
    for number in range(KEPT_MAX + 3):
        kept.keep(b"%d" % number, 1_000 if number % 2 else 2_000)
    kept.opened("air0", 0.0)
    said = kept.due(1.0, 1_000)["air0"]
    assert said == [b"%d" % number for number in range(4, KEPT_MAX + 3, 2)]
    kept.opened("air0", 10.0)
    assert not kept.due(11.0, 2_000)


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory) / "can0"


@pytest.mark.slow
def test_a_bus_that_was_away_hears_of_it_when_it_is_there(tmp_path: Path, socket_path: Path) -> None:
    campus = make_campus(tmp_path)
    delta = wire.HotlistDelta(issuer=b"CUPA\0\0\0\1", to_version=1)
    said = wire.Notice(number=1, expires_at_unix_ms=FAR_MS, hotlist=delta)
    signed = sign(Ed25519PrivateKey.generate(), said)
    who = terminal(1, 1)
    with PlainNode(campus) as node:
        directory = make_gateway(campus, node.port, [can_line("can0", socket_path)])
        node.first = [roll_of(directory, [who]), pb.NodeToGateway(notice=signed)]
        with WatchedGateway(directory) as gateway:
            gateway.start()
            node.wait_until(lambda: any(each.name == "line.down" for each in node.alarms))
            line = SegmentLine("can", str(socket_path), 250_000)
            with CanBroker(socket_path, 250_000), Till(tmp_path / "tills", line, who) as till:
                till.wait_until(lambda: signed in till.notices)
