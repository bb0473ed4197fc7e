"""A message of several frames that arrives as it ought to: gathered and joined without a further question.

Most frames of a full bus are the middle of such a message. Whatever else comes (out of order, short, a frame
of another kind) is for can-isotp's state machine, which then gets what was gathered first: it decides.
"""

from collections.abc import Iterator
from typing import Final

from campus_node.lines.can.ids import FRAME_BYTES_MAX, Frame

FIRST_HEAD_BYTES: Final = 2
_CONSECUTIVE: Final = 0x20  # high half of the first byte; the low one counts


class Following:
    """What follows one first frame (ISO 15765-2, normal addressing, 8 bytes a frame). Pure."""

    __slots__ = ("_can_id", "_gathered", "_lacking", "_length", "_next", "_start")

    def __init__(self) -> None:
        self._gathered: list[bytes] = []
        self._start = b""
        self._can_id = self._length = self._lacking = 0
        self._next = _CONSECUTIVE

    @property
    def lacking(self) -> int:
        """How many frames are to come; 0 = nothing is followed."""
        return self._lacking

    def begin(self, first: Frame) -> None:
        """Follow what a first frame has begun; nothing, if it is no plain one."""
        self.clear()
        if len(first.payload) != FRAME_BYTES_MAX:
            return
        self._can_id, self._start = first.can_id, first.payload[FIRST_HEAD_BYTES:]
        self._length = int.from_bytes(first.payload[:FIRST_HEAD_BYTES]) & 0x0FFF
        self._lacking = max(0, -(-(self._length - len(self._start)) // (FRAME_BYTES_MAX - 1)))
        self._next = _CONSECUTIVE | 1

    def goes_on(self, payload: bytes) -> bool:
        """Take a whole frame from the middle of the message; False if it is any other one."""
        if self._lacking < 2 or not self._gathered or not self._is_next(payload):
            return False
        self._add(payload)
        return True

    def take(self, payload: bytes) -> bool:
        """Take the next frame of the message; False if it is not that."""
        if not self._lacking:
            return False
        if self._lacking > 1:
            if not self._is_next(payload):
                return False
        elif payload[0] != self._next or len(payload) <= self._length - self._joined_bytes():
            return False
        self._add(payload)
        return True

    def message(self) -> bytes | None:
        """Return the message when its last frame was taken, and follow nothing; else None."""
        if self._lacking or not self._gathered:
            return None
        joined = self._start + b"".join([payload[1:] for payload in self._gathered])
        message = joined[: self._length]
        self.clear()
        return message

    def give_back(self) -> Iterator[Frame]:
        """Return what was gathered, in order, and follow nothing."""
        gathered, can_id = self._gathered, self._can_id
        self.clear()
        return (Frame(can_id, payload) for payload in gathered)

    def clear(self) -> None:
        """Follow nothing."""
        self._gathered = []
        self._lacking = 0

    def _is_next(self, payload: bytes) -> bool:
        return len(payload) == FRAME_BYTES_MAX and payload[0] == self._next

    def _add(self, payload: bytes) -> None:
        self._gathered.append(payload)
        self._lacking -= 1
        self._next = _CONSECUTIVE | (self._next + 1 & 0x0F)

    def _joined_bytes(self) -> int:
        return len(self._start) + len(self._gathered) * (FRAME_BYTES_MAX - 1)
