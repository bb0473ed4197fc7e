"""The tests would notice: ledgers that are broken on purpose, each in the way that matters most, turn red."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import Batch, Store
from federation.errors import OutcomeUnknown, StoreDown
from hil_rig.faults import Counted, Fault, What
from tests.ledger.faulty_connections import LEDGER, Died
from tests.ledger.machine import LedgerMachine
from tests.ledger.places import SqlitePlace
from tests.ledger.programs import Item

ITEMS = [Item("post", amount_fen=100), Item("reserve", amount_fen=50), Item("confirm")]


class ForgettingStore(SqliteStore):
    """Commits nothing."""

    def append(self, batch: Batch) -> None:
        pass


class AnsweringStore(SqliteStore):
    """Says that a batch is written although its commit failed: the answer before the commit."""

    def append(self, batch: Batch) -> None:
        with suppress(Died, OutcomeUnknown, StoreDown):
            super().append(batch)


class UnfencedStore(SqliteStore):
    """Writes whoever the writer is: takes epoch and seq from the database instead of its own."""

    def append(self, batch: Batch) -> None:
        there = self.load().lease
        rows = [row._replace(seq=there.seq + number) for number, row in enumerate(batch.rows, start=1)]
        after = batch.after._replace(epoch=there.epoch, seq=rows[-1].seq)
        super().append(batch._replace(rows=rows, before=there, after=after))


def life(path: Path, store: type[SqliteStore]) -> LedgerMachine:
    """Return the life of a ledger over such a store."""

    class Place(SqlitePlace):
        def open_store(self) -> Store:
            return store(self.path, connect=self.breaker.sqlite)

    return LedgerMachine(lambda: Place(path))


def posts(machine: LedgerMachine) -> None:
    machine.open_the_books([5_000, 1_000])
    machine.a_batch_is_posted(ITEMS)


def dies(machine: LedgerMachine) -> None:
    machine.open_the_books([5_000, 1_000])
    for nth in range(1, 20):
        machine.die(ITEMS, Fault(LEDGER, What.CRASH_BEFORE_WRITE, Counted.WRITE, nth))


def is_taken_over(machine: LedgerMachine) -> None:
    machine.open_the_books([5_000, 1_000])
    machine.a_second_writer_takes_over(ITEMS, ITEMS)


@pytest.mark.parametrize("scene", [posts, dies, is_taken_over])
def test_an_unbroken_ledger_stays_green(sqlite_path: Path, scene: Callable[[LedgerMachine], None]) -> None:
    machine = life(sqlite_path, SqliteStore)
    scene(machine)
    machine.teardown()


@pytest.mark.parametrize(
    ("store", "scene"),
    [(ForgettingStore, posts), (AnsweringStore, dies), (UnfencedStore, is_taken_over)],
)
def test_a_ledger_that_is_broken_on_purpose_turns_red(
    sqlite_path: Path, store: type[SqliteStore], scene: Callable[[LedgerMachine], None]
) -> None:
    machine = life(sqlite_path, store)
    with pytest.raises(AssertionError):
        scene(machine)
    machine.teardown()
