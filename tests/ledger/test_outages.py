"""The database goes away and comes back: nobody is told what is not so, and the writer goes on by itself."""

from collections.abc import Sequence

import pytest

from campus_node.ledger.engine import Engine, EngineLimits, EngineState
from federation.errors import StoreDown
from federation.transfer import Answer, Refusal
from hil_rig.faults import Counted, Fault, What
from tests.ledger.books import CALENDAR
from tests.ledger.engine_books import opened, post
from tests.ledger.faulty_connections import LEDGER
from tests.ledger.machine import LedgerMachine, Place
from tests.ledger.programs import LI, lunch


def small_batches(machine: LedgerMachine) -> Engine:
    """Open the machine's ledger anew with an engine that posts one item at a time."""
    machine.store.close()
    machine.store = machine.place.open_store()
    limits = EngineLimits(batch_items_max=1, outage_hold_s=10)
    engine = Engine(machine.store, machine.clock, CALENDAR, holder="a test", limits=limits)
    return opened(engine, force=True)


def test_a_batch_waits_for_a_database_that_is_gone_for_a_moment(place: Place, machine: LedgerMachine) -> None:
    place.breaker.be_gone(machine.clock, for_s=5)
    [answer] = post(machine.engine, [lunch(1)])
    assert answer.refusal == Refusal.NONE
    assert machine.engine.state == EngineState.SERVING


def test_after_a_long_outage_callers_are_told_and_nothing_was_written(
    place: Place, machine: LedgerMachine
) -> None:
    rows = machine.database.rows()
    place.breaker.be_gone(machine.clock, for_s=30)
    with pytest.raises(StoreDown):
        post(machine.engine, [lunch(1)])
    assert machine.engine.state == EngineState.WAITING_FOR_STORE
    with pytest.raises(StoreDown):
        machine.engine.submit([lunch(2)], print)
    assert machine.database.rows() == rows


def test_what_was_queued_during_an_outage_is_posted_when_the_database_is_back(
    place: Place, machine: LedgerMachine
) -> None:
    engine = small_batches(machine)
    first: list[Sequence[Answer] | Exception] = []
    second: list[Sequence[Answer] | Exception] = []
    engine.submit([lunch(1)], first.append)
    engine.submit([lunch(2)], second.append)
    place.breaker.be_gone(machine.clock, for_s=30)
    engine.step()
    assert isinstance(first[0], StoreDown)
    machine.clock.advance(30_000)
    engine.step()
    assert [answer.refusal for answer in second[0]] == [Refusal.NONE]


def test_a_lost_answer_before_a_long_outage_does_not_cost_the_lease(
    place: Place, machine: LedgerMachine
) -> None:
    place.breaker.clock = machine.clock
    balance = machine.database.balances()[LI][0]
    posted_unheard = 0
    for nth in range(1, 10):  # the commit of the batch is one of the first few
        engine = small_batches(machine)
        first: list[Sequence[Answer] | Exception] = []
        second: list[Sequence[Answer] | Exception] = []
        engine.submit([lunch(2 * nth)], first.append)
        engine.submit([lunch(2 * nth + 1)], second.append)
        written = len(machine.database.rows())
        place.breaker.arm(Fault(LEDGER, What.DATABASE_GONE, Counted.COMMIT, nth, size=30_000))
        engine.step()
        if not isinstance(first[0], StoreDown):
            break  # a batch has fewer commits than that
        posted_unheard += len(machine.database.rows()) - written
        machine.clock.advance(30_000)
        engine.step()
        assert engine.state != EngineState.LEASE_LOST, "the first writer is still the only one"
        assert [answer.refusal for answer in second[0]] == [Refusal.NONE]
        assert post(small_batches(machine), [lunch(2 * nth)])[0].refusal == Refusal.NONE
    assert posted_unheard == 1, "exactly one of them was posted and nobody heard of it"
    place.breaker.arm()
    assert machine.database.balances()[LI][0] == balance - 200 * (nth - 1) - 100
