"""Databases that a random life of a ledger may use, with connections that can be broken."""

from pathlib import Path

import psycopg2

from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import Store
from tests.ledger.faulty_connections import Breaker


class SqlitePlace:
    """A fresh ledger in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.breaker = Breaker()

    def open_store(self) -> Store:
        return SqliteStore(self.path, connect=self.breaker.sqlite)


class PostgresPlace:
    """A database that was emptied."""

    def __init__(self, dsn: str) -> None:
        self.url = dsn
        self.breaker = Breaker()
        connection = psycopg2.connect(dsn)
        with connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE writer, transfers, batches, accounts, balances, originators, outbox")
        connection.close()

    def open_store(self) -> Store:
        return PostgresStore(self.url, connect=self.breaker.postgres)
