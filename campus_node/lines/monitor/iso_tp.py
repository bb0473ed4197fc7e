"""ISO-TP (ISO 15765-2) as a bystander hears it: messages put together without a word. Pure."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from campus_node.lines.line import MESSAGE_BYTES_MAX
from campus_node.wording import Sentence

UNDER_WAY_MAX: Final = 1024  # transfers; the oldest gives way
_SINGLE, _FIRST, _CONSECUTIVE, _FLOW = range(4)
_SEQUENCES: Final = 16
_GO_ON, _WAIT, _OVERFLOW = range(3)

Way = tuple[int, int, int]  # class, target, source


class Piece(NamedTuple):
    """What one frame of a transfer was.

    Args:
        kind: `single`, `first`, `consecutive`, `flow control` or `broken`.
        words: for people.
        message: the whole of it, with the last frame.
        trouble: whether a transfer broke.
    """

    kind: str
    words: Sentence
    message: bytes | None = None
    trouble: bool = False


@dataclass(slots=True)
class _UnderWay:
    length: int
    content: bytearray = field(default_factory=bytearray)
    next_sequence: int = 1


class IsoTpEar:
    """Hears all transfers of a bus."""

    def __init__(self) -> None:
        self._under_way: dict[Way, _UnderWay] = {}

    @property
    def unfinished(self) -> int:
        """How many transfers have begun and not ended."""
        return len(self._under_way)

    def take(self, way: Way, payload: bytes) -> Piece:
        """Take a frame, 0 to 8 bytes."""
        if not payload:
            return _broken()
        kind, low = payload[0] >> 4, payload[0] & 0xF
        match kind:
            case 0 if 1 <= low < len(payload):
                self._under_way.pop(way, None)
                words = Sentence("single frame, {bytes} bytes", bytes=low)
                return Piece("single", words, payload[1 : 1 + low])
            case 1 if len(payload) == 8:
                return self._begin(way, low << 8 | payload[1], payload[2:])
            case 2 if len(payload) > 1:
                return self._go_on(way, low, payload[1:])
            case 3 if len(payload) >= 3 and low <= _OVERFLOW:
                return _flow(low, payload[1])
        return _broken()

    def _begin(self, way: Way, length: int, content: bytes) -> Piece:
        if not 8 <= length <= MESSAGE_BYTES_MAX:
            return _broken()
        given_up = self._under_way.pop(way, None)
        while len(self._under_way) >= UNDER_WAY_MAX:
            del self._under_way[next(iter(self._under_way))]
        self._under_way[way] = _UnderWay(length, bytearray(content))
        if given_up is not None:
            words = Sentence("first frame of {bytes} bytes; the message before was given up", bytes=length)
            return Piece("first", words, trouble=True)
        return Piece("first", Sentence("first frame of {bytes} bytes", bytes=length))

    def _go_on(self, way: Way, sequence: int, content: bytes) -> Piece:
        under_way = self._under_way.get(way)
        if under_way is None:
            words = Sentence(
                "consecutive frame {sequence} of a message whose beginning was not heard", sequence=sequence
            )
            return Piece("consecutive", words)
        if sequence == (under_way.next_sequence - 1) % _SEQUENCES:
            return Piece("consecutive", Sentence("consecutive frame {sequence} again", sequence=sequence))
        if sequence != under_way.next_sequence:
            del self._under_way[way]
            words = Sentence(
                "consecutive frame {sequence}, {expected} was due: the message is lost",
                sequence=sequence,
                expected=under_way.next_sequence,
            )
            return Piece("consecutive", words, trouble=True)
        under_way.content += content[: under_way.length - len(under_way.content)]
        under_way.next_sequence = (sequence + 1) % _SEQUENCES
        words = Sentence(
            "consecutive frame {sequence}, {here} of {bytes} bytes",
            sequence=sequence,
            here=len(under_way.content),
            bytes=under_way.length,
        )
        if len(under_way.content) < under_way.length:
            return Piece("consecutive", words)
        del self._under_way[way]
        return Piece("consecutive", words, bytes(under_way.content))


def _flow(state: int, block: int) -> Piece:
    if state == _WAIT:
        return Piece("flow control", Sentence("flow control: wait"))
    if state == _OVERFLOW:
        return Piece("flow control", Sentence("flow control: too long, refused"), trouble=True)
    if block:
        return Piece("flow control", Sentence("flow control: go on, {frames} frames", frames=block))
    return Piece("flow control", Sentence("flow control: go on"))


def _broken() -> Piece:
    return Piece("broken", Sentence("no frame of a transfer"), trouble=True)
