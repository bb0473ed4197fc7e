"""Numbers that are never given out twice, whatever is killed when: for sessions, hellos and notices.

A block of numbers is made durable before the first of them is used; after a restart what was reserved and
not used is left out.
"""

import hashlib
import struct
from pathlib import Path
from typing import Final

from campus_node.terminal.storage import FileStorage, Storage, create_file
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Tampered, Unavailable

NUMBER_MAX: Final = 0xFFFF_FFFF
BLOCK: Final = 64  # numbers made durable at a time: an fsync each
MAGIC: Final = b"CAMPUSN1"
PAGE_BYTES: Final = 512
PAGES: Final = 2
_PAGE = struct.Struct(">8sQI16s")


class NumbersSpent(Misconfigured):
    """The last number was given out: begin a new file, and for a terminal a new key version."""


class ReservationLost(Unavailable):
    """The file cannot be read or written; no number was given out."""


class ReservationDamaged(Tampered):
    """Neither half of the file is whole: nobody knows which numbers were used."""


class FileReservation:
    """A `Reservation` in a file of two pages, one of which is whole whatever write was torn. One thread.

    Args:
        storage: holds what `create` wrote.

    Raises:
        ReservationDamaged: it holds nothing of the kind.
        ReservationLost: it cannot be read.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._generation, self._through = self._newest()
        self._next = self._through + 1

    @classmethod
    def open(cls, path: Path) -> "FileReservation":
        """Open the file at path, or make one that begins at 1.

        Raises:
            Misconfigured: it is open in another process.
            ReservationDamaged, ReservationLost: see the class; also if the file cannot be made.
        """
        try:
            if not path.exists():
                create_file(path, [_page(1, 0), _page(0, 0)])
            storage = FileStorage(path)
        except OSError as error:
            raise ReservationLost(Sentence("{path}: {cause}", path=path, cause=error)) from error
        try:
            return cls(storage)
        except BaseException:
            storage.close()
            raise

    def take(self) -> int:
        if self._next > self._through:
            self._reserve()
        number = self._next
        self._next += 1
        return number

    def close(self) -> None:
        """Let the file go. May be called twice."""
        self._storage.close()

    def _reserve(self) -> None:
        through = min(self._through + BLOCK, NUMBER_MAX)
        if through == self._through:
            raise NumbersSpent(Sentence("no number is left: begin a new file and a new key version"))
        generation = self._generation + 1
        try:
            self._storage.write((generation + 1) % PAGES * PAGE_BYTES, _page(generation, through))
            self._storage.sync()
        except OSError as error:
            raise ReservationLost(Sentence("numbers cannot be reserved: {cause}", cause=error)) from error
        self._generation, self._through = generation, through

    def _newest(self) -> tuple[int, int]:
        try:
            self._storage.sync()  # a killed process's write may not be on the disk yet
            pages = [self._storage.read(page * PAGE_BYTES, _PAGE.size) for page in range(PAGES)]
        except OSError as error:
            raise ReservationLost(Sentence("numbers cannot be reserved: {cause}", cause=error)) from error
        whole = [found for page in pages if (found := _parsed(page)) is not None]
        if not whole:
            raise ReservationDamaged(Sentence("the file of reserved numbers is damaged"))
        generation, through = max(whole)
        if (
            len(whole) < PAGES
        ):  # the damaged page may have been the newer one: leave out what it may have reserved
            through = min(through + BLOCK, NUMBER_MAX)
        return generation, through


def _page(generation: int, through: int) -> bytes:
    head = _PAGE.pack(MAGIC, generation, through, b"")[:-16]
    return (head + hashlib.sha256(head).digest()[:16]).ljust(PAGE_BYTES, b"\0")


def _parsed(page: bytes) -> tuple[int, int] | None:
    """Return generation and the last reserved number of a page, None if it is not whole."""
    if len(page) != _PAGE.size:
        return None
    magic, generation, through, _ = _PAGE.unpack(page)
    return (
        (generation, through) if magic == MAGIC and page == _page(generation, through)[: _PAGE.size] else None
    )
