"""What a reader needs of a card or a PSAM in software, and what becomes of a command that is torn."""

from typing import Final, NamedTuple, Protocol

from hil_rig.faults import What
from hil_rig.virtual.memory import PowerLost
from hil_rig.virtual.tears import Tears


class Device(Protocol):
    """A card or a PSAM: it keeps what it wrote and forgets everything else without power."""

    @property
    def atr(self) -> bytes:
        """Return the answer to reset, 2 to 33 bytes."""

    def power_on(self) -> object:
        """Give power: a reset. What it returns is its own affair."""

    def power_off(self) -> object:
        """Take power away: nothing volatile survives. Harmless where there is none."""

    def process(self, command: bytes) -> bytes:
        """Return the whole answer to a whole command. Raise PowerLost where a tear was planned in it."""


class Outcome(NamedTuple):
    """What came out of the device.

    Args:
        sent: the bytes of the answer that got out.
        length: of the whole answer, in bytes; 0 where there was none.
        gone: the card left, whatever got out.
    """

    sent: bytes
    length: int
    gone: bool

    @property
    def whole(self) -> bool:
        """Whether all of an answer got out."""
        return self.length > 0 and len(self.sent) == self.length


NOTHING: Final = Outcome(b"", 0, gone=True)


def answer(device: Device, command: bytes, tears: Tears) -> Outcome:
    """Have a powered device answer, unless a tear is planned for this command.

    A device that lost its power, or was torn from the reader, has been powered off when this returns.
    """
    tear = tears.next()
    if tear is not None and tear.what is What.CARD_LEFT_BEFORE:
        device.power_off()
        return NOTHING
    try:
        whole = device.process(command)
    except PowerLost as lost:
        device.power_off()
        return Outcome(lost.sent, len(lost.sent) + 1, gone=True)  # it does not say how long the rest was
    if tear is None:
        return Outcome(whole, len(whole), gone=False)
    device.power_off()
    sent = whole[: tear.size] if tear.what is What.CARD_LEFT_WITHIN else b""
    return Outcome(sent, len(whole), gone=True)


def cold_reset(device: Device) -> bytes:
    """Take the power away, give it again, and return the answer to reset."""
    device.power_off()
    device.power_on()
    return device.atr
