"""Every flow from end to end, with card and PSAM in software, under both algorithms; and what is refused beforehand."""

import pytest

from campus_node.purse.journal_entries import State
from tests.purse.flows.scenarios import CAPP, CARDS, SCENARIOS, Scenario
from tests.purse.flows.till import Till


@pytest.fixture(params=CARDS)
def till(request: pytest.FixtureRequest) -> Till:
    return Till(request.param)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_flow_moves_the_money_once_and_its_record_convinces_the_issuer(
    till: Till, scenario: Scenario
) -> None:
    before = till.in_card(scenario.purse)
    for round_number in range(1, 3):
        outcome = scenario.run(till)
        assert (outcome.state, outcome.checked) == (State.DONE, True)
        now = till.in_card(scenario.purse)
        assert (
            now.balance_fen == before.balance_fen + round_number * scenario.change_fen == outcome.balance_fen
        )
        moved = now.online_seq - before.online_seq, now.offline_seq - before.offline_seq
        assert moved == ((round_number, 0) if scenario.online else (0, round_number))
        assert outcome.card_seq == round_number - 1
        till.verify(outcome.movement)
    assert not till.log.unsettled()
    if scenario.capp:
        assert till.capp_records() == tuple(update.record for update in CAPP)
