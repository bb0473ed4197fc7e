"""What must hold after a recovery: card, journal and issuer tell the same, and no more than that."""

from dataclasses import replace

from campus_node.purse.commands import Purse
from campus_node.purse.journal_entries import Movement, State
from campus_node.purse.load_book import LoadState
from campus_node.purse.movement_log import Recorded
from campus_node.purse.shared_steps import load_request
from tests.purse.flows.scenarios import CAPP, Scenario
from tests.purse.flows.till import ED_FEN, EP_FEN, Till

CAPP_RECORDS = tuple(update.record for update in CAPP)


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
    """Demand that recovering what is settled gives the same answer, asks nothing and writes nothing."""
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
