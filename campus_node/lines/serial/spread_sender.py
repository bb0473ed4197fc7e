"""The head's side of an image to all: the notice, what anybody lacks, and asking again (B4.4, A15)."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from campus_node.lines.distribution import IMAGE_BYTES_MAX, MANIFEST_BYTES_MAX, mark_of
from campus_node.lines.line import ALL, HEAD, terminal_address
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.spread import (
    NOTICE_NUMBER,
    NOTICE_OFFSET,
    NOTICE_PIECE_BYTES,
    NUMBERS_MAX,
    Announcement,
    Cut,
    Standing,
    announcement_payload,
    asked_payload,
    piece_payload,
    said,
)

ROUNDS_MAX: Final = 200
SILENT_ROUNDS_MAX: Final = 5  # so many rounds without an answer: this terminal is not there
ROUND_S_MIN: Final = 0.5  # between rounds in which nobody lacked anything
ASKED_MAX: Final = 2  # a round
CATCH_UP_S: Final = 0.3  # what records took of its share it may have again, so far
NEVER_S: Final = float("inf")


class SpreadSender:
    """One image to some terminals of one line. The head's line asks it for frames and tells it the answers.

    Args:
        transfer: tells this one from the last ones, 1 to 255.
        notice: the signed notice with the manifest.
        image: what it announces.
        addresses: who should have it in the end.
        block_bytes: as in the manifest.
        load: how much of the line it may take, 0 to 1.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        transfer: int,
        notice: bytes,
        image: bytes,
        addresses: Iterable[int],
        *,
        block_bytes: int,
        load: float,
    ) -> None:
        if not 1 <= transfer <= 0xFF or not 0 < load <= 1 or block_bytes < 8 or block_bytes % 8:
            raise ValueError(f"transfer {transfer}, load {load} or blocks of {block_bytes} bytes are none")
        if not 1 <= len(notice) <= MANIFEST_BYTES_MAX or not 1 <= len(image) <= IMAGE_BYTES_MAX:
            raise ValueError(f"a notice of {len(notice)} bytes or an image of {len(image)} is none")
        self._cut = Cut(len(image), block_bytes)
        if self._cut.numbers > NUMBERS_MAX:
            raise ValueError(f"{self._cut.numbers} pieces, at most {NUMBERS_MAX}: blocks are too small")
        self.stored: set[int] = set()
        self.refused: set[int] = set()
        self.rounds = 0
        self.piece_count = 0  # pieces of the image that were sent, repeats too
        self._transfer = transfer
        self._notice, self._image = notice, image
        self._announcement = Announcement(len(notice), mark_of(notice))
        self._load = load
        self._waiting_for = {int(terminal_address(address)) for address in addresses}
        self._silent_rounds = dict.fromkeys(self._waiting_for, 0)
        self._wanted: set[int] = set()
        self._over = not self._waiting_for
        self._next_s = 0.0
        self._pieces: Iterator[SerialFrame] = self._opening()
        self._to_ask: deque[int] = deque()
        self._asked_count: dict[int, int] = {}
        self._begun_s: float | None = None

    @property
    def waiting_for(self) -> frozenset[int]:
        """Terminals that do not have it yet."""
        return frozenset(self._waiting_for)

    @property
    def silent(self) -> frozenset[int]:
        """Once it is over: those of whom nothing more is expected."""
        return self.waiting_for if self._over else frozenset()

    @property
    def over(self) -> bool:
        """Whether everybody has it, refused it or is silent."""
        return self._over

    @property
    def due_s(self) -> float:
        """When it may have the wire again."""
        return NEVER_S if self._over else self._next_s

    def frame(self, now_s: float) -> SerialFrame | None:
        """Return what to send now: a BLOCK to all, or a MISSING whose answer is told to `answered`."""
        if self._begun_s is None:
            self._begun_s = now_s
            self._ask_all()
        piece = next(self._pieces, None)
        if piece is not None:
            return piece
        if not self._to_ask:
            self._end_round(now_s)
            return None
        address = self._to_ask[0]
        payload = asked_payload(self._transfer)
        return SerialFrame(address, HEAD, Kind.MISSING, payload=payload)

    def took(self, began_s: float, until_s: float) -> None:
        """Learn how long the wire was taken by it; so long others may have it in turn, by the load."""
        self._next_s = max(self._next_s, began_s - CATCH_UP_S) + (until_s - began_s) / self._load

    def answered(self, address: int, payload: bytes) -> None:
        """Take the answer of a terminal to MISSING."""
        answer = said(payload, self._transfer)
        if answer is None or address not in self._waiting_for:
            self.unanswered(address)
            return
        self._asked(address)
        self._silent_rounds[address] = 0
        if answer.standing is None:
            self._wanted.update(answer.missing)
        elif answer.standing is Standing.UNKNOWN or answer.mark != self._announcement.mark:
            self._wanted.update(self._notice_numbers())
        else:
            self._waiting_for.discard(address)
            (self.stored if answer.standing is Standing.STORED else self.refused).add(address)

    def unanswered(self, address: int) -> None:
        """Learn that a terminal did not answer, or nothing that makes sense."""
        asked = self._asked_count.get(address, 0) + 1
        self._asked_count[address] = asked
        if asked >= ASKED_MAX:
            self._asked(address)
            if address in self._silent_rounds:
                self._silent_rounds[address] += 1
        elif self._to_ask and self._to_ask[0] == address:
            self._to_ask.rotate(-1)

    def _asked(self, address: int) -> None:
        if address in self._to_ask:
            self._to_ask.remove(address)

    def _ask_all(self) -> None:
        self._asked_count.clear()
        self._to_ask = deque(sorted(self._waiting_for))

    def _end_round(self, now_s: float) -> None:
        self.rounds += 1
        somebody = any(self._silent_rounds[address] < SILENT_ROUNDS_MAX for address in self._waiting_for)
        if not somebody or self.rounds >= ROUNDS_MAX:
            self._over = True
            return
        if not self._wanted:
            self._next_s = max(self._next_s, now_s + ROUND_S_MIN)
        wanted, self._wanted = list(self._wanted), set()
        self._pieces = self._chosen(wanted)
        self._ask_all()

    def _opening(self) -> Iterator[SerialFrame]:
        yield self._announce()
        for number in self._notice_numbers():
            yield from self._piece(number)

    def _chosen(self, wanted: list[int]) -> Iterator[SerialFrame]:
        """Yield what anybody lacks: the announcement always, the notice before the image."""
        yield self._announce()
        for number in sorted(wanted, key=lambda one: (one < NOTICE_NUMBER, one)):
            yield from self._piece(number)

    def _notice_numbers(self) -> range:
        return range(NOTICE_NUMBER, NOTICE_NUMBER - (-len(self._notice) // NOTICE_PIECE_BYTES))

    def _announce(self) -> SerialFrame:
        return self._block(announcement_payload(self._transfer, self._announcement))

    def _piece(self, number: int) -> Iterator[SerialFrame]:
        if number >= NOTICE_NUMBER:
            offset = (number - NOTICE_NUMBER) * NOTICE_PIECE_BYTES
            content = self._notice[offset : offset + NOTICE_PIECE_BYTES]
            offset += NOTICE_OFFSET
        else:
            offset, size = self._cut.place(number)
            content = self._image[offset : offset + size]
            self.piece_count += bool(content)
        if content:  # a stranger may ask for pieces that are none
            yield self._block(piece_payload(self._transfer, offset, content))

    def _block(self, payload: bytes) -> SerialFrame:
        return SerialFrame(ALL, HEAD, Kind.BLOCK, payload=payload)
