"""Connections that break where a fault plan says: before a chosen statement, or after the commit.

They are given to a store through `connect=`. What is counted at the place LEDGER: every statement (WRITE) and
every finished commit (COMMIT). A process that dies leaves its connection closed and raises Died, which nobody
in the product catches; a connection that drops is closed too, but the driver's own error tells of it.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg2
import psycopg2.extensions

from federation.clock import Clock, SystemClock
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord, What

LEDGER = "ledger"


class Died(BaseException):
    """The process is gone: nothing of it runs any more."""


def vanish(connection: sqlite3.Connection) -> None:
    """Close a connection to SQLite as the system does for a dead process: at once, and no lock stays."""
    if connection.in_transaction:
        connection.rollback()
    connection.close()


class Breaker:
    """Hands faults to the connections of one store. Without a plan nothing breaks."""

    def __init__(self) -> None:
        self.record = FaultRecord(FaultPlan(0, ()))
        self.statements: list[tuple[str, Any]] = []  # what was sent since `arm`, with its parameters
        self.clock: Clock = SystemClock()  # by which an outage ends
        self._gone: Callable[[], bool] = lambda: False

    def arm(self, *faults: Fault) -> None:
        """Break next time as planned; counting starts anew."""
        self.record = FaultRecord(FaultPlan(0, faults))
        self.statements.clear()

    def follow(self, plan: FaultPlan) -> None:
        """Break as planned, from now on."""
        self.record = FaultRecord(plan)

    def be_gone(self, clock: Clock, for_s: float) -> None:
        """Answer no statement and take no connection for so long by this clock."""
        until_s = clock.monotonic_s() + for_s
        self._gone = lambda: clock.monotonic_s() < until_s

    def before_statement(
        self, close: Callable[[], None], dropped: Callable[[str], Exception], sql: str, parameters: Any = ()
    ) -> None:
        self.statements.append((sql, parameters))
        if self._gone():
            close()
            raise dropped("the database is gone")
        self._count(Counted.WRITE, close, dropped)

    def after_commit(self, close: Callable[[], None], dropped: Callable[[str], Exception]) -> None:
        self._count(Counted.COMMIT, close, dropped)

    def _count(
        self, counted: Counted, close: Callable[[], None], dropped: Callable[[str], Exception]
    ) -> None:
        due = self.record.count(LEDGER, counted)
        if not due:
            return
        for fault in due:
            self.record.fired(fault)
            if fault.what == What.DATABASE_GONE:
                self.be_gone(self.clock, fault.size / 1000)
        close()
        if any(fault.what in (What.KILL, What.CRASH_BEFORE_WRITE) for fault in due):
            raise Died(due[0].name)
        raise dropped(due[0].name)

    def sqlite(self, *args: Any, **options: Any) -> sqlite3.Connection:
        """Connect to SQLite in place of sqlite3.connect."""
        breaker = self
        if self._gone():
            raise sqlite3.OperationalError("unable to open database file")

        class Cursor(sqlite3.Cursor):
            def execute(self, sql: str, *parameters: Any) -> "Cursor":
                gone = partial(vanish, self.connection)
                breaker.before_statement(gone, sqlite3.OperationalError, sql, *parameters)
                super().execute(sql, *parameters)
                if sql == "COMMIT":
                    breaker.after_commit(gone, sqlite3.OperationalError)
                return self

            def executemany(self, sql: str, rows: Any) -> "Cursor":
                breaker.before_statement(partial(vanish, self.connection), sqlite3.OperationalError, sql)
                super().executemany(sql, rows)
                return self

        class Connection(sqlite3.Connection):
            def cursor(self, *_: Any) -> Cursor:  # type: ignore[override]  # always ours
                return super().cursor(Cursor)

            def execute(self, *arguments: Any) -> Cursor:  # type: ignore[override]  # always ours
                return self.cursor().execute(*arguments)

            def executemany(self, *arguments: Any) -> Cursor:  # type: ignore[override]  # always ours
                return self.cursor().executemany(*arguments)

        return sqlite3.connect(*args, factory=Connection, **options)

    def postgres(self, *args: Any, **options: Any) -> psycopg2.extensions.connection:
        """Connect to PostgreSQL in place of psycopg2.connect."""
        breaker = self
        if self._gone():
            raise psycopg2.OperationalError("connection refused")

        class Cursor(psycopg2.extensions.cursor):
            def execute(self, sql: Any, parameters: Any = None) -> None:
                breaker.before_statement(self.connection.close, psycopg2.OperationalError, sql, parameters)
                super().execute(sql, parameters)
                if isinstance(sql, str) and sql.endswith("COMMIT"):
                    breaker.after_commit(self.connection.close, psycopg2.OperationalError)

            def copy_expert(self, sql: Any, *arguments: Any) -> None:
                breaker.before_statement(self.connection.close, psycopg2.OperationalError, sql)
                super().copy_expert(sql, *arguments)

        return psycopg2.connect(*args, cursor_factory=Cursor, **options)
