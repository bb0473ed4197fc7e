"""The ledger in SQLite: the embedded default. WAL, synchronous=FULL: a commit is on the disk when it returns.

The right to write is a lock on a file beside the database, which the operating system frees when the process
dies, and an epoch in the database that every batch checks.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final

from campus_node.ledger.books import Balance, Key, TransferState, begun, new_balance, states_of
from campus_node.ledger.rows import COLUMNS, GENESIS_HASH, Row
from campus_node.ledger.store import (
    NO_BALANCE_ROW,
    NO_WRITER_ROW,
    AccountOpening,
    Batch,
    DuplicateKey,
    Lease,
    Snapshot,
)
from federation.errors import JournalBroken, LeaseLost, Misconfigured, OutcomeUnknown, StoreDown

Connect = Callable[..., sqlite3.Connection]

_BUSY_MS: Final = 5_000
_CHECKPOINT_PAGES: Final = 32_000  # the same pages change in batch after batch: copy them back seldom
_IDS_PER_QUERY: Final = 1_000
_ROW: Final = ", ".join(COLUMNS)
_BALANCE: Final = "account, posted_fen, reserved_fen, floor_fen, overdrawn_fen"
_INSERT_ROWS: Final = f"INSERT INTO transfers ({_ROW}, debit_prev, credit_prev) VALUES {{}}"
_ROW_VALUES: Final = len(COLUMNS) + 2
_FENCE: Final = (
    "UPDATE writer SET seq = ?, chain_hash = ?, recorded_at_unix_ms = ?"
    " WHERE shard = 0 AND epoch = ? AND seq = ?"
)
_INSERT_BATCH: Final = (
    "INSERT INTO batches"
    " (last_seq, first_seq, epoch, incarnation, business_date, recorded_at_unix_ms, chain_hash)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_CHANGE_BALANCES: Final = (  # column1 … column5: so SQLite names what VALUES brings
    "UPDATE balances SET posted_fen = posted_fen + column2, reserved_fen = reserved_fen + column3,"
    " overdrawn_fen = column4, last_seq = column5 FROM (VALUES {}) WHERE account = column1"
)
_CHANGE_VALUES: Final = 5
# The driver gives the interpreter back for the time of a statement, not of a row: with few long statements
# another batch can be decided beside them. Parts by powers of two, so that all texts stay prepared.
_PART_ROWS: Final = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_INSERT_OUTBOX: Final = (
    "INSERT INTO outbox (message, topic, body, created_at_unix_ms, attempts, next_attempt_at_unix_ms)"
    " VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING"
)
_OPEN_RESERVATIONS: Final = (
    f"SELECT {_ROW} FROM transfers r WHERE r.expires_at_unix_ms > ? AND NOT EXISTS (SELECT 1 FROM transfers c"
    " WHERE c.target_originator = r.originator AND c.target_id = r.transfer_id AND c.refusal = 0)"
)


class SqliteStore:
    """A ledger in one SQLite file.

    Args:
        path: the file; it must exist with the present schema: an absent ledger is restored, never made anew.
        connect: opens a connection; tests pass one that breaks at a chosen statement.
    """

    def __init__(self, path: Path, *, connect: Connect = sqlite3.connect) -> None:
        self._path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._lock_fd: int | None = None
        self._last_seqs: dict[int, int] = {}  # of each account: where its next row links back to

    def take_over(self, holder: str, *, now_unix_ms: int, force: bool = False) -> Lease:
        """Become the writer: lock the file beside the database, raise the epoch."""
        self._lock(force=force)
        with self._transaction() as db:
            row = db.execute("SELECT epoch, holder FROM writer WHERE shard = 0").fetchone()
            if row is None:
                if db.execute("SELECT 1 FROM batches LIMIT 1").fetchone() is not None:
                    raise JournalBroken(NO_WRITER_ROW)
                db.execute(
                    "INSERT INTO writer (shard, epoch, incarnation, seq, chain_hash, recorded_at_unix_ms,"
                    " holder, taken_at_unix_ms) VALUES (0, 1, 1, 0, ?, 0, ?, ?)",
                    (GENESIS_HASH, holder, now_unix_ms),
                )
            else:
                db.execute(
                    "UPDATE writer SET epoch = epoch + 1, holder = ?, taken_at_unix_ms = ? WHERE shard = 0",
                    (holder, now_unix_ms),
                )
            return _lease(db)

    def load(self) -> Snapshot:
        """Read the books in one consistent view."""
        with self._transaction("BEGIN") as db:
            lease = _lease(db)
            balances: dict[int, Balance] = {}
            self._last_seqs = {}
            for account, *balance, last_seq in db.execute(f"SELECT {_BALANCE}, last_seq FROM balances"):
                balances[account] = Balance._make(balance)
                if last_seq is not None:
                    self._last_seqs[account] = last_seq
            reserved_rows = map(_row, db.execute(_OPEN_RESERVATIONS, (lease.recorded_at_unix_ms,)))
            return Snapshot(lease, balances, {(r.originator, r.transfer_id): begun(r) for r in reserved_rows})

    def stage(self, batch: Batch) -> None:
        """Nothing can be done ahead: SQLite lets one transaction write at a time."""

    def unstage(self, batch: Batch) -> None:
        """Nothing was done ahead."""

    def append(self, batch: Batch) -> None:
        """Write a batch in one durable commit."""
        before, after = batch.before, batch.after
        first, last = batch.rows[0], batch.rows[-1]
        values, last_seqs = self._link(batch.rows)
        try:
            with self._transaction() as db:
                fence = (after.seq, after.chain_hash, after.recorded_at_unix_ms, before.epoch, before.seq)
                if db.execute(_FENCE, fence).rowcount != 1:
                    raise LeaseLost(self._winner(db))
                _execute_values(db, _INSERT_ROWS, values, _ROW_VALUES)
                db.execute(
                    _INSERT_BATCH,
                    (
                        last.seq,
                        first.seq,
                        before.epoch,
                        before.incarnation,
                        last.business_date,
                        last.recorded_at_unix_ms,
                        after.chain_hash,
                    ),
                )
                accounts = batch.changes.accounts
                changes = zip(*batch.changes, map(last_seqs.__getitem__, accounts), strict=True)
                flat = list(chain.from_iterable(sorted(changes)))  # by account: neighbours share pages
                if _execute_values(db, _CHANGE_BALANCES, flat, _CHANGE_VALUES) != len(accounts):
                    raise JournalBroken(NO_BALANCE_ROW)
                if batch.outbox:
                    now = last.recorded_at_unix_ms
                    db.executemany(_INSERT_OUTBOX, [(*item, now, now) for item in batch.outbox])
        except sqlite3.IntegrityError as error:
            if "transfers.originator" in str(error):
                raise DuplicateKey from error
            raise
        self._last_seqs.update(last_seqs)

    def _link(self, rows: Sequence[Row]) -> tuple[list[object], dict[int, int]]:
        """Return the values of all rows with their links back, and the last seq of every account touched."""
        before, last_seqs = self._last_seqs, dict[int, int]()
        values: list[object] = []
        for row in rows:
            debit_prev = credit_prev = None
            if row.posted_fen or row.reserved_fen:
                debit = row.debit
                debit_prev = last_seqs.get(debit) or before.get(debit)
                last_seqs[debit] = row.seq
            if row.posted_fen:
                credit = row.credit
                credit_prev = last_seqs.get(credit) or before.get(credit)
                last_seqs[credit] = row.seq
            values += row
            values += debit_prev, credit_prev
        return values, last_seqs

    def holds_lease(self, epoch: int) -> bool:
        """Tell whether the writer row still has this epoch."""
        with self._transaction("BEGIN") as db:
            return _lease(db).epoch == epoch

    def prove_writable(self, epoch: int) -> None:
        """Commit the writer row as it is."""
        with self._transaction() as db:
            same = "UPDATE writer SET epoch = epoch WHERE shard = 0 AND epoch = ?"
            if db.execute(same, (epoch,)).rowcount != 1:
                raise LeaseLost(self._winner(db))

    def find(self, keys: Collection[Key]) -> dict[Key, Row]:
        """Return the rows that have these ids."""
        with self._transaction("BEGIN") as db:
            rows = _select(db, "originator = ? AND transfer_id IN", keys)
            return {(row.originator, row.transfer_id): row for row in rows}

    def find_states(self, keys: Collection[Key]) -> dict[Key, TransferState]:
        """Return what became of these transfers."""
        with self._transaction("BEGIN") as db:
            rows = [
                *_select(db, "originator = ? AND transfer_id IN", keys),
                *_select(db, "target_originator = ? AND target_id IN", keys),
            ]
        return states_of(keys, sorted(set(rows)))

    def open_accounts(
        self, lease: Lease, openings: Sequence[AccountOpening], *, now_unix_ms: int
    ) -> list[bool]:
        """Open accounts, each once."""
        with self._transaction() as db:
            self._check_fence(db, lease)
            opened = []
            for account, holder, floor_fen in openings:
                known = db.execute(
                    "SELECT a.holder, b.floor_fen FROM accounts a JOIN balances b USING (account)"
                    " WHERE account = ?",
                    (account,),
                ).fetchone()
                if known is None:
                    db.execute(
                        "INSERT INTO accounts (account, holder, opened_at_unix_ms) VALUES (?, ?, ?)",
                        (account, holder, now_unix_ms),
                    )
                    opening = (account, *new_balance(floor_fen))
                    db.execute(f"INSERT INTO balances ({_BALANCE}) VALUES (?, ?, ?, ?, ?)", opening)
                opened.append(known is None or known == (holder, floor_fen))
            return opened

    def originator_numbers(self, lease: Lease, names: Collection[str]) -> dict[str, int]:
        """Return a number for each name; numbers begin at 1, 0 is the ledger itself."""
        numbers: dict[str, int] = {}
        with self._transaction() as db:
            self._check_fence(db, lease)
            for name in names:
                db.execute(
                    "INSERT INTO originators (originator, name)"
                    " SELECT coalesce(max(originator), 0) + 1, ? FROM originators WHERE true"
                    " ON CONFLICT (name) DO NOTHING",
                    (name,),
                )
                found = db.execute("SELECT originator FROM originators WHERE name = ?", (name,))
                numbers[name] = found.fetchone()[0]
        return numbers

    def reopen(self) -> None:
        """Connect anew."""
        self._disconnect()
        self._db()

    def close(self) -> None:
        """Close the connection and let go of the lock."""
        self._disconnect()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _lock(self, *, force: bool) -> None:
        if self._lock_fd is None:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._lock_fd = os.open(self._path.with_name(self._path.name + ".lock"), flags, 0o600)
            except OSError as error:
                raise StoreDown(f"cannot lock {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not force:
                raise Misconfigured(
                    f"another process writes the ledger {self._path}: stop it first, or take over on purpose"
                ) from error

    def _check_fence(self, db: sqlite3.Connection, lease: Lease) -> None:
        if _lease(db).epoch != lease.epoch:
            raise LeaseLost(self._winner(db))

    def _winner(self, db: sqlite3.Connection) -> str:
        epoch, holder = db.execute("SELECT epoch, holder FROM writer WHERE shard = 0").fetchone()
        return f"{holder} took over this ledger as epoch {epoch}"

    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self._path.exists():
                raise Misconfigured(
                    f"the ledger {self._path} is not there: restore it from the backup; it is never made anew"
                )
            try:
                db = self._connect(
                    self._path, isolation_level=None, check_same_thread=False, cached_statements=64
                )
                for pragma in (
                    f"busy_timeout = {_BUSY_MS}",
                    "journal_mode = WAL",
                    "synchronous = FULL",
                    "cache_size = -65536",
                    f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
                ):
                    db.execute(f"PRAGMA {pragma}")
            except sqlite3.Error as error:
                raise StoreDown(f"cannot open {self._path}: {error}") from error
            self._connection = db
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):  # it was broken before; what it had not committed is gone
                self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it; turn SQLite's failures into ours."""
        db = self._db()
        try:
            db.execute(begin)
            yield db
        except sqlite3.IntegrityError:
            self._roll_back(db)
            raise
        except sqlite3.Error as error:
            self._roll_back(db)
            if "no such table" in str(error):
                raise Misconfigured(f"{self._path} holds no ledger: restore it from the backup") from error
            raise StoreDown(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back(db)
            raise
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back(db)
            raise OutcomeUnknown(f"{self._path}: commit: {error}") from error

    def _roll_back(self, db: sqlite3.Connection) -> None:
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()  # closing rolls back


def _execute_values(db: sqlite3.Connection, statement: str, values: Sequence[object], width: int) -> int:
    """Execute a statement over rows of so many values each, part by part; return the rows it touched."""
    touched = start = 0
    for rows in _PART_ROWS:
        part = rows * width
        text = statement.format(", ".join([f"({', '.join('?' * width)})"] * rows))
        while start + part <= len(values):
            touched += db.execute(text, values[start : start + part]).rowcount
            start += part
    return touched


def _lease(db: sqlite3.Connection) -> Lease:
    row = db.execute(
        "SELECT epoch, incarnation, seq, chain_hash, recorded_at_unix_ms,"
        " (SELECT coalesce(max(business_date), 0) FROM batches WHERE last_seq = writer.seq)"
        " FROM writer WHERE shard = 0"
    ).fetchone()
    if row is None:
        raise LeaseLost("nobody has ever been the writer of this ledger")
    return Lease(*row)


def _row(values: Sequence[Any]) -> Row:
    row = Row(*values)
    return row._replace(fact=bool(row.fact))


def _select(db: sqlite3.Connection, condition: str, keys: Iterable[Key]) -> list[Row]:
    """Return rows whose (originator, id), or target, is among the keys."""
    ids: dict[int, list[bytes]] = {}
    for originator, transfer_id in keys:
        ids.setdefault(originator, []).append(transfer_id)
    rows: list[Row] = []
    for originator, wanted in ids.items():
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            some = wanted[start : start + _IDS_PER_QUERY]
            marks = ", ".join("?" * len(some))
            query = f"SELECT {_ROW} FROM transfers WHERE {condition} ({marks})"
            rows.extend(map(_row, db.execute(query, (originator, *some))))
    return rows
