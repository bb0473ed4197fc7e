"""Where an issuer writes down every approval before it leaves, and what became of it: one SQLite file.

One row is one counter value of one card: `(asn, deposit or purse, online_seq)`. A load whose approval may
have reached the card is open until it is proved written or proved void; it is never deleted.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from campus_node.purse.commands import TransactionType

if TYPE_CHECKING:
    from campus_node.purse.issuer import LoadRequest

_BUSY_WITHIN_S: Final = 10
_STATE_COLUMN: Final = 11
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS load (
    asn BLOB NOT NULL,
    purse INTEGER NOT NULL,
    online_seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    transaction_type INTEGER NOT NULL,
    amount_fen INTEGER NOT NULL,
    balance_fen INTEGER NOT NULL,
    terminal_id BLOB NOT NULL,
    card_random BLOB NOT NULL,
    made_at BLOB NOT NULL,
    mac2 BLOB NOT NULL,
    state INTEGER NOT NULL,
    nonce BLOB NOT NULL DEFAULT x'',
    proof BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (asn, purse, online_seq, attempt)
) WITHOUT ROWID
"""


class LoadState(IntEnum):
    """What is known of an approved load."""

    OPEN = 0
    WRITTEN = 1
    VOID = 2

    @property
    def word(self) -> str:
        """The state as people read it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One approval. `nonce` is empty until a never-written proof is asked for; `proof` is TAC or MAC3."""

    asn: bytes
    purse: int
    online_seq: int
    attempt: int
    transaction_type: int
    amount_fen: int
    balance_fen: int
    terminal_id: bytes
    card_random: bytes
    made_at: bytes
    mac2: bytes
    state: LoadState
    nonce: bytes
    proof: bytes

    def is_same(self, request: "LoadRequest") -> bool:
        """Tell whether this approval was of that very INIT."""
        return (self.transaction_type, self.amount_fen, self.balance_fen) == (
            request.transaction_type,
            request.amount_fen,
            request.balance_fen,
        ) and (self.terminal_id, self.card_random) == (request.terminal_id, request.card_random)


class LoadBook:
    """The approvals of one issuer.

    Args:
        path: the file; ":memory:" keeps them in this process.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(
            path, timeout=_BUSY_WITHIN_S, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_TABLE)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def find(self, request: "LoadRequest") -> LoadRow | None:
        """Return the approval of this INIT, else the newest of its counter; None if there is none."""
        rows = self._rows("asn = ? AND purse = ? AND online_seq = ? ORDER BY attempt DESC", *_place(request))
        return next((row for row in rows if row.is_same(request)), rows[0] if rows else None)

    def open_of(self, request: "LoadRequest") -> list[LoadRow]:
        """Return what is open of this card's purse."""
        asn, purse, _ = _place(request)
        return self._rows("asn = ? AND purse = ? AND state = ?", asn, purse, LoadState.OPEN)

    def was_written(self, request: "LoadRequest") -> bool:
        """Tell whether a load of this counter, or of a higher one, is known to be written."""
        return bool(
            self._rows(
                "asn = ? AND purse = ? AND online_seq >= ? AND state = ?", *_place(request), LoadState.WRITTEN
            )
        )

    def approve(self, request: "LoadRequest", made_at: bytes, mac2: bytes) -> bool:
        """Write down an approval, durably; only then may it leave. False as `_insert`."""
        return self._insert(request, made_at, mac2, LoadState.OPEN)

    def burn(self, request: "LoadRequest") -> bool:
        """Write down that this INIT is never to be approved. False as `_insert`."""
        return self._insert(request, b"", b"", LoadState.VOID)

    def _insert(self, request: "LoadRequest", made_at: bytes, mac2: bytes, state: LoadState) -> bool:
        """Add a row in one commit.

        False, and nothing done, if one is open or the counter was used: two callers may have looked at once.
        """
        with self._transaction():
            if self.open_of(request) or self.was_written(request):
                return False
            place = _place(request)
            count = len(self._rows("asn = ? AND purse = ? AND online_seq = ?", *place))
            self._db.execute(
                "INSERT INTO load (asn, purse, online_seq, attempt, transaction_type, amount_fen,"
                " balance_fen, terminal_id, card_random, made_at, mac2, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *place,
                    count,
                    request.transaction_type,
                    request.amount_fen,
                    request.balance_fen,
                    request.terminal_id,
                    request.card_random,
                    made_at,
                    mac2,
                    state,
                ),
            )
            return True

    def ask(self, request: "LoadRequest", nonce: bytes) -> None:
        """Write down what a never-written proof must carry; an earlier one is good no more."""
        self._change(request, "nonce = ?", nonce, unless=None)

    def mark_written(self, request: "LoadRequest", proof: bytes) -> bool:
        """Note that the card has it; an earlier proof stays. False if it is void, and stays so."""
        return self._change(
            request,
            "state = ?, proof = CASE proof WHEN x'' THEN ? ELSE proof END",
            LoadState.WRITTEN,
            proof,
            unless=LoadState.VOID,
        )

    def mark_row_written(self, row: LoadRow) -> None:
        """Note that a higher counter has shown an open one to be written."""
        self._run(
            "UPDATE load SET state = ? WHERE state = ? AND asn = ? AND purse = ? AND online_seq = ?"
            " AND attempt = ?",
            LoadState.WRITTEN,
            LoadState.OPEN,
            row.asn,
            row.purse,
            row.online_seq,
            row.attempt,
        )

    def mark_void(self, request: "LoadRequest") -> bool:
        """Note that the card never got it and never will. False if it is written, and stays so."""
        return self._change(request, "state = ?, nonce = x''", LoadState.VOID, unless=LoadState.WRITTEN)

    def _change(self, request: "LoadRequest", change: str, *values: object, unless: LoadState | None) -> bool:
        """Change the row of this INIT unless it has come to a state meanwhile: callers have looked before."""
        changed = self._run(
            f"UPDATE load SET {change} WHERE asn = ? AND purse = ? AND online_seq = ?"  # noqa: S608
            " AND card_random = ? AND terminal_id = ? AND state IS NOT ?",
            *values,
            *_place(request),
            request.card_random,
            request.terminal_id,
            unless,
        )
        return changed.rowcount == 1

    def _rows(self, where: str, *values: object) -> list[LoadRow]:
        columns = ", ".join(LoadRow.__dataclass_fields__)
        query = f"SELECT {columns} FROM load WHERE {where}"  # noqa: S608
        with self._lock:
            found = self._db.execute(query, values).fetchall()
        return [_row(row) for row in found]

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        with self._lock:
            return self._db.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _place(request: "LoadRequest") -> tuple[bytes, int, int]:
    purse = 2 if request.transaction_type == TransactionType.EP_LOAD else 1
    return request.asn, purse, request.online_seq


def _row(columns: tuple[Any, ...]) -> LoadRow:  # whatever SQLite stores
    values = list(columns)
    values[_STATE_COLUMN] = LoadState(values[_STATE_COLUMN])
    return LoadRow(*values)
