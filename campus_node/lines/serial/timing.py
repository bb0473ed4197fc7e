"""How long things take on RS-485: turn-around, silence, gaps; all from the bit rate (docs/wire.md)."""

from dataclasses import dataclass
from typing import Final

BAUD: Final = 115_200
RATES: Final = (9_600, 19_200, 38_400, 57_600, 115_200)  # tried when nothing else is known
CHARACTER_BITS: Final = 10  # start, 8 bits, stop
SEGMENT_BYTES_MAX: Final = 1024
SEGMENT_BYTES_MIN: Final = 128
SEGMENT_S: Final = 0.09  # a segment takes about so long at most: nothing urgent waits longer for the wire


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one bit rate.

    Args:
        baud: bits a second.
        slack_s: see `SerialPortDriver`.
    """

    baud: int
    slack_s: float = 0.0

    @property
    def character_s(self) -> float:
        return CHARACTER_BITS / self.baud

    def sending_s(self, count: int) -> float:
        """Return how long so many bytes are on the wire."""
        return count * self.character_s

    @property
    def turn_s(self) -> float:
        """Nobody speaks sooner behind somebody else's last byte."""
        return 2 * self.character_s

    @property
    def answer_within_s(self) -> float:
        """A terminal that has not begun to answer by then keeps silent."""
        return 5 * self.character_s + 0.003 + self.slack_s

    @property
    def silence_s(self) -> float:
        """The head takes so long a silence behind its own last byte for an answer."""
        return 10 * self.character_s + 0.008 + self.slack_s

    @property
    def gap_s(self) -> float:
        """So long a gap within a frame ends it."""
        return 20 * self.character_s + self.slack_s

    @property
    def segment_bytes(self) -> int:
        """How much of a message a frame carries at most."""
        return min(SEGMENT_BYTES_MAX, max(SEGMENT_BYTES_MIN, int(SEGMENT_S / self.character_s)))
