"""Grey sales: in no sum until evidence closes them (rules of the field, 13 to 17)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from campus_node.database.connect import reading
from campus_node.purse.errors import CardLeft
from campus_node.purse.journal_entries import State
from campus_node.records import grey
from campus_node.records.grey import GreyState
from campus_node.records.spooled import Outcome
from federation.clock import VirtualClock
from hil_rig.sales import SoftTill
from hil_rig.virtual.card import VirtualCard
from tests.records.build import SEVEN
from tests.records.counter import NOON, Canteen


@pytest.fixture
def canteen(db: Engine, url: str, clock: VirtualClock, tmp_path: Path) -> Iterator[Canteen]:
    made = Canteen(db, url, clock, tmp_path)
    yield made
    made.close()


def tear(till: SoftTill, card: VirtualCard, fen: int, *, charged: bool) -> None:
    """A sale in whose DEBIT the card leaves, after it was charged or before; raises what the till raises."""
    planned = till.card_reader.tear_after_command if charged else till.card_reader.tear_before_command
    for nth in range(2, 12):
        before = till.journal.last_seq
        planned(nth)
        try:
            outcome = till.sell(card, fen, NOON)
        except CardLeft:  # too early: nothing was written
            assert till.journal.last_seq == before
            continue
        finally:
            till.card_reader.tears.forget()
        assert outcome.state is State.GREY
        return
    raise AssertionError("no command of the sale was the DEBIT")


def states(canteen: Canteen) -> list[GreyState]:
    with reading(canteen.db) as connection:
        return [each.state for each in grey.listed(connection, 100, everything=True)]


def test_a_sale_whose_end_has_not_come_is_in_no_sum(canteen: Canteen, clock: VirtualClock) -> None:
    tear(canteen.seven, canteen.li, 700, charged=True)
    canteen.bring()
    canteen.work()
    assert canteen.outcomes() == {(Outcome.PENDING, "begun"): 1}
    assert canteen.bookkeeper.end_begun(600_000) == 0
    clock.advance(601_000)
    assert canteen.bookkeeper.end_begun(600_000) == 1
    assert canteen.outcomes() == {(Outcome.PENDING, "grey"): 1}
    assert states(canteen) == [GreyState.OPEN]
    assert canteen.earned_fen == 0


def test_a_later_sale_of_the_card_elsewhere_proves_it_and_it_is_paid_without_a_tac(
    canteen: Canteen, clock: VirtualClock
) -> None:
    tear(canteen.seven, canteen.li, 700, charged=True)
    canteen.bring(canteen.seven)
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    canteen.fourteen.sell(canteen.li, 90, NOON)
    canteen.bring(canteen.fourteen)
    canteen.work()
    assert states(canteen) == [GreyState.PROVEN]
    assert canteen.earned_fen == canteen.spent_fen(1001) == 790
    assert (Outcome.ACCEPTED, "proven") in canteen.outcomes()
    canteen.require_balanced()


def test_a_later_sale_under_its_counter_shows_that_it_never_happened(
    canteen: Canteen, clock: VirtualClock
) -> None:
    tear(canteen.seven, canteen.li, 700, charged=False)
    canteen.bring(canteen.seven)
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    canteen.fourteen.sell(canteen.li, 90, NOON)
    canteen.bring(canteen.fourteen)
    canteen.work()
    assert states(canteen) == [GreyState.VOID]
    assert canteen.earned_fen == 90


def test_evidence_that_is_here_before_the_grey_one_counts_as_well(
    canteen: Canteen, clock: VirtualClock
) -> None:
    tear(canteen.seven, canteen.li, 700, charged=True)
    tear(canteen.seven, canteen.wang, 500, charged=False)
    canteen.fourteen.sell(canteen.li, 90, NOON)
    canteen.fourteen.sell(canteen.wang, 80, NOON)
    canteen.bring(canteen.fourteen)
    canteen.work()
    clock.advance(3_600_000)
    canteen.bring(canteen.seven)
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    assert sorted(states(canteen)) == [GreyState.PROVEN, GreyState.VOID]
    assert canteen.earned_fen == 700 + 90 + 80
    canteen.require_balanced()


def test_two_in_a_row_prove_each_other_from_the_last(canteen: Canteen, clock: VirtualClock) -> None:
    tear(canteen.seven, canteen.li, 700, charged=True)
    tear(canteen.fourteen, canteen.li, 600, charged=True)
    canteen.bring()
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    assert canteen.earned_fen == 0
    third = SoftTill(SEVEN.terminal_id, b"3" * 16, clock, first_seq=100)
    third.sell(canteen.li, 90, NOON)
    canteen.deliver(third.records())
    canteen.work()
    assert states(canteen) == [GreyState.PROVEN, GreyState.PROVEN]
    assert canteen.earned_fen == 700 + 600 + 90


def test_a_balance_that_does_not_fit_leaves_it_open(canteen: Canteen, clock: VirtualClock) -> None:
    tear(canteen.seven, canteen.li, 700, charged=True)
    canteen.bring(canteen.seven)
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    with reading(canteen.db) as connection:
        (one,) = grey.listed(connection, 10)
    following = grey.Neighbour(one.terminal_id, 90, one.balance_before_fen, b"j" * 16, 1)
    assert grey.judge(one, None, following) is GreyState.OPEN
    assert grey.judge(one, None, None) is GreyState.OPEN


def test_its_own_end_that_comes_late_books_it_once(canteen: Canteen, clock: VirtualClock) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    begun, done = canteen.seven.records()
    canteen.deliver([begun])
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    assert states(canteen) == [GreyState.OPEN]
    canteen.deliver([done])
    assert canteen.work() == 1
    assert states(canteen) == [GreyState.PROVEN]
    assert canteen.outcomes() == {(Outcome.ACCEPTED, None): 1, (Outcome.ACCEPTED, "step"): 1}
    assert canteen.earned_fen == 700


def test_its_proof_after_the_evidence_is_the_same_movement(canteen: Canteen, clock: VirtualClock) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    canteen.fourteen.sell(canteen.li, 90, NOON)
    begun, done = canteen.seven.records()
    canteen.deliver([begun])
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    canteen.bring(canteen.fourteen)
    canteen.work()
    assert states(canteen) == [GreyState.PROVEN]
    canteen.deliver([done])
    assert canteen.work() == 0
    assert canteen.outcomes()[Outcome.ACCEPTED, "repeated"] == 1
    assert canteen.earned_fen == 790
    assert canteen.frozen == []
    canteen.require_balanced()


def test_the_end_before_the_beginning_leaves_nothing_open(canteen: Canteen, clock: VirtualClock) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    begun, done = canteen.seven.records()
    canteen.deliver([done])
    canteen.work()
    canteen.deliver([begun])
    canteen.work()
    clock.advance(601_000)
    assert canteen.bookkeeper.end_begun(600_000) == 0
    assert canteen.outcomes() == {(Outcome.ACCEPTED, None): 1, (Outcome.ACCEPTED, "step"): 1}
