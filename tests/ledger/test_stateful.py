"""Whatever is asked, repeated or broken: the stores equal the model and nothing acknowledged is missing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import Store
from tests.ledger.faulty_connections import Breaker
from tests.ledger.machine import LedgerMachine
from tests.soak import size

PROGRAMS = settings(
    deadline=None,
    stateful_step_count=size(25, 60),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


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
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE writer, transfers, batches, accounts, balances, originators, outbox")
        connection.close()

    def open_store(self) -> Store:
        return PostgresStore(self.url, connect=self.breaker.postgres)


@pytest.fixture
def new_sqlite_place(sqlite_template: Path, tmp_path: Path) -> Iterator[object]:
    """Give what makes a new ledger for every program."""
    made = 0

    def make() -> SqlitePlace:
        nonlocal made
        made += 1
        directory = tmp_path / "ledger"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        return SqlitePlace(Path(shutil.copy(sqlite_template, directory / "ledger.sqlite")))

    yield make
    assert made, "at least one program ran"


def test_random_lives_of_a_ledger_on_sqlite_equal_the_model(new_sqlite_place) -> None:
    run_state_machine_as_test(
        lambda: LedgerMachine(new_sqlite_place), settings=settings(PROGRAMS, max_examples=size(40, 2_000))
    )


@pytest.mark.postgres
def test_random_lives_of_a_ledger_on_postgresql_equal_the_model(postgres_dsn: str) -> None:
    run_state_machine_as_test(
        lambda: LedgerMachine(lambda: PostgresPlace(postgres_dsn)),
        settings=settings(PROGRAMS, max_examples=size(10, 500)),
    )
