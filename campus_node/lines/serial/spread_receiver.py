"""A terminal's side of an image to all: pieces become blocks, which are verified and kept (B4.4)."""

from campus_node.lines.distribution import BlockReceiver, Result, mark_of
from campus_node.lines.serial.spread import (
    ANNOUNCEMENT_OFFSET,
    NOTICE_NUMBER,
    NOTICE_OFFSET,
    NOTICE_PIECE_BYTES,
    Announcement,
    Cut,
    Standing,
    announced,
    missing_payload,
    standing_payload,
)

_NO_MARK = bytes(4)


class SpreadReceiver:
    """Takes what BLOCK frames carry and answers what is missing. Raises nothing.

    Args:
        receiver: verifies and stores.
    """

    def __init__(self, receiver: BlockReceiver) -> None:
        self.receiver = receiver
        self._transfer = -1
        self._announced: Announcement | None = None
        self._signed: dict[int, bytes] = {}
        self._parts: dict[int, dict[int, bytes]] = {}  # of blocks that are not whole

    def take(self, payload: bytes) -> None:
        """Take what a BLOCK carries."""
        if len(payload) < 5:
            return
        transfer, offset, content = payload[0], int.from_bytes(payload[1:4]), payload[4:]
        if offset == ANNOUNCEMENT_OFFSET:
            self._begin(transfer, content)
        elif transfer != self._transfer:
            return
        elif offset >= NOTICE_OFFSET:
            self._take_notice(offset - NOTICE_OFFSET, content)
        else:
            self._take_piece(offset, content)

    def answer(self, payload: bytes) -> bytes | None:
        """Return what to answer to the head's MISSING; None to nonsense."""
        if len(payload) != 3:
            return None
        transfer = payload[0]
        if transfer != self._transfer or self._announced is None:
            return standing_payload(transfer, Standing.UNKNOWN, _NO_MARK)
        self._open()
        receiver, mark = self.receiver, self._announced.mark
        if receiver.ignored:
            return standing_payload(transfer, Standing.NOT_MEANT, mark)
        if receiver.result is not None:
            stored = receiver.result is Result.STORED
            return standing_payload(transfer, Standing.STORED if stored else Standing.REFUSED, mark)
        lacking = self._lacking()
        if lacking:
            return missing_payload(transfer, lacking)
        return missing_payload(transfer, [NOTICE_NUMBER])  # the store failed on opening: it is tried again

    def _begin(self, transfer: int, content: bytes) -> None:
        announcement = announced(content)
        if announcement is None or (transfer, announcement) == (self._transfer, self._announced):
            return
        self._transfer, self._announced = transfer, announcement
        self._signed, self._parts = {}, {}
        self.receiver.forget()

    def _take_notice(self, offset: int, content: bytes) -> None:
        number, rest = divmod(offset, NOTICE_PIECE_BYTES)
        if rest or self._announced is None or self._opened:
            return
        if len(content) == min(NOTICE_PIECE_BYTES, self._announced.notice_bytes - offset):
            self._signed[number] = content
            self._open()

    @property
    def _opened(self) -> bool:
        receiver = self.receiver
        return receiver.manifest is not None or receiver.result is not None or receiver.ignored

    def _notice_pieces(self) -> int:
        return -(-self._announced.notice_bytes // NOTICE_PIECE_BYTES) if self._announced else 0

    def _open(self) -> None:
        if self._announced is None or self._opened or len(self._signed) < self._notice_pieces():
            return
        signed = b"".join(self._signed[number] for number in sorted(self._signed))
        if mark_of(signed) != self._announced.mark:
            self._signed = {}  # somebody else's among ours: all of it again
            return
        self.receiver.open(signed)

    def _cut(self) -> Cut | None:
        manifest = self.receiver.manifest
        return Cut(manifest.image_bytes, manifest.block_bytes) if manifest else None

    def _take_piece(self, offset: int, content: bytes) -> None:
        cut, number = self._cut(), None
        if cut is not None and offset < cut.image_bytes:
            number = cut.number(offset)
        if cut is None or number is None or self.receiver.result is not None:
            return
        block = offset // cut.block_bytes
        if len(content) != cut.place(number)[1] or self.receiver.has(block):
            return
        parts = self._parts.setdefault(block, {})
        parts[number] = content
        numbers = list(cut.numbers_of(block))
        if len(parts) == len(numbers):
            del self._parts[block]
            self.receiver.take(block, b"".join(parts[each] for each in numbers))

    def _lacking(self) -> list[int]:
        cut = self._cut()
        if cut is None:
            return [
                NOTICE_NUMBER + number
                for number in range(self._notice_pieces())
                if number not in self._signed
            ]
        return [
            number
            for block in self.receiver.missing
            for number in cut.numbers_of(block)
            if number not in self._parts.get(block, {})
        ]
