"""The durable spool of a gateway: what terminals brought, until the node has it (B3, A15).

One thread writes (`take`, `safe_through`, `taken`); any thread reads. Everything that several terminals
brought is one transaction and one fsync; what `take` returns may be acknowledged, nothing else. Positions
have no gaps. It is bounded: only what the node's backup covers is overwritten, oldest first, and only when
there is no room.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from campus_node.gateway import spool_file
from campus_node.gateway.spool_journals import Journal, Marks
from campus_node.gateway.spool_turn import Brought, Settled, SpooledRow, SpoolState, Turn
from campuscard.v1 import terminal_pb2 as wire

HASH_BYTES: Final = 16
SPOOL_ID_BYTES: Final = 16
_CONFLICT: Final = int(wire.RECORD_OUTCOME_CONFLICT)
_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FIRST_UNCOVERED: Final = (
    "SELECT seq FROM records WHERE journal_id = ? AND seq > ? AND position > ? ORDER BY seq LIMIT 1"
)


class Spool:
    """The spool in one file.

    Args:
        path: of the file; it is made if it is not there.
        records_max: how many records fit.
        random_bytes: names a new spool.

    Raises:
        SpoolDamaged: the file is not whole.
        Misconfigured: another process has it, or it is of another version.
        StoreDown: it cannot be opened.
    """

    def __init__(self, path: Path, records_max: int, random_bytes: Callable[[int], bytes]) -> None:
        self._path = path
        self._records_max = records_max
        self._random = random_bytes
        self._state = SpoolState(b"", 0, 0, 0, 0, records_max)
        self._held = spool_file.lock(path)
        try:
            self._db = spool_file.open_file(path, random_bytes(SPOOL_ID_BYTES))
            try:
                self._load()
                self._reader = spool_file.connect(path)
            except sqlite3.Error as error:
                self._db.close()
                raise spool_file.cannot_be_used(path, error) from error
        except BaseException:
            self._held.close()
            raise
        self._reading = threading.Lock()

    def close(self) -> None:
        """Write down what is known and let the file go. May be called twice."""
        with suppress(sqlite3.Error):  # marks may be lost: the node tells them again
            self._db.execute("BEGIN IMMEDIATE")
            self._write_state(self._turn(0))
            self._db.execute("COMMIT")
        self._db.close()
        with self._reading:
            self._reader.close()
        self._held.close()

    @property
    def state(self) -> SpoolState:
        """How far it is; safe from any thread."""
        return self._state

    def marks_of(self, journal_id: bytes) -> Marks | None:
        """Return what may be acknowledged of a journal; None = nothing. Safe from any thread."""
        journal = self._journals.get(journal_id)
        return None if journal is None else journal.marks(journal_id)

    def take(self, batch: Sequence[Brought], now_unix_ms: int) -> list[Settled]:
        """Keep what was brought, in this order, with one fsync; return what became of each message.

        Args:
            batch: of any terminals.
            now_unix_ms: the gateway's clock.

        Raises:
            StoreDown: the disk is full, read-only or broken. Nothing was kept, nothing may be acknowledged.
        """
        turn = self._turn(now_unix_ms)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            settled = [self._take_one(turn, brought) for brought in batch]
            self._write_rows(turn)
            self._write_state(turn)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise spool_file.cannot_be_used(self._path, error) from error
        self._adopt(turn)
        done = {brought.journal_id: self.marks_of(brought.journal_id) for brought in batch}
        return [
            Settled(done[brought.journal_id], each.verdicts, each.conflicts, each.full)
            for brought, each in zip(batch, settled, strict=True)
        ]

    def safe_through(self, terminal_id: bytes, journal_id: bytes, backed_up_through: int) -> Marks:
        """Take a terminal's word for what is backed up of its journal, and return what may be acknowledged.

        A spool that has not seen the journal begins behind that: the terminal still has everything above.
        It is written down with the next `take`; a restart before that asks again.

        Raises:
            StoreDown: the file cannot be read.
        """
        journal = self._journals.get(journal_id, Journal(terminal_id)).copy()
        journal.safe_through(backed_up_through)
        self._journals[journal_id] = journal
        self._unwritten.add(journal_id)
        try:
            journal.covered_before(self._first_uncovered(journal_id, self._state.covered_through, False))
        except sqlite3.Error as error:
            raise spool_file.cannot_be_used(self._path, error) from error
        marks = journal.marks(journal_id)
        assert marks is not None, "it has a beginning now"
        return marks

    def read(self, after_position: int, most: int) -> list[SpooledRow]:
        """Return committed records behind a position, in order, at most so many; for any thread.

        Raises:
            StoreDown: the file cannot be read.
        """
        asked = (
            "SELECT position, terminal_id, journal_id, seq, body, taken_at_unix_ms, again <> 0 FROM records"
            " WHERE position > ? ORDER BY position LIMIT ?"
        )
        with self._reading:
            try:
                found = self._reader.execute(asked, (after_position, most)).fetchall()
            except sqlite3.Error as error:
                raise spool_file.cannot_be_used(self._path, error) from error
        return [SpooledRow(*row) for row in found]

    def taken(
        self, committed_through: int, covered_through: int, verdicts: Iterable[tuple[int, int]] = ()
    ) -> list[Marks]:
        """Take the node's marks, which may go back, and verdicts; return the journals whose marks changed.

        Args:
            committed_through, covered_through: positions; at most the last one that was given out.
            verdicts: (position, outcome) of records that are not simply accepted; the first one stays.

        Raises:
            StoreDown: the file cannot be used; nothing changed.
        """
        committed = min(committed_through, self._state.last_position)
        covered = min(covered_through, committed)
        before = self._state.covered_through
        try:
            self._write_verdicts(verdicts)
            journals = self._journals_between(min(before, covered), max(before, covered))
            firsts = {each: self._first_uncovered(each, covered, covered < before) for each in journals}
        except sqlite3.Error as error:
            raise spool_file.cannot_be_used(self._path, error) from error
        self._state = self._state._replace(committed_through=committed, covered_through=covered)
        changed = []
        for journal_id, first in firsts.items():
            journal = self._journals[journal_id].copy()
            old = journal.marks(journal_id)
            journal.covered_before(first)
            self._journals[journal_id] = journal
            self._unwritten.add(journal_id)
            marks = journal.marks(journal_id)
            if marks is not None and marks != old:
                changed.append(marks)
        return changed

    def verdicts_at(self, positions: Iterable[int]) -> dict[int, tuple[bytes, bytes, int]]:
        """Return (terminal, journal, seq) of positions that are here; for the thread that writes.

        Raises:
            StoreDown: the file cannot be read.
        """
        asked = "SELECT terminal_id, journal_id, seq FROM records WHERE position = ?"
        try:
            found = {each: self._db.execute(asked, (each,)).fetchone() for each in positions}
        except sqlite3.Error as error:
            raise spool_file.cannot_be_used(self._path, error) from error
        return {position: row for position, row in found.items() if row is not None}

    def renumber(self) -> None:
        """Become a new spool with the same records, from position 1, none of them with the node.

        For a file that was put back from a copy: the node has positions that this one has not given out yet,
        and would take what comes under them for what it has.

        Raises:
            StoreDown: the file cannot be used; nothing changed.
        """
        shift = self._state.oldest_position - 1 if self._state.oldest_position else self._state.last_position
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("UPDATE records SET position = position - ?", (shift,))
            self._db.execute(
                "UPDATE state SET spool_id = ?, oldest_position = 1, last_position = last_position - ?,"
                " committed_through = 0, covered_through = 0",
                (self._random(SPOOL_ID_BYTES), shift),
            )
            self._db.execute("COMMIT")
            self._load()
            for journal_id, journal in self._journals.items():
                journal.covered_before(self._first_uncovered(journal_id, 0, True))
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise spool_file.cannot_be_used(self._path, error) from error

    def _load(self) -> None:
        self._journals = spool_file.read_journals(self._db)
        self._unwritten: set[bytes] = set()
        row = self._db.execute(
            "SELECT spool_id, oldest_position, last_position, committed_through, covered_through FROM state"
        ).fetchone()
        self._oldest = int(row[1])
        self._state = SpoolState(row[0], 0, row[2], row[3], row[4], self._records_max)
        self._show(self._oldest, self._state.last_position)

    def _turn(self, now_unix_ms: int) -> Turn:
        state = self._state
        return Turn(self._oldest, state.last_position, state.covered_through, state.size, now_unix_ms)

    def _adopt(self, turn: Turn) -> None:
        self._journals.update(turn.journals)
        self._unwritten.clear()
        self._oldest = turn.oldest
        self._show(turn.oldest, turn.last)

    def _show(self, oldest: int, last: int) -> None:
        self._state = self._state._replace(
            oldest_position=oldest if oldest <= last else 0, last_position=last
        )

    def _take_one(self, turn: Turn, brought: Brought) -> Settled:
        journal = turn.journals.get(brought.journal_id)
        if journal is None:
            known = self._journals.get(brought.journal_id)
            journal = Journal(brought.terminal_id) if known is None else known.copy()
        found: dict[int, list[tuple[int, bytes, int | None]]] = {}
        if brought.first_seq <= journal.highest:
            found = self._here(turn, brought)
        verdicts: list[tuple[int, int]] = []
        conflicts: list[int] = []
        fresh: list[tuple[int, bytes, bytes, bool, int | None]] = []
        for seq, body in enumerate(brought.bodies, brought.first_seq):
            digest = hashlib.sha256(body).digest()[:HASH_BYTES]
            others = found.get(seq, ())
            same = [each for each in others if each[1] == digest]
            again = bool(same) and brought.recollected and same[-1][0] <= self._state.committed_through
            if same and not again:
                verdicts += [(seq, outcome) for _, _, outcome in same[:1] if outcome is not None]
                continue
            clashes = bool(others) and not same
            if clashes:
                conflicts.append(seq)
                verdicts.append((seq, _CONFLICT))
            fresh.append((seq, digest, body, again, _CONFLICT if clashes else None))
        if not turn.room_for(len(fresh)):
            return Settled(None, full=True)
        journal.terminal_id = brought.terminal_id
        turn.journals[brought.journal_id] = journal
        for seq, digest, body, again, outcome in fresh:
            turn.last += 1
            mark = turn.last if again or brought.recollected else 0
            turn.rows.append(
                (turn.last, brought.journal_id, seq, digest, mark, brought.terminal_id, body,
                 turn.now_unix_ms, outcome)
            )  # fmt: skip
            journal.came(seq)
        return Settled(None, tuple(verdicts), tuple(conflicts))

    def _here(self, turn: Turn, brought: Brought) -> dict[int, list[tuple[int, bytes, int | None]]]:
        """Return (position, hash, outcome) of what is here under the numbers of a message, by number."""
        self._write_rows(turn)
        last = brought.first_seq + len(brought.bodies) - 1
        found: dict[int, list[tuple[int, bytes, int | None]]] = {}
        asked = (
            "SELECT seq, position, hash, outcome FROM records"
            " WHERE journal_id = ? AND seq BETWEEN ? AND ? ORDER BY position"
        )
        for seq, *rest in self._db.execute(asked, (brought.journal_id, brought.first_seq, last)):
            found.setdefault(seq, []).append((rest[0], rest[1], rest[2]))
        return found

    def _write_rows(self, turn: Turn) -> None:
        self._db.executemany(_INSERT, turn.rows)
        turn.rows.clear()

    def _write_state(self, turn: Turn) -> None:
        if turn.oldest > self._oldest:
            self._db.execute("DELETE FROM records WHERE position < ?", (turn.oldest,))
        changed = {each: self._journals[each] for each in self._unwritten} | turn.journals
        self._db.executemany(
            "INSERT OR REPLACE INTO journals VALUES (?, ?, ?, ?, ?)",
            [
                (journal_id, each.terminal_id, each.durable_through, each.backed_up_through, each.highest)
                for journal_id, each in changed.items()
            ],
        )
        self._db.execute(
            "UPDATE state SET oldest_position = ?, last_position = ?, committed_through = ?,"
            " covered_through = ?",
            (turn.oldest, turn.last, self._state.committed_through, self._state.covered_through),
        )

    def _write_verdicts(self, verdicts: Iterable[tuple[int, int]]) -> None:
        rows = [(outcome, position) for position, outcome in verdicts]
        if rows:
            self._db.executemany(
                "UPDATE records SET outcome = ? WHERE position = ? AND outcome IS NULL", rows
            )

    def _journals_between(self, after: int, through: int) -> list[bytes]:
        asked = "SELECT DISTINCT journal_id FROM records WHERE position > ? AND position <= ?"
        return [journal_id for (journal_id,) in self._db.execute(asked, (after, through))]

    def _first_uncovered(self, journal_id: bytes, covered: int, went_back: bool) -> int | None:
        """Return the lowest number of a journal that is here and above the covered position."""
        above = 0 if went_back else self._journals[journal_id].backed_up_through
        found = self._db.execute(_FIRST_UNCOVERED, (journal_id, above, covered)).fetchone()
        return None if found is None else int(found[0])
