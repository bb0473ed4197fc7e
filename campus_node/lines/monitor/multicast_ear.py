"""Class P7 as a bystander hears it: how far a distribution is, and what it is (B4.4). Pure."""

import hashlib
from dataclasses import replace
from typing import Final

from campus_node.lines.can import ids
from campus_node.lines.can.ids import Multicast, Spread
from campus_node.lines.can.multicast import Asked, Done, Missing, Poll, heard
from campus_node.lines.distribution import Result
from campus_node.lines.monitor.seen import Layer, Seen
from campus_node.wording import Sentence

FRAME_BYTES: Final = 8
PARTS_MAX: Final = 1 << 20
EVERY_PARTS: Final = 1024  # so often progress is told


class MulticastEar:
    """Hears one bus's distribution; a POLL with another mark begins the next."""

    def __init__(self) -> None:
        self.signed: bytes | None = None  # the notice with the manifest, once it was heard whole
        self._mark = b""
        self._manifest_bytes = 0
        self._manifest: dict[int, bytes] = {}
        self._image_parts: set[int] = set()
        self._told = 0

    def take(self, frame: ids.Frame, about: Multicast) -> list[Seen]:
        """Return what a frame of P7 is; then, when it is worth it, how far the distribution is."""
        match heard(frame):
            case Poll() as poll:
                return [self._poll(poll)]
            case Done() as done:
                return [_done(done)]
            case Missing() as missing:
                return [_missing(missing)]
        if about.spread is Spread.IMAGE:
            return self._image(about.number)
        if about.spread is Spread.MANIFEST:
            return self._part(about.number, frame.payload)
        return [_seen("broken", Sentence("a frame of a distribution that says nothing"), True)]

    def _poll(self, poll: Poll) -> Seen:
        if poll.manifest_mark != self._mark:
            self._mark, self.signed = poll.manifest_mark, None
            self._manifest_bytes = poll.manifest_bytes
            self._manifest, self._image_parts, self._told = {}, set(), 0
        fields: dict[str, object] = {"transfer": poll.transfer, "mark": poll.manifest_mark.hex()}
        match poll.asked:
            case Asked.NOTHING:
                words = Sentence(
                    "transfer {transfer} begins, notice of {bytes} bytes",
                    transfer=poll.transfer,
                    bytes=poll.manifest_bytes,
                )
            case Asked.MANIFEST:
                words = Sentence(
                    "transfer {transfer}: who lacks parts of the notice?", transfer=poll.transfer
                )
            case Asked.IMAGE:
                words = Sentence("transfer {transfer}: who lacks parts?", transfer=poll.transfer)
        return _told("POLL", words, **fields, asked=poll.asked.name, heard_parts=len(self._image_parts))

    def _part(self, number: int, payload: bytes) -> list[Seen]:
        words = Sentence("part {number} of a distribution's notice", number=number)
        seen = [_seen("MANIFEST", words, number=number)]
        if self.signed is None and number < -(-self._manifest_bytes // FRAME_BYTES):
            self._manifest[number] = payload
            whole = b"".join(self._manifest[at] for at in sorted(self._manifest))
            if len(whole) == self._manifest_bytes and hashlib.sha256(whole).digest()[:4] == self._mark:
                self.signed = whole
        return seen

    def _image(self, number: int) -> list[Seen]:
        seen = [_seen("DATA", Sentence("part {number} of a distribution", number=number), number=number)]
        if len(self._image_parts) < PARTS_MAX:
            self._image_parts.add(number)
        if len(self._image_parts) >= self._told + EVERY_PARTS:
            self._told += EVERY_PARTS
            words = Sentence("a distribution goes on: {count} parts of 8 bytes were heard", count=self._told)
            seen.append(Seen(0.0, Layer.MESSAGE, "progress", words, fields={"parts": self._told}))
        return seen


def _done(done: Done) -> Seen:
    words = Sentence("transfer {transfer} is stored", transfer=done.transfer)
    if done.result is Result.REFUSED:
        words = Sentence("transfer {transfer} is refused", transfer=done.transfer)
    fields: dict[str, object] = {"transfer": done.transfer, "result": done.result.name}
    return _told("DONE", words, done.result is Result.REFUSED, **fields, mark=done.manifest_mark.hex())


def _missing(missing: Missing) -> Seen:
    count = len(missing.numbers)
    if missing.spread is Spread.NACK_BLOCKS:
        words = Sentence("{count} blocks lack here", count=count)
    elif missing.spread is Spread.NACK_MANIFEST:
        words = Sentence("{count} parts of the notice lack here", count=count)
    else:
        words = Sentence("{count} parts lack here", count=count)
    return _seen("NACK", words, of=missing.spread.name, count=count)


def _seen(kind: str, words: Sentence, trouble: bool = False, /, **fields: object) -> Seen:
    return Seen(0.0, Layer.FRAME, kind, words, fields=fields, trouble=trouble)


def _told(kind: str, words: Sentence, trouble: bool = False, /, **fields: object) -> Seen:
    """Return what people want to see even where they see no frames."""
    return replace(_seen(kind, words, trouble, **fields), layer=Layer.MESSAGE)
