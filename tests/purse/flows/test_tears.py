"""Torn at every command, every byte of every answer, every byte of every write: nobody pays twice, nothing is lost.

Exhaustive, in this process. After each tear the same card comes back, and then card, journal and issuer must agree.
"""

from contextlib import closing
from dataclasses import replace

import pytest

from campus_node.purse.commands import Purse
from campus_node.purse.journal_entries import Movement, State
from campus_node.purse.load_book import LoadState
from campus_node.purse.movement_log import Recorded
from campus_node.purse.outcome import Outcome
from campus_node.purse.shared_steps import load_request
from federation.errors import Unavailable
from hil_rig.virtual.memory import PowerLost
from tests.purse.flows.scenarios import CAPP, CARDS, SCENARIOS, Scenario
from tests.purse.flows.tears import Tear, Watched, all_tears, watch
from tests.purse.flows.till import ED_FEN, EP_FEN, Died, Till

CAPP_RECORDS = tuple(update.record for update in CAPP)


def tear(till: Till, scenario: Scenario, what: Tear) -> Outcome | None:
    """Run a flow that is torn; afterwards the process lives, and card and PSAM lie where they should."""
    outcome = None
    what.plan(till)
    try:
        outcome = scenario.run(till)
    except (PowerLost, Died):
        assert what.kills, what
    except Unavailable:
        assert not what.kills, what
    assert what.fired(till), f"{what}: not torn"
    if what.kills:
        till.reboot()
    till.repair()
    return outcome


def demand_in_card(till: Till, scenario: Scenario, times: int, what: object) -> None:
    """Demand that the card was changed so many times, wholly, and no more."""
    purse = till.in_card(scenario.purse)
    first_fen = EP_FEN if scenario.purse is Purse.EP else ED_FEN
    assert purse.balance_fen == first_fen + times * scenario.change_fen, what
    assert (purse.online_seq, purse.offline_seq) == ((times, 0) if scenario.online else (0, times)), what
    if scenario.capp:
        records = CAPP_RECORDS if times else till.first_capp_records
        assert till.capp_records() == records, what


def demand_agreement(till: Till, scenario: Scenario, what: object) -> int:
    """Demand that journal, card and issuer tell the same; return how often it was done."""
    movements = [recorded.movement for recorded in till.movements()]
    assert {movement.state for movement in movements} <= {State.DONE, State.VOID}, what
    done = [movement for movement in movements if movement.state is State.DONE]
    demand_in_card(till, scenario, len(done), what)
    for movement in done:
        till.verify(movement)
    if scenario.online:
        demand_issuer_agrees(till, movements, what)
    return len(done)


def demand_issuer_agrees(till: Till, movements: list[Movement], what: object) -> None:
    """Demand that the issuer debited what is done and nothing else, once it has the records."""
    for movement in movements:
        request = load_request(movement)
        proof = movement.mac3 or movement.tac
        if movement.state is State.DONE and proof is not None:
            till.issuer.complete(request, proof)  # as the uploaded record will; again changes nothing
        row = till.book.find(request)
        approved = row is not None and row.is_same(request)
        if movement.state is State.DONE:
            assert approved, what
        if row is not None and approved:
            state = LoadState.WRITTEN if movement.state is State.DONE else LoadState.VOID
            assert row.state is state, f"{what}: the account says {row.state.word}"
    known = {movement.card_random for movement in movements}
    assert till.line.approved <= known, f"{what}: the account was debited for what no journal knows"


def demand_recovery_changes_nothing(till: Till, what: object) -> None:
    """Demand that recovering what is settled gives the same answer, asks the card nothing and writes nothing."""
    entries, asked = till.journal.last_seq, len(till.card_seen)
    for recorded in till.movements():
        first = replace(recorded, movement=replace(recorded.movement, state=State.SENT, opened_seq=0))
        for known in (recorded, Recorded(recorded.opened_seq, first.movement)):
            outcome = till.settle(known)
            assert outcome.state is recorded.movement.state, what
    assert (till.journal.last_seq, len(till.card_seen)) == (entries, asked), what


def go_on(till: Till, scenario: Scenario, what: object) -> None:
    """Do what a cashier does after a recovery: what is void is done again; and then it has happened once."""
    if demand_agreement(till, scenario, what) == 0:
        till.repair()
        assert scenario.run(till).state is State.DONE, what
        assert demand_agreement(till, scenario, what) == 1, what


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_after_any_tear_the_same_card_settles_it(card: str, scenario: Scenario) -> None:
    tears = list(all_tears(watched(card, scenario)))
    unsettled = 0
    for what in tears:
        with closing(Till(card)) as till:
            outcome = tear(till, scenario, what)
            if till.log.unsettled():
                unsettled += 1
                assert outcome is None or outcome.state is State.GREY, what
            for settled in till.settle_all():
                assert settled.state in {State.DONE, State.VOID}, what
            demand_recovery_changes_nothing(till, what)
            go_on(till, scenario, what)
    print(f"{len(tears)} tears, {unsettled} of them in doubt")
    assert unsettled > len(tears) // 8, "most of these tears should hurt"


def watched(card: str, scenario: Scenario) -> Watched:
    with closing(Till(card)) as till:
        return watch(till, scenario.run)
