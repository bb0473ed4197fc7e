"""CAN passes the suite of all lines in real time: on the paced broker, and behind a serial adapter."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from campus_node.lines.can.head import HeadLine
from campus_node.lines.can.port import CanConfiguration, CanPort, filters_of
from campus_node.lines.can.terminal import TerminalLine
from campus_node.lines.driver import Drive
from campus_node.lines.line import MESSAGE_BYTES_MAX, Line, Peer
from federation.clock import SystemClock
from hil_rig.virtual.bus_time import node_name
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus.broker_node import BrokerNode, BrokerOrders
from hil_rig.virtual.slcan_adapter import SlcanAdapter
from tests.lines.contract import TERMINALS, Ends, LineContract

pytestmark = pytest.mark.slow

BITRATE = 500_000


class BrokerEnds:
    """Time passes on the clock."""

    message_bytes_max = MESSAGE_BYTES_MAX
    patience_s = 2.0
    tells_gone = False  # a single frame needs no answer

    def __init__(self, path: Path, orders: BrokerOrders, head: CanPort | None = None) -> None:
        self._clock = SystemClock()
        self._orders = orders
        self._head = HeadLine("can0", head or self._port(path, 0))
        self._tills = {
            address: TerminalLine(f"till {address}", self._port(path, address), address)
            for address in TERMINALS
        }
        self.head: Line = self._head
        self._drive = Drive(self._head, *self._tills.values())

    def terminal(self, address: Peer) -> Line:
        return self._tills[address]

    def pass_time(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def cut(self, address: Peer) -> None:
        self._orders.order("unplug", node=node_name(address))

    def mend(self, address: Peer) -> None:
        self._orders.order("plug", node=node_name(address))

    def close(self) -> None:
        self._drive.close()
        for line in (self._head, *self._tills.values()):
            line.close()

    @staticmethod
    def _port(path: Path, address: int) -> CanPort:
        name = node_name(address)
        return CanPort(lambda: BrokerNode(path, name, receive_own_messages=address == 0), filters_of(address))


class TestThroughASerialAdapter(LineContract):
    @pytest.fixture
    def ends(self) -> Iterator[Ends]:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "can0"

            def connect(listen_only: bool) -> BrokerNode:
                return BrokerNode(path, node_name(0), listen_only=listen_only)

            with (
                CanBroker(path, BITRATE),
                BrokerOrders(path) as orders,
                SlcanAdapter(connect, BITRATE) as adapter,
            ):
                more = {"sleep_after_open": 0.0}
                head = CanConfiguration("slcan", adapter.path, BITRATE, more).port(0)
                _wait_for(
                    orders, node_name(0)
                )  # the adapter opens its channel some time after it was told to
                ends = BrokerEnds(path, orders, head)
                yield ends
                ends.close()


class TestOnTheBroker(LineContract):
    @pytest.fixture
    def ends(self) -> Iterator[Ends]:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "can0"
            with CanBroker(path, BITRATE), BrokerOrders(path) as orders:
                ends = BrokerEnds(path, orders)
                yield ends
                ends.close()


def _wait_for(orders: BrokerOrders, name: str) -> None:
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + 10.0
    while name not in orders.order("health")["nodes"]:
        assert clock.monotonic_s() < deadline_s, f"{name} never came onto the bus"
        clock.sleep(0.01)
