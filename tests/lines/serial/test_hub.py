"""RS-485 passes the suite of all lines in real time, on pseudo-terminals opened as real ports are."""

from collections.abc import Iterator

import pytest

from campus_node.lines.driver import Drive
from campus_node.lines.line import MESSAGE_BYTES_MAX, Line, Peer
from campus_node.lines.serial.head import SerialHeadLine
from campus_node.lines.serial.serial_port import Direction, SerialDevice
from campus_node.lines.serial.terminal import SerialTerminalLine
from federation.clock import SystemClock
from hil_rig.virtual.line_time import node_name, serial_number
from hil_rig.virtual.serial_hub import PtyHub
from tests.lines.contract import TERMINALS, Ends, LineContract

pytestmark = pytest.mark.slow

BAUD = 115_200


class HubEnds:
    """Time passes on the clock."""

    message_bytes_max = MESSAGE_BYTES_MAX
    patience_s = 4.0
    tells_gone = True

    def __init__(self, hub: PtyHub) -> None:
        self._clock = SystemClock()
        self._hub = hub
        port = SerialDevice(hub.paths[node_name(0)], BAUD, direction=Direction.RTS)  # without effect here
        self._head = SerialHeadLine("rs485", port, addresses=TERMINALS, discover=())
        self._tills = {
            address: SerialTerminalLine(
                node_name(address),
                SerialDevice(hub.paths[node_name(address)], BAUD),
                address,
                serial_number(address),
            )
            for address in TERMINALS
        }
        self.head: Line = self._head
        self._drives = [Drive(line) for line in (self._head, *self._tills.values())]

    def terminal(self, address: Peer) -> Line:
        return self._tills[address]

    def pass_time(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def cut(self, address: Peer) -> None:
        self._hub.unplug(node_name(address))

    def mend(self, address: Peer) -> None:
        self._hub.plug(node_name(address))

    def close(self) -> None:
        for drive in self._drives:
            drive.close()
        for line in (self._head, *self._tills.values()):
            line.close()


class TestOnPseudoTerminals(LineContract):
    @pytest.fixture
    def ends(self) -> Iterator[Ends]:
        with PtyHub([node_name(0), *(node_name(address) for address in TERMINALS)]) as hub:
            ends = HubEnds(hub)
            yield ends
            ends.close()
