"""Where a terminal keeps one issuer's hotlist: two slots in one file, one of them whole (A15).

A list is written into the slot that is not in force, made durable, and only then the slot's head says so: a
power cut at any byte of any write leaves the old list or the new one. docs/hotlist.md has the table.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from campus_node.terminal.storage import FileStorage, Storage, create_file
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Refused, Unavailable, Unreadable
from federation.hotlist_delta import SIGNATURE_BYTES, SignedHotlist
from federation.hotlist_form import decode, encode

MAGIC: Final = b"CAMPUSK1"
PAGE_BYTES: Final = 4096  # each head has a page of its own: one torn write cannot hit both
SLOTS: Final = 2
SLOT_BYTES_MIN: Final = 256
SLOT_BYTES: Final = 2 * 1024 * 1024  # the file has two of them and stays sparse until they are needed
CHECKSUM_BYTES: Final = 16

_HEAD: Final = Struct(">8sQII32s")  # magic, generation, bytes of a slot, bytes in this slot, their SHA-256


class HotlistUnwritable(Unavailable):
    """The storage failed: what is in force in memory stays in force, and is written again later."""


class HotlistTooLarge(Refused):
    """The list has no room in its slot: the file must be made anew with larger ones."""


@dataclass(frozen=True, slots=True)
class _Head:
    generation: int
    slot_bytes: int
    length: int
    digest: bytes


class HotlistStore:
    """One writer, one issuer, one file.

    Args:
        storage: holds a store; see `open` and `new_content`.

    Attributes:
        kept: the list that was kept last, its signature not looked at; None = there is none. One that decayed
            is passed over for the older one: whoever takes it asks for what is missing.

    Raises:
        HotlistUnwritable: it cannot be read.
        Misconfigured: it holds something else.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        try:
            storage.sync()  # what a killed process wrote may not be on the disk yet; decide on nothing less
            heads = [_decode_head(storage.read(at * PAGE_BYTES, PAGE_BYTES)) for at in range(SLOTS)]
            whole = [head for head in heads if head is not None]
            if not whole:
                raise Misconfigured(Sentence("this is no store of a hotlist, or both its heads are damaged"))
            self._heads = heads
            self._slot_bytes = whole[0].slot_bytes
            self._generation = max(head.generation for head in whole)
            self.kept = self._newest_whole()
        except OSError as error:
            raise _unreadable(error) from error

    @classmethod
    def open(cls, path: Path, slot_bytes: int = SLOT_BYTES) -> "HotlistStore":
        """Open the store at path, or make an empty one there.

        Args:
            slot_bytes: of a new store: how long a list with its signature may get, SLOT_BYTES_MIN or more.

        Raises:
            HotlistUnwritable: the file cannot be made or read.
            Misconfigured: another process has it open, or it is something else.
        """
        try:
            if not path.exists():
                create_file(path, [new_content(slot_bytes)])
            storage = FileStorage(path)
        except OSError as error:
            raise _unreadable(error) from error
        try:
            return cls(storage)
        except BaseException:
            storage.close()
            raise

    def save(self, signed: SignedHotlist) -> None:
        """Keep a list in place of the one before; it is durable on return.

        Raises:
            HotlistTooLarge: it does not fit; nothing was written.
            HotlistUnwritable: the storage failed; the old list or the new one is there.
        """
        content = signed.signature + encode(signed.hotlist)
        if len(signed.signature) != SIGNATURE_BYTES or len(content) > self._slot_bytes:
            raise HotlistTooLarge(
                Sentence(
                    "a hotlist of {given} bytes has no room in {most}",
                    given=len(content),
                    most=self._slot_bytes,
                )
            )
        slot = self._other()
        head = _Head(self._generation + 1, self._slot_bytes, len(content), hashlib.sha256(content).digest())
        self._heads[slot] = None  # nobody knows what is in it until the end
        try:
            self._storage.write(self._offset(slot), content)
            self._storage.sync()
            self._storage.write(slot * PAGE_BYTES, _encode_head(head))
            self._storage.sync()
        except OSError as error:
            raise HotlistUnwritable(
                Sentence("the hotlist cannot be written: {cause}", cause=error)
            ) from error
        self._heads[slot] = head
        self._generation = head.generation
        self.kept = signed

    def close(self) -> None:
        """Let the file go. May be called twice."""
        self._storage.close()

    def _newest_whole(self) -> SignedHotlist | None:
        """Return the newest list that is whole; a slot that decayed is written next."""
        order = sorted(range(SLOTS), key=lambda slot: head.generation if (head := self._heads[slot]) else -1)
        for slot in reversed(order):
            head = self._heads[slot]
            if head is None or not head.length:
                continue
            content = self._storage.read(self._offset(slot), head.length)
            if hashlib.sha256(content).digest() == head.digest:
                try:
                    return SignedHotlist(decode(content[SIGNATURE_BYTES:]), content[:SIGNATURE_BYTES])
                except Unreadable:
                    pass  # written by another release
            self._heads[slot] = None
        return None

    def _other(self) -> int:
        """Return the slot that does not hold the newest list."""
        generations = [-1 if head is None else head.generation for head in self._heads]
        return generations.index(min(generations))

    def _offset(self, slot: int) -> int:
        return SLOTS * PAGE_BYTES + slot * self._slot_bytes


def new_content(slot_bytes: int) -> bytes:
    """Return what a new, empty store begins with. Raise ValueError for slots that are too small."""
    if not SLOT_BYTES_MIN <= slot_bytes < 1 << 32:
        raise ValueError(f"a slot of {slot_bytes} bytes holds no hotlist")
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


def _unreadable(error: OSError) -> HotlistUnwritable:
    return HotlistUnwritable(Sentence("the hotlist cannot be read: {cause}", cause=error))
