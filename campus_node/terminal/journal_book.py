"""What stands in a terminal's journal, for people and for the terminal itself when it starts.

A journal can be looked at while the terminal runs: looking takes no lock and writes nothing.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campus_node.purse import journal_entries
from campus_node.purse.journal_entries import Movement
from campus_node.terminal.journal import Journal, JournalUnwritable
from campus_node.terminal.pos import journal_records
from campus_node.terminal.pos.journal_records import Record
from campus_node.wording import Sentence
from federation.errors import Unreadable

LOOKED_BACK: Final = 256  # the newest entries, of which some have what is looked for


class LookedAt:
    """A journal's file, read only. It implements `Storage`; whoever writes goes on."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._open = True

    def size(self) -> int:
        return os.fstat(self._file).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)

    def write(self, offset: int, content: bytes) -> None:
        raise PermissionError(f"{len(content)} bytes at {offset}: this journal is only looked at")

    def sync(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._file)


@dataclass(frozen=True, slots=True)
class Written:
    """One number of the journal, understood.

    Args:
        content: a movement, a record of another kind; None where nothing whole stands, or nobody knows what.
        uploaded: the campus has committed it.
        newest: of a movement: no later entry speaks of it.
    """

    seq: int
    content: Movement | Record | None
    uploaded: bool
    newest: bool = True


def look_at(path: Path) -> Journal:
    """Return a journal to be read, of a terminal that runs or not.

    Raises:
        JournalDamaged: it is none.
        JournalUnwritable: it cannot be read.
    """
    try:
        storage = LookedAt(path)
    except OSError as error:
        raise JournalUnwritable(Sentence("the journal cannot be opened: {cause}", cause=error)) from error
    try:
        return Journal(storage)
    except BaseException:
        storage.close()
        raise


def written_in(journal: Journal, first: int = 1) -> list[Written]:
    """Return what stands in a journal from a number on, oldest first."""
    newest: dict[int, int] = {}
    found = []
    for entry in journal.entries(first):
        content = _understood(entry.body)
        if isinstance(content, Movement):
            newest[content.opened_seq or entry.seq] = entry.seq
        found.append((entry.seq, content))
    return [
        Written(
            seq,
            content,
            seq <= journal.durable_through,
            not isinstance(content, Movement) or newest[content.opened_seq or seq] == seq,
        )
        for seq, content in found
    ]


def is_grey(written: Written) -> bool:
    """Tell whether nobody at this terminal knows what became of it."""
    content = written.content
    return isinstance(content, Movement) and written.newest and not content.settled


def newest_unix_ms(journal: Journal) -> int:
    """Return when the newest record was written, in ms since 1970; 0 = there is none."""
    newest = max((each.recorded_at_unix_ms for each in _newest(journal)), default=0)
    if newest or journal.last_seq <= LOOKED_BACK:
        return newest
    known = (_understood(entry.body) for entry in journal.entries())
    return max((each.recorded_at_unix_ms for each in known if each is not None), default=0)


def newest_terminal_seq(journal: Journal, terminal_id: bytes) -> int:
    """Return the highest number of this PSAM in the newest movements; 0 = none of them is of it."""
    return max(
        (
            each.terminal_seq
            for each in _newest(journal)
            if isinstance(each, Movement) and each.terminal_id == terminal_id
        ),
        default=0,
    )


def masked(asn: bytes) -> str:
    """Return a card number of which only the ends are shown."""
    digits = asn.hex()
    return f"{digits[:4]}…{digits[-4:]}"


def _newest(journal: Journal) -> Iterator[Movement | Record]:
    for entry in journal.entries(journal.last_seq - LOOKED_BACK + 1):
        content = _understood(entry.body)
        if content is not None:
            yield content


def _understood(body: bytes | None) -> Movement | Record | None:
    if body is None:
        return None
    try:
        return journal_entries.decode(body) or journal_records.decode(body)
    except Unreadable:
        return None
