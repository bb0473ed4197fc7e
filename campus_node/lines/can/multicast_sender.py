"""The head's side of a multicast: all of it once, then what is missing, until nothing is (B4.4)."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from campus_node.lines.can.ids import Frame, Spread
from campus_node.lines.can.line import Post
from campus_node.lines.can.multicast import (
    Asked,
    Done,
    Missing,
    Poll,
    frames_in,
    frames_of,
    heard,
    part_frame,
    poll_frame,
)
from campus_node.lines.distribution import IMAGE_BYTES_MAX, MANIFEST_BYTES_MAX, Manifest, Result, mark_of

FRAME_BITS: Final = 137  # of a frame with 8 random bytes, stuffing and intermission included, on average
QUIET_S: Final = 0.03  # so long after the last answer nobody else answers
ANSWERS_WITHIN_S: Final = 0.25  # of a POLL, if nobody answers at all
ROUNDS_MAX: Final = 200
SILENT_ROUNDS_MAX: Final = 5  # so many polls without any answer: this terminal isn't there
BURST_S: Final = 0.01
OUTSTANDING_MAX: Final = 16  # frames that the controller has not taken yet
STUCK_S: Final = 2.0
ASKED_FIRST_BYTES: Final = 18 * 1024  # from here on it asks first what is there from an earlier attempt
NEVER_S: Final = float("inf")


class Stage(Enum):
    """Where a transfer stands."""

    MANIFEST = "manifest"
    IMAGE = "image"
    OVER = "over"


class MulticastSender:
    """One image to some terminals of one bus: a service of the head's line.

    Args:
        transfer: tells this transfer from the last ones, 0 to 255.
        manifest: the manifest as signed.
        image: what it describes, 1 to IMAGE_BYTES_MAX bytes.
        expected: the addresses that should have it in the end.
        bitrate: of the bus, in bits a second.
        load: how much of the bus it may take, 0 to 1; of what others leave, as its class is the last.
    """

    def __init__(
        self,
        transfer: int,
        manifest: bytes,
        image: bytes,
        expected: Iterable[int],
        *,
        bitrate: int = 250_000,
        load: float = 0.6,
        block_bytes: int,
    ) -> None:
        if not 1 <= len(manifest) <= MANIFEST_BYTES_MAX or not 1 <= len(image) <= IMAGE_BYTES_MAX:
            raise ValueError("the manifest or the image is empty or too long")
        self.stored: set[int] = set()
        self.refused: set[int] = set()
        self.repeated_count = 0
        self.rounds = 0
        self._asks_first = False
        self._transfer = transfer
        self._wholes = {Spread.MANIFEST: manifest, Spread.IMAGE: image}
        self._mark = mark_of(manifest)
        self._blocks = Manifest.of(image, block_bytes)
        self._waiting_for = set(expected)
        self._frame_s = FRAME_BITS / bitrate / load
        self._stage = Stage.MANIFEST
        self._next_s = 0.0
        self._outstanding: dict[int, float] = {}
        self._poll_id: int | None = None
        self._poll_posted_s = 0.0
        self._polled_s: float | None = None
        self._answered_s = 0.0
        self._answered: set[int] = set()
        self._silent: dict[int, int] = {}
        self._wanted: dict[Spread, set[int]] = {Spread.MANIFEST: set(), Spread.IMAGE: set()}
        self._frames: Iterator[Frame] = self._all(Spread.MANIFEST)

    @property
    def over(self) -> bool:
        """Whether everybody has it, refused it or is silent."""
        return self._ended()

    @property
    def silent(self) -> set[int]:
        """Terminals of which nothing more is expected: they answered no poll."""
        return self._waiting_for if self.over else set()

    @property
    def waiting_for(self) -> frozenset[int]:
        """Terminals that do not have it yet."""
        return frozenset(self._waiting_for)

    def take(self, frame: Frame, now_s: float) -> None:
        """Take an answer."""
        said = heard(frame)
        if isinstance(said, Done) and (said.transfer, said.manifest_mark) == (self._transfer, self._mark):
            self._waiting_for.discard(said.source)
            (self.stored if said.result is Result.STORED else self.refused).add(said.source)
        elif isinstance(said, Missing):
            self._want(said.spread, said.numbers)
            self._answered.add(said.source)
        else:
            return
        self._answered_s = now_s

    def sent(self, frame: Frame, now_s: float) -> None:
        """Note what the controller took; a POLL counts from then."""
        self._outstanding.pop(frame.can_id, None)
        if frame.can_id == self._poll_id:
            self._polled_s = self._answered_s = now_s

    def step(self, now_s: float, post: Post) -> float:
        """Send at the pace allowed; poll at the end of a round; repeat what is missing."""
        if self._poll_id is not None and (due_s := self._wait_for_answers(now_s, post)) > now_s:
            return due_s
        if self._ended():
            return NEVER_S
        if len(self._outstanding) >= OUTSTANDING_MAX:  # others have the bus
            if now_s - min(self._outstanding.values()) < STUCK_S:
                return now_s + self._frame_s
            self._outstanding.clear()  # they were lost when the controller left the bus
        self._next_s = max(self._next_s, now_s - BURST_S)
        while self._next_s <= now_s:
            frame = next(self._frames, None)
            if frame is None:
                self._poll(now_s, post)
                return now_s + QUIET_S
            self._outstanding[frame.can_id] = now_s
            post(frame)
            self._next_s += self._frame_s
        return self._next_s

    def _wait_for_answers(self, now_s: float, post: Post) -> float:
        """Return when the round will be over; a past instant if it is."""
        if self._polled_s is None:
            if now_s - self._poll_posted_s >= STUCK_S:
                self._poll(now_s, post)
            return self._poll_posted_s + STUCK_S
        due_s = max(self._answered_s + QUIET_S, self._polled_s + self._patience_s())
        if now_s >= due_s:
            self._end_round()
        return due_s

    def _ended(self) -> bool:
        return self._stage is Stage.OVER

    def _patience_s(self) -> float:
        """Say how long to wait for the first answer; to the manifest's POLL only those answer who lack it."""
        if self._answered or not self._waiting_for or self._stage is Stage.MANIFEST:
            return QUIET_S
        return ANSWERS_WITHIN_S

    def _poll(self, now_s: float, post: Post) -> None:
        asked = Asked.MANIFEST if self._stage is Stage.MANIFEST else Asked.IMAGE
        frame = poll_frame(self._poll_of(asked))
        self._poll_id, self._poll_posted_s, self._polled_s = frame.can_id, now_s, None
        self._answered.clear()
        for wanted in self._wanted.values():
            wanted.clear()
        post(frame)

    def _poll_of(self, asked: Asked) -> Poll:
        return Poll(self.rounds, self._transfer, asked, len(self._wholes[Spread.MANIFEST]), self._mark)

    def _end_round(self) -> None:
        self._poll_id = self._polled_s = None
        self.rounds += 1
        for address in tuple(self._waiting_for):
            silent = 0 if address in self._answered else self._silent.get(address, 0) + 1
            self._silent[address] = silent
        if self._stage is Stage.MANIFEST:
            self._end_of_manifest()
        elif not self._waiting_for or self.rounds >= ROUNDS_MAX or not self._anybody_left():
            self._stage = Stage.OVER
        else:
            self._repeat()

    def _end_of_manifest(self) -> None:
        if self._wanted[Spread.MANIFEST] and self.rounds < ROUNDS_MAX:
            self._repeat()
            return
        self._stage = Stage.IMAGE
        self._silent.clear()
        asks = len(self._wholes[Spread.IMAGE]) >= ASKED_FIRST_BYTES
        self._asks_first = asks
        self._frames = iter(()) if asks else self._all(Spread.IMAGE)

    def _anybody_left(self) -> bool:
        return any(self._silent.get(address, 0) < SILENT_ROUNDS_MAX for address in self._waiting_for)

    def _repeat(self) -> None:
        wanted = [(spread, number) for spread in self._wanted for number in sorted(self._wanted[spread])]
        self.repeated_count += 0 if self._asks_first else len(wanted)
        self._asks_first = False
        self._frames = (part_frame(spread, self._wholes[spread], number) for spread, number in wanted)

    def _all(self, spread: Spread) -> Iterator[Frame]:
        whole = self._wholes[spread]
        if spread is Spread.MANIFEST:
            yield poll_frame(self._poll_of(Asked.NOTHING))
        for number in range(frames_in(len(whole))):
            yield part_frame(spread, whole, number)

    def _want(self, spread: Spread, numbers: Iterable[int]) -> None:
        if self._polled_s is None:
            return  # nobody was asked
        if spread is Spread.NACK_BLOCKS:
            blocks = [number for number in numbers if number < len(self._blocks.block_hashes)]
            for block in blocks:
                self._wanted[Spread.IMAGE].update(frames_of(self._blocks, block))
            return
        about = Spread.MANIFEST if spread is Spread.NACK_MANIFEST else Spread.IMAGE
        frames = frames_in(len(self._wholes[about]))
        self._wanted[about].update(number for number in numbers if number < frames)
