"""Whatever is asked, repeated or broken: the stores equal the model and nothing acknowledged is missing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.ledger.machine import LedgerMachine
from tests.ledger.places import PostgresPlace, SqlitePlace
from tests.soak import size

pytestmark = pytest.mark.slow

PROGRAMS = settings(
    deadline=None,
    stateful_step_count=size(25, 60),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


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
