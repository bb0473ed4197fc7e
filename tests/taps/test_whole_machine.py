"""Any program of taps, tears, cuts, losses and restarts: each payment of a card is booked once (A7, A15)."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hil_rig.torn_storage import Cut
from tests.purse.flows.hooks import Died
from tests.soak import size
from tests.taps.whole import Whole, purse_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(size(300, 7200))]

CARDS = st.sampled_from([1001, 1002])
TILLS = st.integers(0, 1)
AMOUNTS = st.sampled_from([130, 250, 990])
FATES = st.sampled_from(["arrives", "arrives", "arrives", "twice", "lost", "late"])


class WholeMachine(RuleBasedStateMachine):
    """Two cards, two tills, a line, a gateway, a node. The model: what is gone from a purse, nothing else."""

    directory: Path
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.whole = Whole(self.directory, self.template, seed=1)

    @rule(till=TILLS, number=CARDS, amount_fen=AMOUNTS)
    def taps(self, till: int, number: int, amount_fen: int) -> None:
        self.whole.tills[till].touch(self.whole.cards[number], amount_fen)

    @rule(
        till=TILLS,
        number=CARDS,
        amount_fen=AMOUNTS,
        nth=st.integers(1, 9),
        how=st.sampled_from(["tear_before_command", "tear_after_command"]),
    )
    def tears(self, till: int, number: int, amount_fen: int, nth: int, how: str) -> None:
        getattr(self.whole.tills[till].reader, how)(nth)
        self.whole.tills[till].touch(self.whole.cards[number], amount_fen)

    @rule(till=TILLS, number=CARDS, amount_fen=AMOUNTS, nth=st.integers(1, 9), after=st.booleans())
    def dies_at_a_command(self, till: int, number: int, amount_fen: int, nth: int, after: bool) -> None:
        self.whole.tills[till].hook.plan(nth, Died, after=after)
        self.whole.tills[till].touch(self.whole.cards[number], amount_fen)
        self.whole.tills[till].hook.error = None

    @rule(till=TILLS, number=CARDS, amount_fen=AMOUNTS, write=st.integers(1, 2), last=st.integers(0, 512))
    def loses_power_at_a_write(self, till: int, number: int, amount_fen: int, write: int, last: int) -> None:
        storage = self.whole.tills[till].storage
        storage.plan(Cut(storage.writes + write, 0, last))
        self.whole.tills[till].touch(self.whole.cards[number], amount_fen)
        self.whole.tills[till].boot()

    @rule(acts=st.lists(st.tuples(TILLS, CARDS, AMOUNTS, FATES), min_size=2, max_size=6))
    def a_busy_minute(self, acts: list[tuple[int, int, int, str]]) -> None:
        for till, number, amount_fen, fate in acts:
            self.whole.tills[till].touch(self.whole.cards[number], amount_fen)
            self.whole.speak(self.whole.tills[till])
            if self.whole.air:
                self.carry(fate)

    @rule(till=TILLS)
    def till_restarts(self, till: int) -> None:
        self.whole.tills[till].boot()

    @rule(fates=st.lists(FATES, min_size=1, max_size=4))
    def both_speak_and_the_line_carries(self, fates: list[str]) -> None:
        for till in self.whole.tills:
            self.whole.speak(till)
        for fate in fates:
            if self.whole.air:
                self.carry(fate)

    @precondition(lambda self: self.whole.air)
    @rule(fate=FATES)
    def the_line_carries(self, fate: str) -> None:
        self.carry(fate)

    def carry(self, fate: str) -> None:
        message = self.whole.air.pop(0)
        if fate in {"arrives", "twice"}:
            self.whole.arrive(message)
        if fate == "twice":
            self.whole.arrive(message)
        if fate == "late":
            self.whole.air.append(message)

    @rule()
    def gateway_restarts(self) -> None:
        self.whole.restart_gateway()

    @rule(most=st.sampled_from([1, 2, 256]), answered=st.booleans())
    def gateway_sends(self, most: int, answered: bool) -> None:
        self.whole.send_to_node(most, answered=answered)

    @rule()
    def node_books(self) -> None:
        self.whole.canteen.work()

    @rule()
    def node_restarts(self) -> None:
        self.whole.restart_node()

    @rule(seconds=st.sampled_from([1, 4, 11, 61]))
    def waits(self, seconds: int) -> None:
        self.whole.wait(seconds)

    @invariant()
    def never_more_is_booked_than_a_card_has_paid(self) -> None:
        for number in self.whole.cards:
            assert self.whole.canteen.spent_fen(number) <= self.whole.gone_fen(number)

    def teardown(self) -> None:
        try:
            self.whole.come_to_rest()
            for number in self.whole.cards:
                assert self.whole.canteen.spent_fen(number) == self.whole.gone_fen(number)
            paid = sum(purse_of(card).offline_seq for card in self.whole.cards.values())
            assert self.whole.canteen.movements() == paid
            self.whole.canteen.require_balanced()
        finally:
            self.whole.close()


def test_whatever_happens_each_payment_of_a_card_is_booked_once(
    tmp_path: Path, sqlite_template: Path
) -> None:
    class Machine(WholeMachine):
        directory, template = tmp_path / "whole", sqlite_template

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=size(30, 2000),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
