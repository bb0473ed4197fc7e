"""The rows of the next batch are sent ahead while one is being committed: nobody sees them, none stays."""

from collections.abc import Sequence

import pytest

from campus_node.ledger.observer import Unobserved
from campus_node.ledger.store import DuplicateKey, Store
from campus_node.ledger.writer import Started, Writer
from federation.errors import LeaseLost, Unavailable
from federation.transfer import Refusal, Request
from hil_rig.faults import Counted, Fault, What
from tests.ledger.books import CALENDAR
from tests.ledger.faulty_connections import LEDGER
from tests.ledger.machine import LedgerMachine, Place
from tests.ledger.programs import lunch


class Bench:
    """A writer on the machine's ledger, moved step by step as the engine's threads move it."""

    def __init__(self, store: Store, machine: LedgerMachine) -> None:
        self.store = store
        self.writer = Writer(
            store,
            machine.clock,
            CALENDAR,
            holder="a test",
            observer=Unobserved(),
            recent_ids_max=100,
            outage_hold_s=10,
        )
        self.writer.open(force=True)

    def start(self, requests: Sequence[Request]) -> Started:
        return self.writer.start(requests, self.writer.survey(requests))

    def go_through(self, started: Started) -> None:
        self.writer.stage(started)
        self.writer.commit(started)


@pytest.fixture
def bench(place: Place, machine: LedgerMachine) -> Bench:
    machine.store.close()
    machine.store = place.open_store()
    return Bench(machine.store, machine)


def posted(machine: LedgerMachine) -> list[object]:
    return [row[3] for row in machine.database.rows()]


def ids(*requests: Request) -> list[object]:
    return [request.transfer_id for request in requests]


def test_what_is_sent_ahead_is_seen_by_nobody_before_its_commit(bench: Bench, machine: LedgerMachine) -> None:
    before = posted(machine)
    first, second = bench.start([lunch(1)]), bench.start([lunch(2)])
    bench.writer.stage(second)
    assert posted(machine) == before
    bench.writer.commit(first)
    assert posted(machine) == before + ids(lunch(1))
    bench.writer.commit(second)
    assert posted(machine) == before + ids(lunch(1), lunch(2))
    answers = bench.writer.conclude(first) + bench.writer.conclude(second)
    assert [answer.refusal for answer in answers] == [Refusal.NONE] * 2


def test_of_what_was_taken_back_nothing_stays_and_the_same_ids_can_be_posted(
    bench: Bench, machine: LedgerMachine
) -> None:
    before = posted(machine)
    first, second = bench.start([lunch(1)]), bench.start([lunch(2)])
    bench.writer.stage(second)
    bench.writer.unstage(second)
    bench.writer.undo(second)
    bench.writer.undo(first)
    assert posted(machine) == before
    answers = bench.writer.settle([lunch(2), lunch(1)])
    assert [answer.refusal for answer in answers] == [Refusal.NONE] * 2
    assert posted(machine) == before + ids(lunch(2), lunch(1))


def test_many_batches_go_through_one_ahead_of_the_other(bench: Bench, machine: LedgerMachine) -> None:
    before = posted(machine)
    under_way = bench.start([lunch(1)])
    for n in range(2, 8):
        following = bench.start([lunch(n)])
        bench.writer.stage(following)
        bench.writer.commit(under_way)
        bench.writer.conclude(under_way)
        under_way = following
    bench.writer.commit(under_way)
    bench.writer.conclude(under_way)
    assert posted(machine) == before + ids(*map(lunch, range(1, 8)))


def test_an_id_that_is_in_the_journal_is_found_before_the_commit(
    bench: Bench, machine: LedgerMachine, place: Place
) -> None:
    bench.writer.settle([lunch(1)])
    before = posted(machine)
    forgetful = Bench(place.open_store(), machine)
    unaware = forgetful.writer.survey([])
    again = forgetful.writer.start([lunch(1)], unaware)
    with pytest.raises(DuplicateKey):
        forgetful.go_through(again)
    forgetful.writer.undo(again)
    assert posted(machine) == before
    assert [answer.refusal for answer in forgetful.writer.settle([lunch(2)])] == [Refusal.NONE]
    forgetful.store.close()


@pytest.mark.parametrize("counted", [Counted.WRITE, Counted.COMMIT])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_connection_that_drops_at_any_step_loses_and_doubles_nothing(
    bench: Bench, machine: LedgerMachine, place: Place, counted: Counted, nth: int
) -> None:
    before = posted(machine)
    first, second = bench.start([lunch(1)]), bench.start([lunch(2)])
    place.breaker.arm(Fault(LEDGER, What.DROP_CONNECTION, counted, nth))
    failure: Exception | None = None
    staged = False
    try:
        bench.writer.stage(second)
        staged = True
        bench.writer.commit(first)
    except Unavailable as error:
        failure = error
    place.breaker.arm()
    if failure is None:
        bench.writer.commit(second)
    else:
        if staged:
            bench.writer.unstage(second)
        bench.writer.undo(second)
        bench.writer.undo(first)
        answers = bench.writer.settle([lunch(1)], failure) + bench.writer.settle([lunch(2)])
        assert [answer.refusal for answer in answers] == [Refusal.NONE] * 2
    assert posted(machine) == before + ids(lunch(1), lunch(2))


def test_a_writer_that_was_replaced_commits_nothing_of_what_it_sent_ahead(
    bench: Bench, machine: LedgerMachine, place: Place
) -> None:
    before = posted(machine)
    first, second = bench.start([lunch(1)]), bench.start([lunch(2)])
    bench.writer.stage(second)
    other = Bench(place.open_store(), machine)
    for started in (first, second):
        with pytest.raises(LeaseLost):
            bench.writer.commit(started)
    assert posted(machine) == before
    assert [answer.refusal for answer in other.writer.settle([lunch(2)])] == [Refusal.NONE]
    other.store.close()
