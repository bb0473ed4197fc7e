"""The terminal's journal: what it did, in a ring in one file, durable when `append` returns (A15, B2.1).

A power cut at any byte of any write leaves every record whose `append` had returned, and never half of
another. A record is overwritten only when its campus has it, backed up; when there is no room left the
journal is full, and the terminal stops selling. Sequence numbers never go back and are never given out
twice, whatever was torn.

The format is in docs/purse.md and campus_node/terminal/journal_format.py.
"""

import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from campus_node.terminal import journal_format as form
from campus_node.terminal.storage import FileStorage, Storage, create_file
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Refused, Tampered, Unavailable, Unreadable

CAPACITY_MIN: Final = 8
CAPACITY_MAX: Final = 4_000_000  # 2 GB
_SCAN_SLOTS: Final = 1024  # read at a time when a journal is opened
_EMPTY: Final = 0
_DAMAGED: Final = -1


class JournalFull(Refused):
    """No room: every record that is kept still waits to be backed up. The terminal sells nothing."""


class JournalUnwritable(Unavailable):
    """The storage failed; nobody knows what of the last write is there. Open the journal again."""


class JournalDamaged(Tampered):
    """Neither pointer page is whole, so nobody knows what this file is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of the journal.

    Args:
        seq: from 1, without gaps.
        body: what was appended; None where nothing whole stands: the write was torn before `append`
            returned, or the storage decayed later. The number is not used again.
    """

    seq: int
    body: bytes | None


class Journal:
    """One writer, one file. Not for several threads.

    Args:
        storage: holds a journal; see `open` and `create`.

    Raises:
        JournalDamaged: it holds none.
        JournalUnwritable: it cannot be read.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._broken = False
        self._sent_through = 0
        self._last_seq = 0
        self._seqs: array[int] = array("q")
        try:
            self._restore()
        except OSError as error:
            raise JournalUnwritable(Sentence("the journal cannot be read: {cause}", cause=error)) from error

    @classmethod
    def open(
        cls, path: Path, capacity: int, *, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> "Journal":
        """Open the journal at path, or make one there.

        Args:
            capacity: records that the ring holds; each takes 512 bytes of the file from the start.
            random_bytes: makes the id of a new journal.

        Raises:
            Misconfigured: the journal there has another capacity, or is open in another process.
            JournalDamaged, JournalUnwritable: see the class; also if the file cannot be made.
        """
        _check_capacity(capacity)
        try:
            if not path.exists():
                create_file(path, new_content(capacity, random_bytes(form.ID_BYTES)))
            storage = FileStorage(path)
        except OSError as error:
            raise JournalUnwritable(Sentence("the journal cannot be opened: {cause}", cause=error)) from error
        try:
            journal = cls(storage)
            if journal.capacity != capacity:
                raise Misconfigured(
                    Sentence(
                        "{path} has room for {there} records, not {asked}: its size cannot be changed",
                        path=path,
                        there=journal.capacity,
                        asked=capacity,
                    )
                )
        except BaseException:
            storage.close()
            raise
        return journal

    @property
    def journal_id(self) -> bytes:
        """16 bytes that tell this journal from every other; with seq they name an entry for ever."""
        return self._pointers.journal_id

    @property
    def capacity(self) -> int:
        return self._pointers.capacity

    @property
    def last_seq(self) -> int:
        """The highest number that was ever given out; 0 in a new journal."""
        return self._last_seq

    @property
    def durable_through(self) -> int:
        """The campus has committed everything up to this number."""
        return self._pointers.durable_through

    @property
    def backed_up_through(self) -> int:
        """Up to this number entries may be overwritten, and are, when the ring comes round."""
        return self._pointers.backed_up_through

    @property
    def free(self) -> int:
        """How many entries can be appended before the journal is full."""
        return self.capacity - (self._last_seq - self._pointers.backed_up_through)

    @property
    def full(self) -> bool:
        return self.free <= 0

    @property
    def shortened_bytes(self) -> int:
        """How many bytes were missing at the end of the file when it was opened; more than 0 is an alarm."""
        return self._shortened_bytes

    def append(self, body: bytes) -> int:
        """Keep a record and return its number; it is durable then.

        Args:
            body: 1 to 486 bytes.

        Raises:
            JournalFull: there is no room; nothing was written.
            JournalUnwritable: the storage failed; open the journal again to learn whether the record is
                there.
            ValueError: the body is empty or too long.
        """
        if self.full:
            raise JournalFull(Sentence("the terminal's journal is full: nothing can be sold"))
        seq = self._last_seq + 1
        index = form.index_of(seq, self.capacity)
        slot = form.encode_slot(self.journal_id, seq, body)
        self._write(form.offset_of(index), slot)
        self._seqs[index] = seq
        self._last_seq = seq
        return seq

    def entries(self, first: int = 1) -> Iterator[Entry]:
        """Yield what is in the ring from number first on, oldest first, acknowledged or not.

        Raises:
            JournalUnwritable: the storage failed.
        """
        oldest = max(first, self._last_seq - self.capacity + 1, 1)
        for seq in range(oldest, self._last_seq + 1):
            yield Entry(seq, self._body_of(seq))

    def damaged(self) -> list[int]:
        """Return the numbers not yet acknowledged under which nothing whole stands."""
        return [seq for seq in range(self._first_kept(), self._last_seq + 1) if not self._stands(seq)]

    def to_upload(self, limit: int) -> list[Entry]:
        """Return the next entries that were not sent since the journal was opened, oldest first."""
        first = max(self._sent_through, self.durable_through) + 1
        return self._between(first, self._last_seq, limit)

    def uploaded(self, through: int) -> None:
        """Move the upload pointer: these were sent. It is not durable; after a restart unacknowledged ones
        go again.

        Args:
            through: a number up to `last_seq`; smaller than before to send again what the campus seems to
                lack.
        """
        if not 0 <= through <= self._last_seq:
            raise ValueError(f"{through} was never given out")
        self._sent_through = through

    def recollect(self, first: int, through: int) -> int:
        """Note durably that the campus wants these again, and return how many of them are still in the ring.

        The upload pointer stays where it is. A second request takes the place of the first.

        Raises:
            Unreadable: first > through, or a number below 1.
            JournalUnwritable: the storage failed.
        """
        if not 1 <= first <= through:
            raise Unreadable(
                Sentence("{first} to {through} is no range of records", first=first, through=through)
            )
        first = max(first, self._last_seq - self.capacity + 1)
        through = min(through, self._last_seq)
        self._save(replace(self._pointers, recollect_next=first, recollect_through=through))
        return max(through - first + 1, 0)

    def to_recollect(self, limit: int) -> list[Entry]:
        """Return the next entries that the campus asked for again, oldest first."""
        pointers = self._pointers
        return self._between(pointers.recollect_next, pointers.recollect_through, limit)

    def recollected(self, through: int) -> None:
        """Move the re-collect pointer, durably: these were sent again. It never goes back."""
        if through >= self._pointers.recollect_next:
            self._save(replace(self._pointers, recollect_next=through + 1))

    def acknowledge(self, durable_through: int, backed_up_through: int) -> None:
        """Note durably what the campus has. Only entries up to the second number may be overwritten.

        Numbers that are behind what was noted before change nothing.

        Raises:
            Unreadable: more is acknowledged than was ever appended, or backed up than committed.
            JournalUnwritable: the storage failed.
        """
        if not 0 <= backed_up_through <= durable_through <= self._last_seq:
            raise Unreadable(
                Sentence(
                    "an acknowledgement of {durable}, {backed_up} does not fit a journal that ends at {last}",
                    durable=durable_through,
                    backed_up=backed_up_through,
                    last=self._last_seq,
                )
            )
        moved = replace(
            self._pointers,
            durable_through=max(durable_through, self.durable_through),
            backed_up_through=max(backed_up_through, self.backed_up_through),
        )
        if moved != self._pointers:
            self._save(moved)

    def close(self) -> None:
        """Let the file go. May be called twice."""
        self._broken = True
        self._storage.close()

    def _restore(self) -> None:
        self._storage.sync()  # what a killed process wrote may not be on the disk yet; decide on nothing less
        self._pointers = self._newest_pointers()
        missing = form.file_bytes(self.capacity) - self._storage.size()
        self._shortened_bytes = max(missing, 0)
        self._seqs = array("q", self._scan())
        newest = max(self._seqs)
        self._last_seq = max(self._pointers.floor, newest)
        while self.free > 0 and self._seqs[form.index_of(self._last_seq + 1, self.capacity)] == _DAMAGED:
            self._last_seq += 1  # torn, or decayed after it was given out: either way the number is spent
        self._sent_through = self.durable_through

    def _newest_pointers(self) -> form.Pointers:
        pages = [self._storage.read(page * form.PAGE_BYTES, form.PAGE_BYTES) for page in range(form.PAGES)]
        whole = [pointers for page in pages if (pointers := form.decode_page(page)) is not None]
        if not whole:
            raise JournalDamaged(
                Sentence("the journal's pointer pages are both damaged, or it is no journal")
            )
        return max(whole, key=lambda pointers: pointers.generation)

    def _scan(self) -> Iterator[int]:
        for first in range(0, self.capacity, _SCAN_SLOTS):
            count = min(_SCAN_SLOTS, self.capacity - first)
            block = self._storage.read(form.offset_of(first), count * form.SLOT_BYTES)
            block = block.ljust(count * form.SLOT_BYTES, b"\0")
            for index in range(first, first + count):
                start = (index - first) * form.SLOT_BYTES
                slot = block[start : start + form.SLOT_BYTES]
                state, seq, _ = form.decode_slot(self.journal_id, slot, index, self.capacity)
                yield {form.SlotState.EMPTY: _EMPTY, form.SlotState.DAMAGED: _DAMAGED}.get(state, seq)

    def _first_kept(self) -> int:
        return max(self.backed_up_through + 1, self._last_seq - self.capacity + 1)

    def _stands(self, seq: int) -> bool:
        return self._seqs[form.index_of(seq, self.capacity)] == seq

    def _between(self, first: int, through: int, limit: int) -> list[Entry]:
        first = max(first, self._last_seq - self.capacity + 1)
        last = min(through, first + limit - 1)
        return [Entry(seq, self._body_of(seq)) for seq in range(first, last + 1)]

    def _body_of(self, seq: int) -> bytes | None:
        if not self._stands(seq):
            return None
        index = form.index_of(seq, self.capacity)
        try:
            slot = self._storage.read(form.offset_of(index), form.SLOT_BYTES)
        except OSError as error:
            raise JournalUnwritable(Sentence("the journal cannot be read: {cause}", cause=error)) from error
        state, there, body = form.decode_slot(self.journal_id, slot, index, self.capacity)
        return body if state is form.SlotState.WHOLE and there == seq else None

    def _save(self, pointers: form.Pointers) -> None:
        moved = replace(pointers, generation=pointers.generation + 1, floor=self._last_seq)
        self._write(moved.generation % form.PAGES * form.PAGE_BYTES, form.encode_page(moved))
        self._pointers = moved

    def _write(self, offset: int, content: bytes) -> None:
        if self._broken:
            raise JournalUnwritable(Sentence("the journal failed before, or is closed: open it again"))
        self._broken = True  # until the write is known to be durable: after a failed sync nothing is known
        try:
            self._storage.write(offset, content)
            self._storage.sync()
        except OSError as error:
            raise JournalUnwritable(
                Sentence("the journal cannot be written: {cause}", cause=error)
            ) from error
        self._broken = False


def new_content(capacity: int, journal_id: bytes) -> Iterator[bytes]:
    """Yield the bytes of an empty journal, in parts.

    Raises:
        ValueError: the id is not 16 bytes.
    """
    _check_capacity(capacity)
    if len(journal_id) != form.ID_BYTES:
        raise ValueError(f"the journal's id has {len(journal_id)} bytes, must be {form.ID_BYTES}")
    page = form.encode_page(form.Pointers(capacity, journal_id))
    yield page * form.PAGES
    for first in range(0, capacity, _SCAN_SLOTS):
        yield form.EMPTY_SLOT * min(_SCAN_SLOTS, capacity - first)


def _check_capacity(capacity: int) -> None:
    if not CAPACITY_MIN <= capacity <= CAPACITY_MAX:
        raise Misconfigured(
            Sentence(
                "a journal holds {smallest} to {largest} records, not {asked}",
                smallest=CAPACITY_MIN,
                largest=CAPACITY_MAX,
                asked=capacity,
            )
        )
