"""Something that is replaced as a whole, in two slots of one file of which one is always whole (A15).

New content goes into the slot that is not in force and is made durable, and only then the slot's head says
so: a power cut at any byte of any write leaves the old content or the new one. docs/hotlist.md has the table.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from campus_node.terminal.storage import FileStorage, Storage, create_file
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Refused, Unavailable

MAGIC: Final = b"CAMPUSK1"
PAGE_BYTES: Final = 4096  # each head has a page of its own: one torn write cannot hit both
SLOTS: Final = 2
SLOT_BYTES_MIN: Final = 256
CHECKSUM_BYTES: Final = 16

_HEAD: Final = Struct(">8sQII32s")  # magic, generation, bytes of a slot, bytes in this slot, their SHA-256


class SlotsUnwritable(Unavailable):
    """The storage failed: what is in force in memory stays in force, and is written again later."""


class SlotTooSmall(Refused):
    """The content has no room in its slot: the file must be made anew with larger ones."""


@dataclass(frozen=True, slots=True)
class _Head:
    generation: int
    slot_bytes: int
    length: int
    digest: bytes


class TwoSlots:
    """One writer, one file. Not for several threads.

    Args:
        storage: holds two slots; see `open` and `new_content`.
        readable: tells content that this release can read; what another one wrote is passed over.

    Attributes:
        kept: the newest content that is whole and readable; None = there is none. Where that decayed it is
            the one before.

    Raises:
        SlotsUnwritable: it cannot be read.
        Misconfigured: it holds something else.
    """

    def __init__(self, storage: Storage, readable: Callable[[bytes], bool]) -> None:
        self._storage = storage
        try:
            storage.sync()  # what a killed process wrote may not be on the disk yet; decide on nothing less
            heads = [_decode_head(storage.read(at * PAGE_BYTES, PAGE_BYTES)) for at in range(SLOTS)]
            whole = [head for head in heads if head is not None]
            if not whole:
                raise Misconfigured(Sentence("this file has no slots, or both their heads are damaged"))
            self._heads = heads
            self._slot_bytes = whole[0].slot_bytes
            self._generation = max(head.generation for head in whole)
            self.kept = self._newest(readable)
        except OSError as error:
            raise _unreadable(error) from error

    @classmethod
    def open(cls, path: Path, slot_bytes: int, readable: Callable[[bytes], bool]) -> "TwoSlots":
        """Open the file at path, or make an empty one there.

        Args:
            slot_bytes: of a new file: how long content may get, SLOT_BYTES_MIN or more. The file has two of
                them and stays sparse until they are needed.

        Raises:
            SlotsUnwritable: the file cannot be made or read.
            Misconfigured: another process has it open, or it is something else.
        """
        try:
            if not path.exists():
                create_file(path, [new_content(slot_bytes)])
            storage = FileStorage(path)
        except OSError as error:
            raise _unreadable(error) from error
        try:
            return cls(storage, readable)
        except BaseException:
            storage.close()
            raise

    def keep(self, content: bytes) -> None:
        """Keep content in place of what was there; it is durable on return.

        Raises:
            SlotTooSmall: it does not fit; nothing was written.
            SlotsUnwritable: the storage failed; the old content or the new one is there.
        """
        if not 1 <= len(content) <= self._slot_bytes:
            raise SlotTooSmall(
                Sentence(
                    "{given} bytes have no room in a slot of {most}",
                    given=len(content),
                    most=self._slot_bytes,
                )
            )
        generations = [-1 if head is None else head.generation for head in self._heads]
        slot = generations.index(min(generations))
        digest = hashlib.sha256(content).digest()
        head = _Head(self._generation + 1, self._slot_bytes, len(content), digest)
        self._heads[slot] = None  # nobody knows what is in it until the end
        try:
            self._storage.write(self._offset(slot), content)
            self._storage.sync()
            self._storage.write(slot * PAGE_BYTES, _encode_head(head))
            self._storage.sync()
        except OSError as error:
            raise SlotsUnwritable(Sentence("the file cannot be written: {cause}", cause=error)) from error
        self._heads[slot] = head
        self._generation = head.generation
        self.kept = content

    def close(self) -> None:
        """Let the file go. May be called twice."""
        self._storage.close()

    def _newest(self, readable: Callable[[bytes], bool]) -> bytes | None:
        """Return the newest content that is good; a slot with another is written next."""
        order = sorted(range(SLOTS), key=lambda slot: head.generation if (head := self._heads[slot]) else -1)
        for slot in reversed(order):
            head = self._heads[slot]
            if head is None or not head.length:
                continue
            content = self._storage.read(self._offset(slot), head.length)
            if hashlib.sha256(content).digest() == head.digest and readable(content):
                return content
            self._heads[slot] = None
        return None

    def _offset(self, slot: int) -> int:
        return SLOTS * PAGE_BYTES + slot * self._slot_bytes


def new_content(slot_bytes: int) -> bytes:
    """Return what a new file with two empty slots begins with. Raise ValueError if they are too small."""
    if not SLOT_BYTES_MIN <= slot_bytes < 1 << 32:
        raise ValueError(f"a slot of {slot_bytes} bytes is too small")
    return b"".join(_encode_head(_Head(slot, slot_bytes, 0, bytes(32))) for slot in range(SLOTS))


def _encode_head(head: _Head) -> bytes:
    content = _HEAD.pack(MAGIC, head.generation, head.slot_bytes, head.length, head.digest)
    return (content + hashlib.sha256(content).digest()[:CHECKSUM_BYTES]).ljust(PAGE_BYTES, b"\0")


def _decode_head(page: bytes) -> _Head | None:
    """Return what a head says; None if it is not whole."""
    content, checksum = page[: _HEAD.size], page[_HEAD.size : _HEAD.size + CHECKSUM_BYTES]
    if hashlib.sha256(content).digest()[:CHECKSUM_BYTES] != checksum or not content.startswith(MAGIC):
        return None
    _, generation, slot_bytes, length, digest = _HEAD.unpack(content)
    return _Head(generation, slot_bytes, length, digest) if length <= slot_bytes else None


def _unreadable(error: OSError) -> SlotsUnwritable:
    return SlotsUnwritable(Sentence("the file cannot be read: {cause}", cause=error))
