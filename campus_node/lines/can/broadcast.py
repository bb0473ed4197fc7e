"""A short message to everybody without an answer: a revocation in milliseconds (A15, B4.1).

Up to 216 bytes in at most 31 frames under the functional id of class P2. Nobody acknowledges: the message
goes twice, and whoever missed both says so by the version that it reports. The message is a signed notice;
what is put together here proves nothing.
"""

from typing import Final

from campus_node.lines.can.ids import FRAME_BYTES_MAX, Frame, Priority, functional_id
from campus_node.lines.errors import FrameBroken

POSITIONS: Final = 31
NOTICE_BYTES_MAX: Final = 6 + 30 * 7
REPEAT_AFTER_S: Final = 0.05
NUMBERS: Final = 8
PAUSE_S: Final = 1.0  # a number is used again later than that


def notice_frames(number: int, message: bytes, priority: Priority = Priority.P2) -> list[Frame]:
    """Cut a message of 1 to NOTICE_BYTES_MAX bytes; number counts messages, modulo NUMBERS."""
    assert 1 <= len(message) <= NOTICE_BYTES_MAX, "longer ones go to each terminal"
    rest = bytes([len(message)]) + message
    cut = [rest[at : at + 7] for at in range(0, len(rest), 7)]
    top = number % NUMBERS << 5
    return [Frame(functional_id(priority), bytes([top | at]) + part) for at, part in enumerate(cut)]


class Gathering:
    """Puts notices together at a terminal: the frames of both goes complete each other."""

    def __init__(self) -> None:
        self._number = -1
        self._parts: dict[int, bytes] = {}
        self._last_s = 0.0
        self._given = False

    def take(self, frame: Frame, now_s: float) -> bytes | None:
        """Take a functional frame; return a message when it is whole, once.

        Raises:
            FrameBroken: the frame has no place in any notice.
        """
        if not 2 <= len(frame.payload) <= FRAME_BYTES_MAX:
            raise FrameBroken("a notice's frame has 2 to 8 bytes")
        number, position, part = frame.payload[0] >> 5, frame.payload[0] & 31, frame.payload[1:]
        if number != self._number or now_s - self._last_s > PAUSE_S:
            self._number, self._parts, self._given = number, {}, False
        self._last_s = now_s
        self._parts[position] = part
        if self._given or 0 not in self._parts:
            return None
        wanted = self._parts[0][0] + 1
        if not 2 <= wanted <= NOTICE_BYTES_MAX + 1:
            del self._parts[0]
            raise FrameBroken("a notice has 1 to 216 bytes")
        frames = -(-wanted // 7)
        if any(position not in self._parts for position in range(frames)):
            return None
        whole = b"".join(self._parts[position] for position in range(frames))
        if len(whole) != wanted:
            self._parts.clear()
            raise FrameBroken("a notice's frames do not fit its length")
        self._given = True
        return whole[1:]
