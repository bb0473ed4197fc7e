"""Torn at every command, every byte of every answer and of every write: nobody pays twice, nothing is lost.

Exhaustive, in this process. After each tear the same card comes back; card, journal and issuer must agree.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

import pytest

from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.outcome import Outcome
from federation.errors import Unavailable
from hil_rig.torn_storage import TornStorage
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.memory import PowerLost
from tests.purse.flows.agreement import (
    demand_agreement,
    demand_in_card,
    demand_recovery_changes_nothing,
    go_on,
)
from tests.purse.flows.hooks import Died
from tests.purse.flows.scenarios import CARDS, SCENARIOS, Scenario
from tests.purse.flows.tears import Tear, Watched, all_tears, watch
from tests.purse.flows.till import Till, card_profile

Result = TypeVar("Result")
LAST_STEPS = (b"\x80\x54", b"\x80\x52")  # DEBIT and CREDIT FOR LOAD: what changes the card


def tear(till: Till, scenario: Scenario, what: Tear) -> Outcome | None:
    """Run a flow that is torn; afterwards the process lives, and card and PSAM lie where they should."""
    return torn(till, what, lambda: scenario.run(till))


def torn(till: Till, what: Tear, run: Callable[[], Result]) -> Result | None:
    """Run something that is torn; afterwards the process lives, and card and PSAM lie where they should."""
    outcome = None
    what.plan(till)
    try:
        outcome = run()
    except (PowerLost, Died):
        assert what.kills, what
    except Unavailable:
        assert not what.kills, what
    assert what.fired(till), f"{what}: not torn"
    if what.kills:
        till.reboot()
    till.repair()
    return outcome


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


def test_on_a_disk_that_does_not_sync_these_tests_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TornStorage, "sync", lambda _: None)
    scenario = SCENARIOS[0]
    with closing(Till("card-3des")) as till:
        till.card_hook.plan(3, Died, after=True)
        with pytest.raises(Died):
            scenario.run(till)
        till.reboot()
        till.repair()
        assert not till.log.unsettled()
        with pytest.raises(AssertionError):
            demand_agreement(till, scenario, "charged, and no record")


# In doubt: the card left, or the process died, just before or just after the step that changes the card.


def doubts(card: str, scenario: Scenario) -> Iterator[tuple[Tear, bool]]:
    """Yield the ways into doubt about a flow, and whether the card has done it."""
    with closing(Till(card)) as till:
        seen = watch(till, scenario.run)
        sent = [number for number, (command, _) in enumerate(till.card_seen, 1) if command[:2] in LAST_STEPS]
    (last,) = sent
    wanted = {
        f"card leaves before command {last}": False,
        f"card leaves after command {last}": True,
        f"the process dies before question {last} to the card": False,
        f"the process dies after question {last} to the card": True,
    }
    if scenario.online:
        wanted["the process dies before question 1 to the issuer"] = False
        wanted["the process dies after question 1 to the issuer"] = False
    found = [(what, wanted[what.name]) for what in all_tears(seen) if what.name in wanted]
    assert len(found) == len(wanted)
    yield from found


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_while_the_card_is_away_it_is_grey_and_when_it_is_back_it_is_settled(
    card: str, scenario: Scenario
) -> None:
    for what, happened in doubts(card, scenario):
        with closing(Till(card)) as till:
            tear(till, scenario, what)
            (doubt,) = till.log.unsettled()
            till.card_reader.remove()
            for _ in range(2):
                waiting_s = till.clock.monotonic_s()
                nobody = till.settle(doubt)
                assert (nobody.state, nobody.reason) == (State.GREY, Reason.TORN), what
                assert nobody.balance_fen is None, what
                assert till.clock.monotonic_s() - waiting_s >= 10, "the window is waited out"
            entries = till.journal.last_seq
            states = [recorded.movement.state for recorded in till.movements()]
            assert states == [State.GREY], what
            till.settle(doubt)
            assert till.journal.last_seq == entries, "grey is written down once"
            demand_in_card(till, scenario, int(happened), what)
            till.repair()
            (settled,) = till.settle_all()
            assert settled.state is (State.DONE if happened else State.VOID), what
            demand_recovery_changes_nothing(till, what)
            go_on(till, scenario, what)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_another_card_is_passed_over_and_not_touched(scenario: Scenario) -> None:
    for what, happened in doubts("card-3des", scenario):
        with closing(Till("card-3des")) as till:
            tear(till, scenario, what)
            (doubt,) = till.log.unsettled()
            entries = till.journal.last_seq
            other = VirtualCard(card_profile("card-sm4"))
            before = dict(other.memory.slots)
            till.card_reader.remove()
            till.card_reader.insert(other)
            grey = till.settle(doubt)
            assert (grey.state, grey.reason) == (State.GREY, Reason.TORN), what
            assert dict(other.memory.slots) == before, what
            assert till.journal.last_seq == entries + 1, "that it is grey"
            till.card_reader.remove()
            till.card_reader.insert(till.card)
            (settled,) = till.settle_all()
            assert settled.state is (State.DONE if happened else State.VOID), what
            go_on(till, scenario, what)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_recovery_that_is_torn_anywhere_is_recovered_again(scenario: Scenario) -> None:
    card, count = "card-3des", 0
    for what, happened in doubts(card, scenario):
        with closing(Till(card)) as till:
            tear(till, scenario, what)
            seen = watch(till, Till.settle_all)
        for second in all_tears(seen):
            count += 1
            both = f"{what}, then {second}"
            with closing(Till(card)) as till:
                tear(till, scenario, what)
                torn(till, second, till.settle_all)
                for settled in till.settle_all():
                    assert settled.state in {State.DONE, State.VOID}, both
                (recorded,) = till.movements()
                assert recorded.movement.state is (State.DONE if happened else State.VOID), both
                demand_recovery_changes_nothing(till, both)
                go_on(till, scenario, both)
    print(f"{count} second tears")
