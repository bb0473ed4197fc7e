"""A terminal's end of a polled line (B4.1, B4.2)."""

from collections.abc import Sequence

from campus_node.lines.distribution import BlockReceiver
from campus_node.lines.line import Peer, terminal_address
from campus_node.lines.serial.line import SerialLine
from campus_node.lines.serial.port import SerialPortDriver


class SerialTerminalLine(SerialLine):
    """A terminal's end; its only peer is HEAD.

    Args:
        name: what people call it.
        port: its serial port.
        address: 1 to 254.
        serial: what tells this device from all others, 10 bytes: its PSAM's serial number.
        rates: bit rates that it tries while it understands nothing; with none it stays at the port's.
    """

    def __init__(
        self, name: str, port: SerialPortDriver, address: int, serial: bytes, *, rates: Sequence[int] = ()
    ) -> None:
        super().__init__(name, port, terminal_address(address))
        raise NotImplementedError

    def attach_receiver(self, receiver: BlockReceiver) -> None:
        """Have images that come to all stored by this receiver."""
        raise NotImplementedError

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`. Raise PeerGone for anybody but HEAD."""
        raise NotImplementedError
