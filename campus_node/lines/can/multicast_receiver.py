"""A terminal's side of a multicast on CAN: frames become blocks, and what is missing is named (B4.4, A15)."""

from collections.abc import Iterator
from typing import Final

from campus_node.lines.can.ids import Frame, Multicast, Spread, meaning
from campus_node.lines.can.line import Post
from campus_node.lines.can.multicast import (
    Asked,
    Done,
    Poll,
    done_frame,
    frames_in,
    frames_of,
    heard,
    missing_frames,
)
from campus_node.lines.distribution import BlockReceiver, Manifest, mark_of

NACKS_A_POLL_MAX: Final = 24
ANSWER_EVERY_S: Final = 0.02  # not oftener: somebody else's POLLs may not fill the bus
NEVER_S: Final = float("inf")


class MulticastReceiver:
    """One terminal's receiver: a service of its line.

    Args:
        address: its own.
        blocks: what verifies and keeps them.
    """

    def __init__(self, address: int, blocks: BlockReceiver) -> None:
        self.blocks = blocks
        self._address = address
        self._poll: Poll | None = None
        self._signed: dict[int, bytes] = {}
        self._parts: dict[int, dict[int, bytes]] = {}
        self._answer: Poll | None = None
        self._answer_s = 0.0

    def take(self, frame: Frame, _now_s: float) -> None:
        """Take a P7 frame."""
        about = meaning(frame.can_id)
        if not isinstance(about, Multicast):
            return
        if about.spread is Spread.IMAGE:
            self._take_part(about.number, frame.payload)
        elif about.spread is Spread.MANIFEST:
            self._take_manifest(about.number, frame.payload)
        elif isinstance(poll := heard(frame), Poll):
            self._take_poll(poll)

    def sent(self, _frame: Frame, _now_s: float) -> None:
        """Nothing to note."""

    def step(self, now_s: float, post: Post) -> float:
        """Answer a POLL."""
        if self._answer is None:
            return NEVER_S
        if now_s < self._answer_s:
            return self._answer_s
        poll, self._answer = self._answer, None
        self._answer_s = now_s + ANSWER_EVERY_S
        for frame in self._answers(poll):
            post(frame)
        return NEVER_S

    def _take_poll(self, poll: Poll) -> None:
        if (
            self._poll is None
            or poll[1::2] != self._poll[1::2]
            or poll.manifest_mark != self._poll.manifest_mark
        ):
            self._forget()
        self._poll = poll
        if poll.asked is not Asked.NOTHING:
            self._answer = poll
        self._try_manifest()

    def _forget(self) -> None:
        self._signed, self._parts = {}, {}
        self.blocks.forget()

    def _take_manifest(self, number: int, part: bytes) -> None:
        if self._poll is None or self._settled() or number >= self._manifest_frames():
            return
        self._signed[number] = part
        self._try_manifest()

    def _settled(self) -> bool:
        """Whether the manifest needs no more frames: it was opened, refused, or is for others."""
        return self.blocks.manifest is not None or self.blocks.result is not None or self.blocks.ignored

    def _manifest_frames(self) -> int:
        return frames_in(self._poll.manifest_bytes) if self._poll else 0

    def _try_manifest(self) -> None:
        """Open the manifest when it is whole."""
        if self._poll is None or self._settled() or len(self._signed) < self._manifest_frames():
            return
        signed = b"".join(self._signed[number] for number in sorted(self._signed))
        if len(signed) != self._poll.manifest_bytes or mark_of(signed) != self._poll.manifest_mark:
            self.blocks.bad_manifest_count += 1
            self._signed = {}
            return
        self.blocks.open(signed)

    def _take_part(self, number: int, part: bytes) -> None:
        manifest = self.blocks.manifest
        if manifest is None or self.blocks.result or number >= frames_in(manifest.image_bytes):
            return
        block = number // frames_in(manifest.block_bytes)
        if self.blocks.has(block):
            return
        parts = self._parts.setdefault(block, {})
        parts[number] = part
        numbers = frames_of(manifest, block)
        if len(parts) == len(numbers):
            del self._parts[block]  # if a stranger's frame was among them: all of it again
            self.blocks.take(block, b"".join(parts[each] for each in numbers))

    def _answers(self, poll: Poll) -> list[Frame]:
        blocks = self.blocks
        if blocks.ignored:
            return []
        if blocks.result is not None:
            return [done_frame(Done(self._address, poll.transfer, blocks.result, poll.manifest_mark))]
        if blocks.manifest is None:
            lacking = [number for number in range(self._manifest_frames()) if number not in self._signed]
            return missing_frames(self._address, Spread.NACK_MANIFEST, lacking, NACKS_A_POLL_MAX)
        if poll.asked is not Asked.IMAGE:
            return []
        whole_ones = [block for block in blocks.missing if block not in self._parts]
        frames = missing_frames(self._address, Spread.NACK_BLOCKS, whole_ones, NACKS_A_POLL_MAX)
        lacking = list(self._lacking_parts(blocks.manifest))
        frames += missing_frames(self._address, Spread.NACK_WINDOW, lacking, NACKS_A_POLL_MAX)
        return frames[:NACKS_A_POLL_MAX]

    def _lacking_parts(self, manifest: Manifest) -> Iterator[int]:
        for block in sorted(self._parts):
            have = self._parts[block]
            yield from (number for number in frames_of(manifest, block) if number not in have)
