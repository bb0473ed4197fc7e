"""CAN passes the suite of all lines on the modelled bus, in bus time."""

from collections.abc import Iterator

import pytest

from campus_node.lines.line import MESSAGE_BYTES_MAX, Line, Peer
from hil_rig.virtual.bus_time import BusTime, node_name
from tests.lines.contract import TERMINALS, Ends, LineContract


class ModelEnds:
    """Time passes on the bus."""

    message_bytes_max = MESSAGE_BYTES_MAX
    patience_s = 2.0
    tells_gone = False  # a single frame needs no answer

    def __init__(self) -> None:
        self._bus = BusTime(len(TERMINALS))
        self.head: Line = self._bus.head

    def terminal(self, address: Peer) -> Line:
        return self._bus.tills[address]

    def pass_time(self, seconds: float) -> None:
        self._bus.run(seconds)

    def close(self) -> None:
        self._bus.close()

    def cut(self, address: Peer) -> None:
        self._bus.model.nodes[node_name(address)].unplug()

    def mend(self, address: Peer) -> None:
        self._bus.model.nodes[node_name(address)].plug()


class TestOnTheModel(LineContract):
    @pytest.fixture
    def ends(self) -> Iterator[Ends]:
        ends = ModelEnds()
        yield ends
        ends.close()
