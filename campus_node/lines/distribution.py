"""One image to many terminals, whatever the wire: the manifest, the blocks, who has them (B4.4, A15).

A signed notice announces what comes: its size, its hash and a hash of each block. Blocks may come from
anybody and in any order, on CAN and RS-485 to all at once, elsewhere one by one: only what has the announced
hash is stored. What a wire says of "stored" is a hint; a terminal's sealed DistributionReport is what counts.
"""

import hashlib
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol, runtime_checkable

from campus_node.lines.errors import FrameBroken
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Refused, Tampered, Unavailable

IMAGE_BYTES_MAX: Final = 2 * 1024 * 1024  # as many frames as CAN can number
MANIFEST_BYTES_MAX: Final = 0xFFFF
BLOCK_HASH_BYTES: Final = 16
BLOCK_MULTIPLE: Final = 8
BLOCK_BYTES_MAX: Final = 3_900  # of a message with one block, where a line has no multicast
BLOCK_BYTES: Final = 3_896  # as the node cuts: the notice of the largest firmware still fits into one message
LOAD: Final = 0.6  # of a bus, if nobody says otherwise


class NotAddressed(Refused):
    """What is announced is for other terminals."""


class Result(IntEnum):
    """What a receiver made of a transfer."""

    STORED = 1
    REFUSED = 2  # the manifest's or the image's signature, version or target is not for it


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image is made of. Comes out of a signed notice.

    Args:
        image_bytes: 1 to IMAGE_BYTES_MAX.
        block_bytes: a multiple of 8; the last block may be shorter.
        block_hashes: the first 16 bytes of SHA-256 of each block.
        image_sha256: of all.
    """

    image_bytes: int
    block_bytes: int
    block_hashes: tuple[bytes, ...]
    image_sha256: bytes

    def __post_init__(self) -> None:
        """Raise ValueError where the fields contradict each other."""
        if not 1 <= self.image_bytes <= IMAGE_BYTES_MAX:
            raise ValueError(f"an image of {self.image_bytes} bytes, must be 1 to {IMAGE_BYTES_MAX}")
        if self.block_bytes < BLOCK_MULTIPLE or self.block_bytes % BLOCK_MULTIPLE:
            raise ValueError(f"blocks of {self.block_bytes} bytes, must be a multiple of {BLOCK_MULTIPLE}")
        if len(self.block_hashes) != -(-self.image_bytes // self.block_bytes):
            raise ValueError(f"{len(self.block_hashes)} block hashes do not fit {self.image_bytes} bytes")

    @classmethod
    def of(cls, image: bytes, block_bytes: int) -> "Manifest":
        """Return the manifest of an image."""
        blocks = (image[at : at + block_bytes] for at in range(0, len(image), block_bytes))
        hashes = tuple(block_hash(block) for block in blocks)
        return cls(len(image), block_bytes, hashes, hashlib.sha256(image).digest())

    @property
    def blocks(self) -> int:
        return len(self.block_hashes)

    def size_of(self, block: int) -> int:
        """Return how many bytes a block has."""
        return min(self.block_bytes, self.image_bytes - block * self.block_bytes)


def manifest_of(announced: wire.Manifest) -> Manifest:
    """Return what a notice announced. Raise FrameBroken if it contradicts itself."""
    try:
        return Manifest(
            announced.size, announced.block_size, tuple(announced.block_hashes), bytes(announced.hash)
        )
    except ValueError as error:
        raise FrameBroken(Sentence("a manifest that contradicts itself")) from error


def block_hash(block: bytes) -> bytes:
    """Return the first 16 bytes of SHA-256."""
    return hashlib.sha256(block).digest()[:BLOCK_HASH_BYTES]


def mark_of(manifest: bytes) -> bytes:
    """Return what tells one signed manifest from another on a wire: the first 4 bytes of its SHA-256."""
    return hashlib.sha256(manifest).digest()[:4]


class Distribution(Protocol):
    """One image to some terminals of one line, under way. Addresses are the wire's hints."""

    @property
    def stored(self) -> Set[int]: ...

    @property
    def refused(self) -> Set[int]: ...

    @property
    def waiting_for(self) -> frozenset[int]:
        """Those that do not have it yet."""

    @property
    def silent(self) -> Set[int]:
        """Those of whom nothing more is expected, once it is over."""

    @property
    def over(self) -> bool:
        """Whether everybody has it, refused it or is silent."""


@runtime_checkable
class Distributing(Protocol):
    """A head's line that reaches many terminals at once: CAN, RS-485."""

    def distribute(
        self,
        transfer: int,
        notice: bytes,
        image: bytes,
        addresses: Iterable[int],
        *,
        block_bytes: int,
        load: float,
    ) -> Distribution:
        """Begin; a distribution that is under way on this line ends.

        Args:
            transfer: tells this one from the last ones on the line, 1 to 255, as in the notice.
            notice: the signed notice with the manifest, up to MANIFEST_BYTES_MAX bytes.
            image: what it announces, up to IMAGE_BYTES_MAX bytes.
            addresses: who should have it in the end, 1 to 254 each.
            block_bytes: as in the manifest.
            load: how much of the line it may take, 0 to 1, of what records leave.
        """

    def stop_distribution(self) -> None:
        """Send no more of it; nothing happens if there is none."""


class BlockStore(Protocol):
    """Where a receiver keeps the blocks of one image."""

    def begin(self, manifest: Manifest) -> set[int]:
        """Make room for this image and return the blocks of it that are already stored and verified.

        Raises:
            Unavailable: the storage does not take it, for example because it is full; it is tried again.
            Refused, Tampered: this image is not wanted.
        """

    def write(self, manifest: Manifest, block: int, content: bytes) -> None:
        """Store a verified block durably. Raise Unavailable if the storage does not take it."""

    def complete(self, manifest: Manifest) -> bool:
        """Return whether the whole image is stored and has the manifest's SHA-256.

        Raises:
            Refused, Tampered: it has, and it is not good for this terminal all the same.
            Unavailable: the storage failed.
        """


class BlockReceiver:
    """A terminal's side of any distribution: verified blocks go to the store, and survive a power cut.

    Args:
        open_manifest: verifies a signed notice and returns what it announces; raises Tampered or Refused, and
            NotAddressed where others are meant.
        store: keeps the blocks.
    """

    def __init__(self, open_manifest: Callable[[bytes], Manifest], store: BlockStore) -> None:
        self.bad_block_count = 0
        self.bad_manifest_count = 0
        self.store_failure_count = 0
        self.result: Result | None = None
        self.failing = False  # the storage did not take what came last
        self.ignored = False  # what is announced is for others: nothing is stored, nothing answered
        self.manifest: Manifest | None = None
        self._open_manifest = open_manifest
        self._store = store
        self._whole: set[int] = set()

    @property
    def progress(self) -> tuple[int, int]:
        """Blocks stored and blocks in all; 0 of 0 before there is a manifest."""
        return len(self._whole), self.manifest.blocks if self.manifest else 0

    @property
    def missing(self) -> list[int]:
        """The blocks that are missing, ascending; none before there is a manifest."""
        if self.manifest is None:
            return []
        return [block for block in range(self.manifest.blocks) if block not in self._whole]

    def has(self, block: int) -> bool:
        """Tell whether a block is stored."""
        return block in self._whole

    def forget(self) -> None:
        """Another distribution begins."""
        self.result, self.manifest, self.ignored, self.failing = None, None, False, False
        self._whole = set()

    def open(self, signed: bytes) -> None:
        """Take a signed notice; a storage that fails leaves all as it was, to be tried again."""
        manifest = None
        try:
            manifest = self._open_manifest(signed)
            whole = self._store.begin(manifest)
        except NotAddressed:
            self.ignored = True
        except (Tampered, Refused, ValueError):
            self.bad_manifest_count += 1
            self.manifest, self.result = manifest, Result.REFUSED
        except Unavailable:
            self._failed()
        else:
            self.manifest, self._whole, self.failing = manifest, whole, False
            self._finish()

    def take(self, block: int, content: bytes) -> bool:
        """Take a block and return whether it is stored now; one that is not ours counts and is not kept."""
        manifest = self.manifest
        if manifest is None or self.result or not 0 <= block < manifest.blocks:
            return False
        if block in self._whole:
            return True
        if len(content) != manifest.size_of(block) or block_hash(content) != manifest.block_hashes[block]:
            self.bad_block_count += 1
            return False
        try:
            self._store.write(manifest, block, content)
        except Unavailable:
            self._failed()
            return False
        self.failing = False
        self._whole.add(block)
        self._finish()
        return True

    def _finish(self) -> None:
        manifest = self.manifest
        if manifest is None or len(self._whole) < manifest.blocks:
            return
        try:
            if self._store.complete(manifest):
                self.result = Result.STORED
                return
        except (Refused, Tampered):
            self.result = Result.REFUSED
            return
        except Unavailable:
            pass
        self._failed()
        self._whole = set()

    def _failed(self) -> None:
        self.store_failure_count += 1
        self.failing = True
