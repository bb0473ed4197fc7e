"""RS-485 as a bystander hears it: frames out of bytes, messages out of segments, in words (B4.2, B4.3)."""

from campus_node.lines.line import ALL, HEAD, MESSAGE_BYTES_MAX
from campus_node.lines.monitor.seen import Layer, Seen
from campus_node.lines.monitor.talk import Heard, Talk
from campus_node.lines.serial import spread
from campus_node.lines.serial.frames import FrameParser, Kind, SerialFrame
from campus_node.wording import Sentence

Way = tuple[int, int]  # from, to


class SerialEar:
    """Hears one polled line.

    Args:
        talk: says what messages are.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._parser = FrameParser()
        self._told_noise = 0
        self._parts: dict[Way, bytearray] = {}  # 65,536 ways at most, of an address each
        self._last: dict[Way, SerialFrame] = {}

    @property
    def unfinished(self) -> int:
        """How many messages have begun and not ended."""
        return len(self._parts)

    def take(self, received: bytes, at_s: float, *, gap: bool = False) -> list[Seen]:
        """Return what was complete with these bytes. Nothing makes it raise.

        Args:
            received: bytes, or none.
            gap: nothing more comes of what has begun.
        """
        frames = self._parser.feed(received)
        if gap:
            frames += self._parser.gap()
        seen: list[Seen] = []
        if self._parser.skipped_count > self._told_noise:
            count = self._parser.skipped_count - self._told_noise
            self._told_noise = self._parser.skipped_count
            words = Sentence(
                "{count} bytes that are no frame: noise, a collision, or another rate", count=count
            )
            seen.append(Seen(at_s, Layer.WIRE, "noise", words, fields={"bytes": count}, trouble=True))
        for frame in frames:
            seen += self._frame(frame, at_s)
        return seen

    def _frame(self, frame: SerialFrame, at_s: float) -> list[Seen]:
        words, trouble = _words(frame)
        fields: dict[str, object] = {
            "sequence": frame.sequence,
            "first": frame.first,
            "last": frame.last,
            "more": frame.more,
            "bytes": frame.payload.hex().upper(),
        }
        seen = [Seen(at_s, Layer.FRAME, frame.kind.name, words, fields=fields, trouble=trouble)]
        message = None
        if frame.kind is Kind.SEGMENT:
            message = self._segment(frame)
        elif frame.kind is Kind.NOTICE:
            message = frame.payload
        if message:
            seen += self._talk.take(Heard(frame.source, frame.to, message))
        return [each.at(at_s, frame.source, frame.to) for each in seen]

    def _segment(self, frame: SerialFrame) -> bytes | None:
        """Put a message together; a segment that comes again is taken once."""
        way = (frame.source, frame.to)
        if self._last.get(way) == frame:
            return None
        self._last[way] = frame
        if frame.first:
            self._parts[way] = bytearray()
        parts = self._parts.get(way)
        if parts is None:
            return None  # its beginning was not heard
        parts += frame.payload
        if len(parts) > MESSAGE_BYTES_MAX:
            del self._parts[way]
            return None
        if not frame.last:
            return None
        del self._parts[way]
        return bytes(parts)


def _words(frame: SerialFrame) -> tuple[Sentence, bool]:
    size = len(frame.payload)
    from_head = frame.source == HEAD
    match frame.kind:
        case Kind.POLL:
            return Sentence("POLL: your turn"), not from_head
        case Kind.SEGMENT:
            return Sentence("SEGMENT, {bytes} bytes", bytes=size), False
        case Kind.ACK:
            return Sentence("ACK"), False
        case Kind.BUSY:
            return Sentence("BUSY: no room, repeat later"), False
        case Kind.DISCOVER if from_head:
            return Sentence("DISCOVER: is anybody there?"), False
        case Kind.DISCOVER:
            return Sentence(
                "DISCOVER: I am, serial number {serial}", serial=frame.payload.hex().upper()
            ), False
        case Kind.BLOCK:
            return _block(frame.payload), not from_head or frame.to != ALL
        case Kind.MISSING:
            return _missing(frame), size < 3
        case Kind.NOTICE:
            return Sentence("NOTICE, {bytes} bytes", bytes=size), not from_head


def _block(payload: bytes) -> Sentence:
    if len(payload) < 4:
        return Sentence("BLOCK that says nothing")
    transfer, offset = payload[0], int.from_bytes(payload[1:4])
    if offset == spread.ANNOUNCEMENT_OFFSET:
        return Sentence("BLOCK: transfer {transfer} begins", transfer=transfer)
    return Sentence(
        "BLOCK of transfer {transfer} at {offset}, {bytes} bytes",
        transfer=transfer,
        offset=offset,
        bytes=len(payload) - 4,
    )


def _missing(frame: SerialFrame) -> Sentence:
    if len(frame.payload) < 3:
        return Sentence("MISSING that says nothing")
    transfer = frame.payload[0]
    if frame.source == HEAD:
        return Sentence("MISSING: what lacks of transfer {transfer}?", transfer=transfer)
    said = spread.said(frame.payload, transfer)
    if said is None:
        return Sentence("MISSING that says nothing")
    if said.standing is None:
        return Sentence(
            "MISSING: {count} pieces of transfer {transfer} lack", count=len(said.missing), transfer=transfer
        )
    match said.standing:
        case spread.Standing.STORED:
            return Sentence("transfer {transfer} is stored", transfer=transfer)
        case spread.Standing.REFUSED:
            return Sentence("transfer {transfer} is refused", transfer=transfer)
        case spread.Standing.UNKNOWN:
            return Sentence("transfer {transfer} was not heard of here", transfer=transfer)
        case spread.Standing.NOT_MEANT:
            return Sentence("transfer {transfer} is not for this terminal", transfer=transfer)
