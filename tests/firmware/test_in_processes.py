"""An image from the node through a killed gateway to tills on CAN, sealed, in real time (B4.4, A10)."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campus_node.firmware.image import sign
from campus_node.lines.can.multicast_receiver import MulticastReceiver
from campus_node.lines.can.terminal import TerminalLine
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import SystemClock
from hil_rig.senders.order import SegmentLine, SenderOrder
from tests.firmware.terminals import MAKER, announce
from tests.firmware.terminals import Till as Receiving
from tests.gateway.places import roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.test_gateway_rules import BITRATE, House
from tests.gateway.till import Till
from tests.outage_lines.segments import terminal

pytestmark = pytest.mark.slow

IMAGE = sign(MAKER, random.Random("processes").randbytes(40_000), "pos-2", 7, 3)
BLOCK = 1024
WAIT_S = 90.0


class ImageNode(PlainNode):
    """A node that gives images and hears how far they have come."""

    def __init__(self, campus: Path) -> None:
        super().__init__(campus)
        self.offsets: list[int] = []
        self.progress: list[pb.OrderProgress] = []

    def FetchImage(  # noqa: N802 - as the service names it
        self, request: pb.ImageAsked, _context: Any
    ) -> Iterator[pb.ImagePart]:
        self.offsets.append(request.offset)
        for at in range(request.offset, len(IMAGE), 10_000):
            yield pb.ImagePart(offset=at, content=IMAGE[at : at + 10_000])

    def _take(self, spool_id: bytes, message: pb.GatewayToNode) -> pb.NodeToGateway | None:
        if message.WhichOneof("body") == "progress":
            self.progress.append(message.progress)
        return super()._take(spool_id, message)

    def stored(self) -> set[bytes]:
        """Return the tills that said themselves that they have it."""
        return {
            each.terminal_id
            for told in self.progress
            for each in told.terminals
            if each.report.state == wire.DISTRIBUTION_STATE_STORED
        }


class ReceivingTill(Till):
    """A till whose uplink and line bring what is distributed to a receiver."""

    def __init__(self, directory: Path, line: SegmentLine, who: SenderOrder) -> None:
        super().__init__(directory, line, who)
        number = int.from_bytes(bytes.fromhex(who.terminal_id))
        self.receiving = Receiving(directory / f"{who.name}.images", number, SystemClock(), send=self._send)
        assert isinstance(self._open.line, TerminalLine)
        self._open.line.attach(MulticastReceiver(who.address, self.receiving.receiver.blocks))
        self._seen = [0, 0]

    def _send(self, report: wire.DistributionReport) -> bool:
        return self.uplink.say(wire.FromTerminal(distribution=report), SystemClock().monotonic_s())

    def _run(self) -> None:
        while self._thread_goes_on():
            now_s = self._clock.monotonic_s()
            with self._moved:
                due_s = self._open.line.step(now_s)
                due_s = min(due_s, self.uplink.step(now_s))
                for notice in self.notices[self._seen[0] :]:
                    self.receiving.receiver.notice(notice)
                for said in self.said[self._seen[1] :]:
                    self.receiving.receiver.heed(said)
                self._seen = [len(self.notices), len(self.said)]
                due_s = min(due_s, self.receiving.receiver.step(now_s), self._open.line.step(now_s))
                self._moved.notify_all()
            self._open.wait(min(max(due_s - self._clock.monotonic_s(), 0.0), 0.02))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        made = House(tmp_path, Path(directory) / "can0")
        made.node.stop()
        node = ImageNode(made.campus)
        node.port = made.node.port
        node.start()
        made.node = node
        with made.broker, made.gateway:
            yield made
        made.node.stop()


def test_an_image_reaches_tills_through_a_gateway_that_is_killed_in_the_middle(house: House) -> None:
    tills = [terminal(1, 1), terminal(2, 2)]
    ids = [bytes.fromhex(each.terminal_id) for each in tills]
    notice = announce(IMAGE, block_bytes=BLOCK, terminal_ids=b"".join(ids))
    order = pb.Order(order=1, notice=notice, terminal_ids=ids, load_percent=60)
    node = house.node
    assert isinstance(node, ImageNode)
    node.first = [roll_of(house.directory, tills, 1), pb.NodeToGateway(order=order)]
    house.gateway.start()
    line = SegmentLine("can", str(house.socket), BITRATE)
    with (
        ReceivingTill(house.path / "a", line, tills[0]) as one,
        ReceivingTill(house.path / "b", line, tills[1]) as two,
    ):
        blocks = one.receiving.receiver.blocks
        one.wait_until(lambda: blocks.progress[0] > 0, WAIT_S)
        house.gateway.kill()
        assert 0 < blocks.progress[0] < blocks.progress[1]
        house.gateway.start()
        node.wait_until(lambda: node.stored() == set(ids), WAIT_S)
        for till in (one, two):
            assert (till.receiving.directory / "firmware.blocks").read_bytes() == IMAGE
            assert till.receiving.images[0].version == 7
    assert node.offsets == [0], "the image was on the gateway's disk"
