"""What a line of RS-485 needs of a serial port; direction control is the port's own business."""

from typing import Protocol


class SerialPortDriver(Protocol):
    """One serial port: a real one, a pseudo-terminal, or a model. Nothing here blocks or waits.

    Attributes:
        slack_s: how much later than on the wire bytes may be handed over, both ways: what an operating system
            and an adapter take. 0 in virtual time.
    """

    slack_s: float

    @property
    def baud(self) -> int:
        """Bits a second, of both directions."""

    def set_baud(self, baud: int) -> None:
        """Speak and hear at another rate from now on. Raise LineDown."""

    def write(self, frame: bytes) -> None:
        """Send a whole frame from now on; who sends computes when it is over. Raise LineDown."""

    def read(self) -> bytes:
        """Return what has arrived since the last call; empty for silence. Raise LineDown."""

    def reopen(self) -> bool:
        """Try to get a port back that failed; tell whether it works."""

    def descriptor(self) -> int | None:
        """Return what select() can wait on, None if there is nothing."""

    def close(self) -> None:
        """Let the port go. May be called twice."""
