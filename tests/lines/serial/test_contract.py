"""RS-485 passes the suite of all lines on the modelled bus, in its own time."""

from collections.abc import Iterator

import pytest

from campus_node.lines.line import MESSAGE_BYTES_MAX, Line, Peer
from hil_rig.virtual.line_time import LineTime, node_name
from tests.lines.contract import TERMINALS, Ends, LineContract


class ModelEnds:
    """Time passes on the bus."""

    message_bytes_max = MESSAGE_BYTES_MAX
    tells_gone = True

    def __init__(self, baud: int, patience_s: float) -> None:
        self.patience_s = patience_s
        self._bus = LineTime(len(TERMINALS), baud=baud)
        self.head: Line = self._bus.head

    def terminal(self, address: Peer) -> Line:
        return self._bus.tills[address]

    def pass_time(self, seconds: float) -> None:
        self._bus.run(seconds)

    def close(self) -> None:
        self._bus.close()

    def cut(self, address: Peer) -> None:
        self._bus.ports[node_name(address)].node.unplug()

    def mend(self, address: Peer) -> None:
        self._bus.ports[node_name(address)].node.plug()


class TestOnTheModel(LineContract):
    @pytest.fixture(params=[(115_200, 3.0), (9_600, 20.0)], ids=["115200", "9600"])
    def ends(self, request: pytest.FixtureRequest) -> Iterator[Ends]:
        ends = ModelEnds(*request.param)
        yield ends
        ends.close()
