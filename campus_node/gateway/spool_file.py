"""The file of a spool: its tables, and how it is opened. SQLite, write-ahead log, an fsync a commit.

    records   one row a record, by position; unique (journal_id, seq, hash, again)
    journals  how far each journal is here; see `spool_journals.Journal`
    state     one row: who this spool is, what it gave out, what the node has

`again` is 0, or the record's own position if the node asked for it once more.
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO, Final

from campus_node.gateway.spool_journals import Journal
from campus_node.pki import files
from campus_node.wording import Sentence
from federation.errors import Misconfigured, StoreDown, Tampered

VERSION: Final = 1
BUSY_S: Final = 5.0
_TABLES: Final = (
    """CREATE TABLE records (
        position INTEGER PRIMARY KEY,
        journal_id BLOB NOT NULL,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        again INTEGER NOT NULL,
        terminal_id BLOB NOT NULL,
        body BLOB NOT NULL,
        taken_at_unix_ms INTEGER NOT NULL,
        outcome INTEGER)""",
    "CREATE UNIQUE INDEX one_content ON records (journal_id, seq, hash, again)",
    """CREATE TABLE journals (
        journal_id BLOB PRIMARY KEY,
        terminal_id BLOB NOT NULL,
        durable_through INTEGER,
        backed_up_through INTEGER NOT NULL,
        highest INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE state (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        spool_id BLOB NOT NULL,
        oldest_position INTEGER NOT NULL,
        last_position INTEGER NOT NULL,
        committed_through INTEGER NOT NULL,
        covered_through INTEGER NOT NULL)""",
)


class SpoolDamaged(Tampered):
    """The file of the spool is not whole. Nothing was changed in it; it is evidence."""


def lock(path: Path) -> IO[bytes]:
    """Keep other processes away from a spool while the returned file is open.

    Raises:
        Misconfigured: another process has it.
        StoreDown: the place cannot be written to.
    """
    files.make_private_directory(path.parent)
    try:
        held = path.with_name(f"{path.name}.lock").open("wb")
    except OSError as error:
        raise cannot_be_used(path, error) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise Misconfigured(
            Sentence("{path} is in use: another gateway runs on this directory; stop it first", path=path)
        ) from error
    return held


def open_file(path: Path, spool_id: bytes) -> sqlite3.Connection:
    """Open a spool, or make a new one.

    Args:
        path: of the file.
        spool_id: 16 bytes, for a new one.

    Raises:
        SpoolDamaged: it is not whole, or is none of ours.
        StoreDown: it cannot be opened or written to.
    """
    try:
        connection = connect(path)
        try:
            _prepare(connection, path, spool_id)
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        raise cannot_be_used(path, error) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path) from error
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that any one thread at a time may use. Raise sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def read_journals(connection: sqlite3.Connection) -> dict[bytes, Journal]:
    """Return what stands in the file of each journal."""
    asked = "SELECT journal_id, terminal_id, durable_through, backed_up_through, highest FROM journals"
    journals = {row[0]: Journal(*row[1:]) for row in connection.execute(asked)}
    for journal_id, journal in journals.items():
        above = journal.durable_through or 0
        found = connection.execute(
            "SELECT DISTINCT seq FROM records WHERE journal_id = ? AND seq > ?", (journal_id, above)
        )
        journal.restore(seq for (seq,) in found)
    return journals


def cannot_be_used(path: Path, cause: Exception) -> StoreDown:
    """Return the error of a spool that cannot be read or written now."""
    return StoreDown(Sentence("the spool {path} cannot be used: {cause}", path=path, cause=cause))


def _prepare(connection: sqlite3.Connection, path: Path, spool_id: bytes) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, VERSION}:
        raise Misconfigured(
            Sentence(
                "{path} was made by another version of this software ({version})", path=path, version=version
            )
        )
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO state VALUES (1, ?, 1, 0, 0, 0)", (spool_id,))
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
        _sync_directory(path.parent)
    if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise _damaged(path)


def _damaged(path: Path) -> SpoolDamaged:
    return SpoolDamaged(
        Sentence(
            "the spool {path} is damaged. Move it away and keep it: with a new one the terminals send again "
            "everything that is not backed up yet",
            path=path,
        )
    )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
