"""Frames of RS-485: start ‖ to ‖ from ‖ control ‖ length2 ‖ CRC2 ‖ payload ‖ CRC2 (docs/wire.md). Pure."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from campus_node.lines.crc16 import CRC_BYTES, crc16

START: Final = b"\x55\xd5"
HEADER_BYTES: Final = 9
PAYLOAD_BYTES_MAX: Final = 1024

_SEQUENCE: Final = 0x10
_FIRST: Final = 0x08
_LAST: Final = 0x04
_MORE: Final = 0x02
_ZERO: Final = 0x01


class Kind(IntEnum):
    """What a frame is: bits 7 to 5 of its control byte."""

    POLL = 0
    SEGMENT = 1
    ACK = 2
    BUSY = 3
    DISCOVER = 4
    BLOCK = 5
    MISSING = 6
    NOTICE = 7


@dataclass(frozen=True, slots=True)
class SerialFrame:
    """One frame.

    Args:
        to, source: addresses.
        sequence: 0 or 1.
        first, last: whether a segment begins and ends a message.
        more: more waits here.
        payload: up to PAYLOAD_BYTES_MAX bytes.
    """

    to: int
    source: int
    kind: Kind
    sequence: int = 0
    first: bool = False
    last: bool = False
    more: bool = False
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        assert len(self.payload) <= PAYLOAD_BYTES_MAX
        control = self.kind << 5 | self.sequence << 4 | self.first << 3 | self.last << 2 | self.more << 1
        about = bytes((self.to, self.source, control)) + len(self.payload).to_bytes(2)
        header = START + about + crc16(about)
        return header + self.payload + crc16(self.payload) if self.payload else header


class FrameParser:
    """Finds frames in whatever arrives. Nothing makes it raise.

    Attributes:
        broken_count: starts that turned out to be none.
        skipped_count: bytes that belong to no frame.
    """

    def __init__(self) -> None:
        self.broken_count = 0
        self.skipped_count = 0
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a frame may have begun that is not whole."""
        return bool(self._buffer)

    def clear(self) -> None:
        """Forget what has begun."""
        self._buffer.clear()

    def feed(self, received: bytes) -> list[SerialFrame]:
        """Take bytes and return the frames that are whole now, in order."""
        self._buffer += received
        frames: list[SerialFrame] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def gap(self) -> list[SerialFrame]:
        """Learn that nothing more comes of what has begun; return what may stand behind its first byte."""
        frames: list[SerialFrame] = []
        while self._buffer:
            self._false_start()
            frames += self.feed(b"")
        return frames

    def _next(self) -> SerialFrame | None:
        while self._find_start():
            if len(self._buffer) < HEADER_BYTES:
                return None
            about = bytes(self._buffer[2:7])
            length, control = int.from_bytes(about[3:]), about[2]
            if self._buffer[7:9] != crc16(about) or length > PAYLOAD_BYTES_MAX or control & _ZERO:
                self._false_start()
                continue
            whole = HEADER_BYTES + (length + CRC_BYTES if length else 0)
            if len(self._buffer) < whole:
                return None
            payload = bytes(self._buffer[HEADER_BYTES : HEADER_BYTES + length])
            if length and self._buffer[whole - CRC_BYTES : whole] != crc16(payload):
                self._false_start()
                continue
            del self._buffer[:whole]
            return _frame(about, payload)
        return None

    def _find_start(self) -> bool:
        """Drop what is before the next start; tell whether one may stand there."""
        at = self._buffer.find(START)
        if at < 0:
            at = len(self._buffer) - (self._buffer[-1:] == START[:1])
        self.skipped_count += at
        del self._buffer[:at]
        return bool(self._buffer)

    def _false_start(self) -> None:
        self.broken_count += 1
        self.skipped_count += 1
        del self._buffer[0]


def _frame(about: bytes, payload: bytes) -> SerialFrame:
    to, source, control = about[:3]
    return SerialFrame(
        to,
        source,
        Kind(control >> 5),
        control >> 4 & 1,
        bool(control & _FIRST),
        bool(control & _LAST),
        bool(control & _MORE),
        payload,
    )
