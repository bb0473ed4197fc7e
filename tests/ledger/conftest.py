"""Fixtures of the ledger's tests: a script player on each kind of books."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from campus_node.database.migrate import upgrade
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from federation.clock import VirtualClock
from tests.ledger.books import ModelBooks
from tests.ledger.engine_books import EngineBooks
from tests.ledger.machine import LedgerMachine, Place
from tests.ledger.places import PostgresPlace, SqlitePlace
from tests.ledger.script import STARTED_AT_UNIX_MS, Script


@pytest.fixture
def clock() -> VirtualClock:
    """Give a clock that only the test moves: 08:00 in Shanghai on the first day of a semester."""
    return VirtualClock(STARTED_AT_UNIX_MS)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty ledger that is only ever copied."""
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_path(sqlite_template: Path, tmp_path: Path) -> Path:
    """Give a new ledger with our schema and nothing in it."""
    return Path(shutil.copy(sqlite_template, tmp_path / "ledger.sqlite"))


@pytest.fixture
def sqlite_books(sqlite_path: Path, clock: VirtualClock) -> EngineBooks:
    """Give an engine on SQLite, with the model beside it."""
    return EngineBooks(lambda: SqliteStore(sqlite_path), f"sqlite:///{sqlite_path}", clock)


@pytest.fixture
def postgres_books(postgres_dsn: str, clock: VirtualClock) -> EngineBooks:
    """Give an engine on PostgreSQL, with the model beside it."""
    return EngineBooks(lambda: PostgresStore(postgres_dsn), postgres_dsn, clock)


@pytest.fixture(params=["model", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def play(request: pytest.FixtureRequest, clock: VirtualClock) -> Iterator[Script]:
    """Play scripts on the model, and on the engine over each database with the model beside it."""
    if request.param == "model":
        yield Script(ModelBooks(clock), clock)
        return
    with request.getfixturevalue(f"{request.param}_books") as books:
        yield Script(books, clock)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest) -> Place:
    """Give an empty ledger on each database, whose connections can be broken."""
    if request.param == "sqlite":
        return SqlitePlace(request.getfixturevalue("sqlite_path"))
    return PostgresPlace(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
def machine(place: Place) -> Iterator[LedgerMachine]:
    """Give a ledger with some money in it, its model, and ways to break it."""
    machine = LedgerMachine(lambda: place)
    machine.open_the_books([5_000, 1_000])
    yield machine
    machine.teardown()
