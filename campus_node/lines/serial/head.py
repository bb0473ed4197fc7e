"""The head's end of a polled line (B4.1)."""

from collections.abc import Iterable

from campus_node.lines.distribution import Distribution
from campus_node.lines.line import HEAD, Peer
from campus_node.lines.serial.line import SerialLine
from campus_node.lines.serial.port import SerialPortDriver


class SerialHeadLine(SerialLine):
    """The head's end. `send(ALL, …)` reaches everybody without an answer, up to 1024 bytes.

    Args:
        name: what people call it.
        port: its serial port, at the rate of the line.
        addresses: terminals that should be there, 1 to 254; asked first and missed if they are not.
        discover: all addresses where somebody may turn up.
    """

    def __init__(
        self,
        name: str,
        port: SerialPortDriver,
        *,
        addresses: Iterable[int] = (),
        discover: Iterable[int] = range(1, 255),
    ) -> None:
        super().__init__(name, port, HEAD)
        raise NotImplementedError

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`."""
        raise NotImplementedError

    def distribute(
        self,
        transfer: int,
        notice: bytes,
        image: bytes,
        addresses: Iterable[int],
        *,
        block_bytes: int,
        load: float,
    ) -> Distribution:
        """See `Distributing.distribute`."""
        raise NotImplementedError

    def stop_distribution(self) -> None:
        """See `Distributing.stop_distribution`."""
        raise NotImplementedError
