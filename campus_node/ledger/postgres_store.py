"""The ledger in PostgreSQL: rows by binary COPY, balances by one set-based UPDATE, one commit a batch.

The right to write is a session advisory lock, which the server frees when the process dies, and an epoch in
the database that every batch checks. Only the epoch decides.
"""

import io
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import psycopg2
import psycopg2.errors
from psycopg2.extras import execute_values

from campus_node.ledger.books import Balance, Key, TransferState, begun, new_balance, states_of
from campus_node.ledger.postgres_session import Connect, Cursor, PostgresSession
from campus_node.ledger.rows import COLUMNS, GENESIS_HASH, Row, copy_stream
from campus_node.ledger.store import (
    NO_BALANCE_ROW,
    NO_WRITER_ROW,
    AccountOpening,
    Batch,
    DuplicateKey,
    Lease,
    Snapshot,
)
from federation.errors import JournalBroken, LeaseLost, Misconfigured

_WRITER_LOCK: Final = 0x6361_6D70  # "camp": the advisory lock of this ledger's writer
_LOCK_WAIT_MS: Final = 3_000
_BALANCE: Final = "account, posted_fen, reserved_fen, floor_fen, overdrawn_fen"
_ROW: Final = ", ".join(COLUMNS)
_READ_ROW: Final = ", ".join(
    f"uuid_send(t.{name})" if name in {"transfer_id", "target_id"} else f"t.{name}" for name in COLUMNS
)
_BEGIN_AND_COPY: Final = f"BEGIN; COPY transfers ({_ROW}) FROM STDIN (FORMAT binary)"
# One message checks all and commits: a division by zero is how plain SQL says no before its COMMIT.
_PREPARE: Final = """
PREPARE finish_batch (
    bigint, bigint, bigint, bytea, int, bigint, bigint, bigint[], bigint[], bigint[], bigint[], bigint
) AS
WITH fence AS (
    UPDATE writer SET seq = $3, chain_hash = $4, recorded_at_unix_ms = $6
    WHERE shard = 0 AND epoch = $1 AND seq = $2 RETURNING epoch, incarnation
), written AS (
    INSERT INTO batches
        (last_seq, first_seq, epoch, incarnation, business_date, recorded_at_unix_ms, chain_hash)
    SELECT $3, $7, epoch, incarnation, $5, $6, $4 FROM fence RETURNING last_seq
), changed AS (
    UPDATE balances b
    SET posted_fen = b.posted_fen + d.posted, reserved_fen = b.reserved_fen + d.reserved,
        overdrawn_fen = d.overdrawn
    FROM unnest($8, $9, $10, $11) AS d (account, posted, reserved, overdrawn)
    WHERE b.account = d.account
    RETURNING b.account
)
SELECT 1 / ((SELECT count(*) FROM written) = 1 AND (SELECT count(*) FROM changed) = $12)::int"""
_FINISH_AND_COMMIT: Final = f"EXECUTE finish_batch ({', '.join(['%s'] * 12)}); COMMIT"
_INSERT_OUTBOX: Final = (
    "INSERT INTO outbox (message, topic, body, created_at_unix_ms, attempts, next_attempt_at_unix_ms)"
    " VALUES %s ON CONFLICT DO NOTHING"
)
_OPEN_RESERVATIONS: Final = f"""
SELECT {_READ_ROW} FROM transfers t WHERE t.expires_at_unix_ms > %s AND NOT EXISTS (
    SELECT 1 FROM transfers c
    WHERE c.target_originator = t.originator AND c.target_id = t.transfer_id AND c.refusal = 0)"""
_FIND: Final = f"""
SELECT {_READ_ROW} FROM unnest(%s::int[], %s::uuid[]) AS k (originator, id)
JOIN transfers t ON t.originator = k.originator AND t.transfer_id = k.id"""
_FIND_STATES: Final = f"""
{_FIND}
UNION
SELECT {_READ_ROW} FROM unnest(%s::int[], %s::uuid[]) AS k (originator, id)
JOIN transfers t ON t.target_originator = k.originator AND t.target_id = k.id"""


class PostgresStore:
    """A ledger in one PostgreSQL database, reached through libpq.

    Args:
        dsn: libpq connection string or URI; several hosts with target_session_attrs=read-write follow a
            fail-over.
        connect: opens a connection; tests pass one that breaks at a chosen statement.
    """

    def __init__(self, dsn: str, *, connect: Connect = psycopg2.connect) -> None:
        def session() -> PostgresSession:
            return PostgresSession(dsn, connect, _PREPARE)

        self._main = session()  # holds the advisory lock
        self._spare = [session(), session()]  # one is committing while the other takes the next batch's rows
        self._staged: dict[int, PostgresSession] = {}  # last seq of a batch → where its rows are

    def take_over(self, holder: str, *, now_unix_ms: int, force: bool = False) -> Lease:
        """Become the writer: take the advisory lock, raise the epoch."""
        with self._main.transaction() as cursor:
            if force:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", (_WRITER_LOCK,))
            else:
                self._lock(cursor)
            cursor.execute("SELECT 1 FROM batches WHERE NOT EXISTS (SELECT 1 FROM writer) LIMIT 1")
            if cursor.fetchone() is not None:
                raise JournalBroken(NO_WRITER_ROW)
            cursor.execute(
                "INSERT INTO writer (shard, epoch, incarnation, seq, chain_hash, recorded_at_unix_ms, holder,"
                " taken_at_unix_ms) VALUES (0, 1, 1, 0, %s, 0, %s, %s)"
                " ON CONFLICT (shard) DO UPDATE SET epoch = writer.epoch + 1, holder = excluded.holder,"
                " taken_at_unix_ms = excluded.taken_at_unix_ms",
                (GENESIS_HASH, holder, now_unix_ms),
            )
            return _lease(cursor)

    def load(self) -> Snapshot:
        """Read the books in one consistent view."""
        with self._main.transaction() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            lease = _lease(cursor)
            cursor.execute(f"SELECT {_BALANCE} FROM balances")
            balances = {row[0]: Balance(*row[1:]) for row in cursor}
            cursor.execute(_OPEN_RESERVATIONS, (lease.recorded_at_unix_ms,))
            reserved_rows = map(_row, cursor)
            return Snapshot(lease, balances, {(r.originator, r.transfer_id): begun(r) for r in reserved_rows})

    def stage(self, batch: Batch) -> None:
        """Send a batch's rows ahead, on another connection than the batch before it uses."""
        session = self._spare.pop()
        try:
            _send_rows(session, batch)
        except BaseException:
            self._spare.append(session)
            raise
        self._staged[batch.after.seq] = session

    def unstage(self, batch: Batch) -> None:
        """Take back what was sent ahead."""
        session = self._staged.pop(batch.after.seq)
        session.roll_back()
        self._spare.append(session)

    def append(self, batch: Batch) -> None:
        """Write a batch in one durable commit."""
        session = self._staged.pop(batch.after.seq, None)
        if session is None:
            _send_rows(self._main, batch)
            self._finish(self._main, batch)
            return
        try:
            self._finish(session, batch)
        finally:
            self._spare.append(session)

    def _finish(self, session: PostgresSession, batch: Batch) -> None:
        """Check the fence, write everything but the rows, and commit."""
        before, after = batch.before, batch.after
        fence = before.epoch, before.seq
        position = after.seq, after.chain_hash, after.business_date, after.recorded_at_unix_ms
        written = *position, batch.rows[0].seq
        changed = *(_array(map(str, column)) for column in batch.changes), len(batch.changes.accounts)
        try:
            with session.statements(committing=True) as cursor:
                cursor.execute(_FINISH_AND_COMMIT, (*fence, *written, *changed))
        except psycopg2.errors.DivisionByZero:
            with session.transaction() as cursor:
                lease = _lease(cursor)
                if (lease.epoch, lease.seq) != (before.epoch, before.seq):
                    raise LeaseLost(_winner(cursor)) from None
            raise JournalBroken(NO_BALANCE_ROW) from None

    def holds_lease(self, epoch: int) -> bool:
        """Tell whether the writer row still has this epoch."""
        with self._main.transaction() as cursor:
            return _lease(cursor).epoch == epoch

    def prove_writable(self, epoch: int) -> None:
        """Commit the writer row as it is."""
        with self._main.transaction() as cursor:
            cursor.execute("UPDATE writer SET epoch = epoch WHERE shard = 0 AND epoch = %s", (epoch,))
            if cursor.rowcount != 1:
                raise LeaseLost(_winner(cursor))

    def find(self, keys: Collection[Key]) -> dict[Key, Row]:
        """Return the rows that have these ids."""
        with self._main.transaction() as cursor:
            cursor.execute(_FIND, _arrays(keys))
            return {(row.originator, row.transfer_id): row for row in map(_row, cursor)}

    def find_states(self, keys: Collection[Key]) -> dict[Key, TransferState]:
        """Return what became of these transfers."""
        with self._main.transaction() as cursor:
            cursor.execute(_FIND_STATES, _arrays(keys) * 2)
            return states_of(keys, sorted(map(_row, cursor)))

    def open_accounts(
        self, lease: Lease, openings: Sequence[AccountOpening], *, now_unix_ms: int
    ) -> list[bool]:
        """Open accounts, each once."""
        asked = {opening.account: opening for opening in reversed(openings)}
        with self._main.transaction() as cursor:
            self._check_fence(cursor, lease)
            opened = execute_values(
                cursor,
                "INSERT INTO accounts (account, holder, opened_at_unix_ms) VALUES %s"
                " ON CONFLICT DO NOTHING RETURNING account",
                [(o.account, o.holder, now_unix_ms) for o in asked.values()],
                fetch=True,
            )
            execute_values(
                cursor,
                f"INSERT INTO balances ({_BALANCE}) VALUES %s",
                [(account, *new_balance(asked[account].floor_fen)) for (account,) in opened],
            )
            cursor.execute(
                "SELECT account, holder, floor_fen FROM accounts JOIN balances USING (account)"
                " WHERE account = ANY(%s)",
                (list(asked),),
            )
            there = {row[0]: AccountOpening(*row) for row in cursor}
        return [there[opening.account] == opening for opening in openings]

    def originator_numbers(self, lease: Lease, names: Collection[str]) -> dict[str, int]:
        """Return a number for each name; numbers begin at 1, 0 is the ledger itself."""
        with self._main.transaction() as cursor:
            self._check_fence(cursor, lease)
            for name in names:
                cursor.execute(
                    "INSERT INTO originators (originator, name)"
                    " SELECT coalesce(max(originator), 0) + 1, %s FROM originators"
                    " ON CONFLICT (name) DO NOTHING",
                    (name,),
                )
            cursor.execute("SELECT name, originator FROM originators WHERE name = ANY(%s)", (list(names),))
            return dict(cursor)

    def reopen(self) -> None:
        """Connect anew, and take the advisory lock again if it is free."""
        self._disconnect()
        with self._main.transaction() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (_WRITER_LOCK,))

    def close(self) -> None:
        """Close the connections; the server lets go of the lock."""
        self._disconnect()

    def _disconnect(self) -> None:
        assert not self._staged, "whoever staged a batch appends it or takes it back"
        for session in (self._main, *self._spare):
            session.disconnect()

    def _lock(self, cursor: Cursor) -> None:
        """Take the advisory lock; wait a little for a server that has not noticed that its holder died."""
        cursor.execute("SET LOCAL lock_timeout = %s", (_LOCK_WAIT_MS,))
        cursor.execute("SAVEPOINT before_lock")
        try:
            cursor.execute("SELECT pg_advisory_lock(%s)", (_WRITER_LOCK,))
        except psycopg2.errors.LockNotAvailable as error:
            cursor.execute("ROLLBACK TO before_lock")
            raise Misconfigured(
                f"{_winner(cursor)} and is still connected: stop it first, or take over on purpose"
            ) from error

    def _check_fence(self, cursor: Cursor, lease: Lease) -> None:
        cursor.execute("SELECT epoch FROM writer WHERE shard = 0 FOR UPDATE")
        if _one(cursor)[0] != lease.epoch:
            raise LeaseLost(_winner(cursor))


def _send_rows(session: PostgresSession, batch: Batch) -> None:
    """Begin a transaction with the rows of a batch and what is to be told of them."""
    stream = copy_stream(batch.encoded)
    try:
        with session.prepared() as cursor:
            cursor.copy_expert(_BEGIN_AND_COPY, io.BytesIO(stream), len(stream))
            if batch.outbox:
                now = batch.after.recorded_at_unix_ms
                execute_values(cursor, _INSERT_OUTBOX, [(*item, now, 0, now) for item in batch.outbox])
    except psycopg2.errors.UniqueViolation as error:
        if error.diag.table_name == "transfers":
            raise DuplicateKey from error
        raise


def _winner(cursor: Cursor) -> str:
    cursor.execute("SELECT holder, epoch FROM writer WHERE shard = 0")
    holder, epoch = cursor.fetchone() or ("somebody", 0)
    return f"{holder} is the writer of this ledger as epoch {epoch}"


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None, "the query always returns a row"
    return row


def _lease(cursor: Cursor) -> Lease:
    cursor.execute(
        "SELECT epoch, incarnation, seq, chain_hash, recorded_at_unix_ms,"
        " (SELECT coalesce(max(business_date), 0) FROM batches WHERE last_seq = writer.seq)"
        " FROM writer WHERE shard = 0"
    )
    row = cursor.fetchone()
    if row is None:
        raise LeaseLost("nobody has ever been the writer of this ledger")
    epoch, incarnation, seq, chain_hash, recorded_at, business_date = row
    return Lease(epoch, incarnation, seq, bytes(chain_hash), recorded_at, business_date)


_BYTES: Final = [COLUMNS.index(name) for name in ("transfer_id", "target_id", "request_hash")]


def _row(values: Sequence[Any]) -> Row:
    fields = list(values)
    for i in _BYTES:
        if fields[i] is not None:
            fields[i] = bytes(fields[i])
    return Row(*fields)


def _arrays(keys: Collection[Key]) -> list[str]:
    """Return originators and ids as PostgreSQL array literals."""
    return [_array(str(originator) for originator, _ in keys), _array(key.hex() for _, key in keys)]


def _array(values: Iterable[str]) -> str:
    return "{" + ",".join(values) + "}"
