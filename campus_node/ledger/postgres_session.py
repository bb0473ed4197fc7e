"""One connection to PostgreSQL that is opened when it is needed, and whose failures are ours.

A connection is used by one thread at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg2
import psycopg2.extensions

from federation.errors import OutcomeUnknown, StoreDown

Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor
Connect = Callable[..., Connection]

# All that the writer asks are probes by key; for a thousand changed balances the planner would rather read
# all 100,000 (88 ms instead of 6).
_PROBE_BY_KEY: Final = "-c enable_hashjoin=off -c enable_mergejoin=off"
_OPTIONS: Final = f"-c synchronous_commit=on -c statement_timeout=30000 -c timezone=UTC {_PROBE_BY_KEY}"


class PostgresSession:
    """A connection, opened anew after it broke.

    Args:
        dsn: libpq connection string or URI.
        connect: opens a connection.
        prepare: a statement that is sent once to each connection, before the first `prepared`.
    """

    def __init__(self, dsn: str, connect: Connect, prepare: str) -> None:
        self._dsn = dsn
        self._connect = connect
        self._prepare = prepare
        self._connection: Connection | None = None
        self._is_prepared = False  # what was prepared belongs to the connection

    @property
    def connection(self) -> Connection:
        """The open connection. Raise StoreDown if none can be had."""
        if self._connection is None:
            try:
                db = self._connect(
                    self._dsn,
                    connect_timeout=5,
                    options=_OPTIONS,
                    keepalives_idle=10,
                    keepalives_interval=5,
                    keepalives_count=3,
                    tcp_user_timeout=15_000,
                )
            except psycopg2.Error as error:
                raise StoreDown(f"cannot reach PostgreSQL: {str(error).strip()}") from error
            db.autocommit = True  # BEGIN and COMMIT go with other statements in one message
            self._connection, self._is_prepared = db, False
        return self._connection

    @contextmanager
    def prepared(self) -> Iterator[Cursor]:
        """Give a cursor whose connection knows the prepared statement; failures as in `statements`."""
        with self.statements() as cursor:
            if not self._is_prepared:
                cursor.execute(self._prepare)
                self._is_prepared = True
            yield cursor

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Commit what the block does, or nothing of it."""
        with self.statements() as cursor:
            cursor.execute("BEGIN")
            yield cursor
        with self.statements(committing=True) as cursor:
            cursor.execute("COMMIT")

    @contextmanager
    def statements(self, *, committing: bool = False) -> Iterator[Cursor]:
        """Give a cursor; undo what the block began if it fails.

        Args:
            committing: the block commits: when it fails nobody knows whether it did.

        Raises:
            StoreDown: the server failed; nothing was written.
            OutcomeUnknown: it failed while committing.
            psycopg2.IntegrityError, psycopg2.DataError: what the server has against the statements.
        """
        db = self.connection
        try:
            with db.cursor() as cursor:
                yield cursor
        except (psycopg2.IntegrityError, psycopg2.DataError):
            self.roll_back()
            raise
        except psycopg2.Error as error:
            if committing:
                self.disconnect()
                raise OutcomeUnknown(f"PostgreSQL: commit: {str(error).strip()}") from error
            self.roll_back()
            raise StoreDown(f"PostgreSQL: {str(error).strip()}") from error
        except BaseException:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        """Undo what was begun; a connection that cannot even do that is closed."""
        if self._connection is None:
            return
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            with suppress(psycopg2.Error):  # it was broken before; what it had not committed is gone
                self._connection.close()
            self._connection = None
