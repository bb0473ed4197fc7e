"""The same flows over the PC/SC service, card and PSAM in two readers: whole, and torn here and there."""

import random
from collections.abc import Callable, Iterator

import pytest

from campus_node.purse.journal_entries import State
from campus_node.purse.pcsc import PcscReader
from federation.clock import SystemClock
from hil_rig.virtual.vpcd import VpcdSlot
from tests.purse.flows.agreement import demand_recovery_changes_nothing, go_on
from tests.purse.flows.scenarios import CARDS, SCENARIOS, Scenario
from tests.purse.flows.tears import all_tears, watch
from tests.purse.flows.test_tears import tear
from tests.purse.flows.till import Place, Till
from tests.soak import size

pytestmark = pytest.mark.pcsc

TEARS = size(2, 25)  # of each flow; each costs a second until the service has noticed

MakeTill = Callable[[str], Till]


@pytest.fixture
def make_till(card_slot: VpcdSlot, psam_slot: VpcdSlot) -> Iterator[MakeTill]:
    """Give what makes a till over PC/SC; the one before is taken apart."""
    readers = PcscReader(card_slot.name), PcscReader(psam_slot.name)
    tills: list[Till] = []

    def take_apart() -> None:
        for till in tills:
            till.close()
        for hand, reader in zip((card_slot, psam_slot), readers, strict=True):
            hand.remove()
            hand.tears.forget()
            assert reader.wait_for_removal(10)
        tills.clear()

    def make(profile: str) -> Till:
        take_apart()
        card, psam = (
            Place(hand, reader, lambda hand=hand: not hand.occupied)  # type: ignore[misc]  # binds hand now
            for hand, reader in zip((card_slot, psam_slot), readers, strict=True)
        )
        tills.append(Till(profile, places=(card, psam), clock=SystemClock()))
        return tills[-1]

    yield make
    take_apart()
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("card", CARDS)
def test_every_flow_moves_the_money_once(make_till: MakeTill, card: str) -> None:
    till = make_till(card)
    for scenario in SCENARIOS:
        before_fen = till.in_card(scenario.purse).balance_fen
        outcome = scenario.run(till)
        assert (outcome.state, outcome.checked) == (State.DONE, True), scenario
        assert till.in_card(scenario.purse).balance_fen == before_fen + scenario.change_fen, scenario
        till.verify(outcome.movement)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_after_a_tear_the_same_card_settles_it(make_till: MakeTill, scenario: Scenario, seed: int) -> None:
    rng = random.Random(seed)
    card = rng.choice(CARDS)
    in_process = Till(card)
    seen = watch(in_process, scenario.run)
    in_process.close()
    tears = [what for what in all_tears(seen) if "write" in what.name or "command" in what.name]
    for what in rng.sample(tears, TEARS):
        till = make_till(card)
        tear(till, scenario, what)
        for settled in till.settle_all():
            assert settled.state in {State.DONE, State.VOID}, what
        demand_recovery_changes_nothing(till, what)
        go_on(till, scenario, what)
