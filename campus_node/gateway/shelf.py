"""What a gateway keeps of what its node said, and of what it has to tell it: roll, hotlists, alarms (A10).

Small and rarely written: SQLite, an fsync a change. Keys of terminals lie here as the node sealed them.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from campus_node.gateway.spool_file import connect
from campus_node.pki import files
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from federation.errors import StoreDown

ALARMS_MAX: Final = 1_000  # then the oldest give way
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS kept (kind TEXT, name BLOB, content BLOB NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS alarms (number INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL);
"""

T = TypeVar("T")


class Shelf:
    """The file. One thread at a time.

    Args:
        path: of it; made if it is not there.

    Raises:
        StoreDown: it cannot be opened or written to, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files.make_private_directory(path.parent)
        self._db = self._doing(lambda: connect(path))
        self._doing(lambda: self._db.execute("PRAGMA journal_mode = WAL"))
        self._doing(lambda: self._db.executescript(_TABLES))

    def close(self) -> None:
        """Let the file go. May be called twice."""
        with suppress(sqlite3.Error):
            self._db.close()

    def keep(self, kind: str, contents: Mapping[bytes, bytes]) -> None:
        """Keep exactly these contents of a kind, by name."""

        def replace() -> None:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM kept WHERE kind = ?", (kind,))
            rows = [(kind, name, content) for name, content in contents.items()]
            self._db.executemany("INSERT INTO kept VALUES (?, ?, ?)", rows)
            self._db.execute("COMMIT")

        self._doing(replace)

    def kept(self, kind: str) -> dict[bytes, bytes]:
        """Return all contents of a kind, by name."""
        asked = "SELECT name, content FROM kept WHERE kind = ?"
        return dict(self._doing(lambda: self._db.execute(asked, (kind,)).fetchall()))

    def add_alarm(
        self, name: str, severity: str, subject: str, evidence: Mapping[str, object], at_unix_ms: int
    ) -> None:
        """Keep an alarm until the node has it."""
        alarm = pb.GatewayAlarm(
            name=name,
            severity=severity,
            subject=subject,
            evidence=json.dumps(evidence, ensure_ascii=False, default=str),
            at_unix_ms=at_unix_ms,
        )
        content = alarm.SerializeToString()

        def add() -> None:
            self._db.execute("INSERT INTO alarms (content) VALUES (?)", (content,))
            self._db.execute(
                "DELETE FROM alarms WHERE number <= (SELECT max(number) FROM alarms) - ?", (ALARMS_MAX,)
            )

        self._doing(add)

    def alarms(self, after: int, most: int) -> list[pb.GatewayAlarm]:
        """Return alarms above a number, in order, at most so many."""
        asked = "SELECT number, content FROM alarms WHERE number > ? ORDER BY number LIMIT ?"
        found = self._doing(lambda: self._db.execute(asked, (after, most)).fetchall())
        alarms = []
        for number, content in found:
            alarm = pb.GatewayAlarm.FromString(content)
            alarm.number = number
            alarms.append(alarm)
        return alarms

    def alarms_taken(self, through: int) -> None:
        """Forget alarms that the node has, and number all others above."""

        def forget() -> None:
            self._db.execute("BEGIN IMMEDIATE")
            highest = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'alarms'").fetchone()
            if highest is not None and highest[0] >= through:
                self._db.execute("DELETE FROM alarms WHERE number <= ?", (through,))
            else:  # this file is newer than what the node has: nothing here is with it
                self._db.execute("UPDATE alarms SET number = number + ?", (-through,))
                self._db.execute("UPDATE alarms SET number = number + ?", (2 * through,))
                self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'alarms'")
                last = (highest[0] if highest else 0) + through
                self._db.execute("INSERT INTO sqlite_sequence VALUES ('alarms', ?)", (last,))
            self._db.execute("COMMIT")

        self._doing(forget)

    def _doing(self, what: Callable[[], T]) -> T:
        try:
            return what()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error, AttributeError):
                self._db.execute("ROLLBACK")
            raise StoreDown(
                Sentence("the shelf {path} cannot be used: {cause}", path=self._path, cause=error)
            ) from error
