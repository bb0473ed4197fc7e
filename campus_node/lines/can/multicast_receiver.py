"""A terminal's side of a multicast: verified blocks go to the store, and survive a power cut (B4.4, A15)."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from campus_node.lines.can.ids import Frame, Multicast, Spread, meaning
from campus_node.lines.can.line import Post
from campus_node.lines.can.multicast import (
    FRAME_BYTES,
    Asked,
    Done,
    Manifest,
    Poll,
    Result,
    block_hash,
    done_frame,
    heard,
    mark_of,
    missing_frames,
)
from federation.errors import Refused, Tampered, Unavailable

NACKS_A_POLL_MAX: Final = 24
ANSWER_EVERY_S: Final = 0.02  # not oftener: somebody else's POLLs may not fill the bus
NEVER_S: Final = float("inf")


class BlockStore(Protocol):
    """Where a receiver keeps the blocks of one image."""

    def begin(self, manifest: Manifest) -> set[int]:
        """Make room for this image and return the blocks of it that are already stored and verified."""

    def write(self, manifest: Manifest, block: int, content: bytes) -> None:
        """Store a verified block durably. Raise Unavailable if the storage does not take it."""

    def complete(self, manifest: Manifest) -> bool:
        """Return whether the whole image is stored and has the manifest's SHA-256."""


class MulticastReceiver:
    """One terminal's receiver: a service of its line.

    Args:
        address: its own.
        open_manifest: verifies a signed manifest and returns what it says; raises Tampered or Refused.
        store: keeps the blocks.
    """

    def __init__(self, address: int, open_manifest: Callable[[bytes], Manifest], store: BlockStore) -> None:
        self.bad_block_count = 0
        self.bad_manifest_count = 0
        self.store_failure_count = 0
        self.result: Result | None = None
        self._address = address
        self._open_manifest = open_manifest
        self._store = store
        self._poll: Poll | None = None
        self._signed: dict[int, bytes] = {}
        self._manifest: Manifest | None = None
        self._whole_blocks: set[int] = set()
        self._parts: dict[int, dict[int, bytes]] = {}
        self._answer: Poll | None = None
        self._answer_s = 0.0

    @property
    def progress(self) -> tuple[int, int]:
        """Blocks stored and blocks in all; 0 of 0 before there is a manifest."""
        return len(self._whole_blocks), len(self._manifest.block_hashes) if self._manifest else 0

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
        self._signed, self._manifest, self._parts, self._whole_blocks = {}, None, {}, set()
        self.result = None

    def _take_manifest(self, number: int, part: bytes) -> None:
        if self._poll is None or self._manifest is not None or number >= self._manifest_frames():
            return
        self._signed[number] = part
        self._try_manifest()

    def _manifest_frames(self) -> int:
        return -(-self._poll.manifest_bytes // FRAME_BYTES) if self._poll else 0

    def _try_manifest(self) -> None:
        """Open the manifest when it is whole."""
        if self._poll is None or self._manifest or self.result or len(self._signed) < self._manifest_frames():
            return
        signed = b"".join(self._signed[number] for number in sorted(self._signed))
        if len(signed) != self._poll.manifest_bytes or mark_of(signed) != self._poll.manifest_mark:
            self.bad_manifest_count += 1
            self._signed = {}
            return
        try:
            self._manifest = self._open_manifest(signed)
            self._whole_blocks = self._store.begin(self._manifest)
        except (Tampered, Refused, ValueError):
            self.bad_manifest_count += 1
            self._manifest, self.result = None, Result.REFUSED
        except Unavailable:
            self.store_failure_count += 1
            self._manifest = None
        else:
            self._finish()

    def _take_part(self, number: int, part: bytes) -> None:
        manifest = self._manifest
        if manifest is None or self.result or number >= manifest.frames:
            return
        block = number // manifest.frames_a_block
        if block in self._whole_blocks:
            return
        parts = self._parts.setdefault(block, {})
        parts[number] = part
        if len(parts) == len(manifest.frames_of(block)):
            self._end_block(manifest, block)

    def _end_block(self, manifest: Manifest, block: int) -> None:
        parts = self._parts.pop(block)
        content = b"".join(parts[number] for number in manifest.frames_of(block))
        if len(content) != manifest.size_of(block) or block_hash(content) != manifest.block_hashes[block]:
            self.bad_block_count += 1  # somebody else's frame among ours: all of it again
            return
        try:
            self._store.write(manifest, block, content)
        except Unavailable:
            self.store_failure_count += 1
            return
        self._whole_blocks.add(block)
        self._finish()

    def _finish(self) -> None:
        manifest = self._manifest
        if manifest is None or len(self._whole_blocks) < len(manifest.block_hashes):
            return
        if self._store.complete(manifest):
            self.result = Result.STORED
        else:
            self.store_failure_count += 1
            self._whole_blocks = set()

    def _answers(self, poll: Poll) -> list[Frame]:
        if self.result is not None:
            return [done_frame(Done(self._address, poll.transfer, self.result, poll.manifest_mark))]
        if self._manifest is None:
            lacking = [number for number in range(self._manifest_frames()) if number not in self._signed]
            return missing_frames(self._address, Spread.NACK_MANIFEST, lacking, NACKS_A_POLL_MAX)
        if poll.asked is not Asked.IMAGE:
            return []
        blocks = [
            block
            for block in range(len(self._manifest.block_hashes))
            if block not in self._whole_blocks and block not in self._parts
        ]
        frames = missing_frames(self._address, Spread.NACK_BLOCKS, blocks, NACKS_A_POLL_MAX)
        lacking = list(self._lacking_parts(self._manifest))
        return (frames + missing_frames(self._address, Spread.NACK_WINDOW, lacking, NACKS_A_POLL_MAX))[
            :NACKS_A_POLL_MAX
        ]

    def _lacking_parts(self, manifest: Manifest) -> Iterator[int]:
        for block in sorted(self._parts):
            have = self._parts[block]
            yield from (number for number in manifest.frames_of(block) if number not in have)
