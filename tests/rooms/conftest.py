"""Rooms that keep something in the database are tested on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from campus_node.database import migrate
from campus_node.database.connect import connect
from federation.clock import VirtualClock


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database without any table."""
    if request.param == "postgres":
        return str(request.getfixturevalue("empty_postgres_dsn"))
    return f"sqlite:///{tmp_path / 'empty.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database with our schema and nothing in it."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_dsn"))
    address = f"sqlite:///{tmp_path / 'campus.sqlite'}"
    migrate.upgrade(address)
    return address


@pytest.fixture
def db(url: str) -> Iterator[Engine]:
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
