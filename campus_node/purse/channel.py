"""What a card can be asked through, whatever reader it lies on."""

from typing import Protocol


class CardChannel(Protocol):
    """One card in one reader: bytes in, bytes out.

    A channel belongs to one thread. After CardLeft nobody knows whether the card has acted, and the next card
    may be another one: power on, select again, and compare the serial number.
    """

    @property
    def reader(self) -> str:
        """The reader's name, for people."""

    def power_on(self) -> bytes:
        """Reset the card cold and return its answer to reset. Raise CardLeft, ReaderLost."""

    def reset(self) -> bytes:
        """Reset the card warm and return its answer to reset. Raise CardLeft, ReaderLost."""

    def transmit(self, command: bytes) -> bytes:
        """Send a whole command APDU and return the whole answer, at least the 2 bytes of the status word.

        Raises:
            CardLeft: no valid answer came back; the card may or may not have acted.
            ReaderLost: the reader broke or was unplugged.
        """

    def close(self) -> None:
        """Let the card go. May be called twice."""


class Reader(Protocol):
    """A place where cards come and go."""

    name: str

    def wait_for_card(self, timeout_s: float) -> CardChannel | None:
        """Return a channel to the card that lies there or comes; None after timeout_s. Raise ReaderLost."""

    def wait_for_removal(self, timeout_s: float) -> bool:
        """Tell whether the reader is empty, at once or within timeout_s. Raise ReaderLost."""
