"""The thin link passes the suite of all lines on the modelled air, in its time."""

import pytest

from campus_node.lines.line import MESSAGE_BYTES_MAX, Line, Peer
from hil_rig.virtual.radio_air import CLEAR, Misfortune
from tests.lines.contract import TERMINALS, Ends, LineContract
from tests.lines.thin.air_time import AirTime


class AirEnds:
    """Time passes on the air."""

    message_bytes_max = MESSAGE_BYTES_MAX
    tells_gone = True

    def __init__(self, misfortune: Misfortune, patience_s: float) -> None:
        self.patience_s = patience_s
        self._time = AirTime(len(TERMINALS), misfortune=misfortune)
        self.head: Line = self._time.head

    def terminal(self, address: Peer) -> Line:
        return self._time.tills[address]

    def pass_time(self, seconds: float) -> None:
        self._time.run(seconds)

    def cut(self, address: Peer) -> None:
        self._time.radios[address].plugged = False

    def mend(self, address: Peer) -> None:
        self._time.radios[address].plugged = True


class TestThroughClearAir(LineContract):
    @pytest.fixture
    def ends(self) -> Ends:
        return AirEnds(CLEAR, patience_s=30.0)


class TestThroughBadAir(LineContract):
    """A cell in ten is lost, in twenty doubled or late: the link repeats, the promises hold."""

    @pytest.fixture
    def ends(self) -> Ends:
        return AirEnds(Misfortune(lose=0.1, corrupt=0.03, duplicate=0.05, delay=0.05), patience_s=60.0)
