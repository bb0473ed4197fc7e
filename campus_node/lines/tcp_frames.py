"""Frames on TCP: kind1 ‖ length2 ‖ body. Pure; docs/wire.md, tests/vectors/wire/tcp.txt."""

from enum import IntEnum
from typing import Final, NamedTuple

from campus_node.lines.errors import FrameBroken
from campus_node.lines.line import MESSAGE_BYTES_MAX
from campus_node.wording import Sentence

VERSION: Final = 0x01
END_BYTES: Final = 16
NO_END: Final = bytes(END_BYTES)
NUMBER_MAX: Final = 0xFFFF_FFFF
_HEAD_BYTES: Final = 3
_OPEN_BYTES: Final = 1 + 2 * END_BYTES + 4


class Kind(IntEnum):
    """What a frame is."""

    OPEN = 0x01
    MESSAGE = 0x02
    TAKEN = 0x03
    PING = 0x04
    PONG = 0x05
    BYE = 0x06


class Reason(IntEnum):
    """Why a connection is closed on purpose."""

    STOPPING = 0
    REPLACED = 1
    BROKEN = 2


class Frame(NamedTuple):
    """A whole frame whose length is right for its kind."""

    kind: Kind
    body: bytes


class Opening(NamedTuple):
    """The body of OPEN.

    Args:
        end: 16 bytes, who sends it.
        other: 16 bytes, the end to which `received` belongs; zeros if none was heard of yet.
        received: the number of the last message that arrived from that end.
    """

    end: bytes
    other: bytes
    received: int


_LENGTHS: Final[dict[Kind, tuple[int, int]]] = {
    Kind.OPEN: (_OPEN_BYTES, _OPEN_BYTES),
    Kind.MESSAGE: (5, 4 + MESSAGE_BYTES_MAX),
    Kind.TAKEN: (4, 4),
    Kind.PING: (0, 0),
    Kind.PONG: (0, 0),
    Kind.BYE: (1, 1),
}


def encode(kind: Kind, body: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    least, most = _LENGTHS[kind]
    assert least <= len(body) <= most, f"a body of {len(body)} bytes for {kind}"
    return bytes((kind,)) + len(body).to_bytes(2, "big") + body


def encode_open(opening: Opening) -> bytes:
    """Return the bytes of an OPEN."""
    numbers = opening.end + opening.other + opening.received.to_bytes(4, "big")
    return encode(Kind.OPEN, bytes((VERSION,)) + numbers)


def encode_message(number: int, message: bytes) -> bytes:
    """Return the bytes of a MESSAGE."""
    return encode(Kind.MESSAGE, number.to_bytes(4, "big") + message)


def parse_open(body: bytes) -> Opening:
    """Return the fields of an OPEN's body. Raise FrameBroken for another version, or an end of zeros."""
    if len(body) != _OPEN_BYTES or body[0] != VERSION or body[1:17] == NO_END:
        raise FrameBroken(Sentence("an OPEN that we do not understand"))
    return Opening(body[1:17], body[17:33], int.from_bytes(body[33:], "big"))


class FrameReader:
    """Cuts a stream of bytes into frames; holds one unfinished frame at most."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, content: bytes) -> list[Frame]:
        """Return the frames that are whole now.

        Raises:
            FrameBroken: what came is no frame; the connection is of no use any more.
        """
        self._waiting += content
        frames = []
        while len(self._waiting) >= _HEAD_BYTES:
            kind, length = self._waiting[0], int.from_bytes(self._waiting[1:3], "big")
            least, most = _LENGTHS.get(kind, (1, 0))  # type: ignore[call-overload]  # an int finds its Kind
            if not least <= length <= most:
                raise FrameBroken(Sentence("bytes on a connection that are no frame"))
            if len(self._waiting) < _HEAD_BYTES + length:
                break
            frames.append(Frame(Kind(kind), bytes(self._waiting[_HEAD_BYTES : _HEAD_BYTES + length])))
            del self._waiting[: _HEAD_BYTES + length]
        return frames
