"""The record of spending on a card, written by real commands together with the debit, and torn."""

from contextlib import closing

import pytest

from campus_node.purse import purchase
from campus_node.purse.apdu import demand
from campus_node.purse.commands import Purse, TransactionType, read_record
from campus_node.purse.journal_entries import State
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import present
from campus_node.spending import rides
from campus_node.spending.card_record import (
    RECORD_ID,
    SFI,
    Spent,
    after_payment,
    read,
    standing,
    whole_record,
)
from campus_node.spending.moments import Moment
from federation.errors import Unavailable
from hil_rig.virtual.memory import PowerLost
from tests.purse.flows.hooks import Died
from tests.purse.flows.scenarios import CARDS
from tests.purse.flows.tears import all_tears, watch
from tests.purse.flows.till import EP_FEN, LAYOUT, Till
from tests.spending.tills import LUNCH, moment

PRICE_FEN = 1_200
RECORD_NUMBER = 1  # of record 11 in our cards' file 0017
RIDE_NUMBER = 2


def spent_of(till: Till) -> Spent:
    """Return what the card remembers, read as a terminal reads it."""
    present(till.channel, LAYOUT)
    found = read(demand(till.channel, read_record(SFI, RECORD_NUMBER)))
    assert found is not None
    return found


def pay(till: Till, fen: int, now: Moment, *more: purchase.CappUpdate) -> Outcome:
    after = after_payment(spent_of(till), now, fen, cut_off=True)
    update = purchase.CappUpdate(SFI, RECORD_ID, whole_record(after))
    request = purchase.PurchaseRequest(
        fen,
        bytes.fromhex(f"{now.day:08d}120000"),
        transaction_type=TransactionType.CAPP,
        capp=(update, *more),
    )
    return purchase.run(request, card=till.channel, sam=till.sam, log=till.log, layout=LAYOUT)


@pytest.mark.parametrize("card", CARDS)
def test_a_card_adds_up_what_it_pays_and_begins_anew_each_day(card: str) -> None:
    with closing(Till(card)) as till:
        assert spent_of(till) == Spent()
        for count in (1, 2, 3):
            assert pay(till, 500, LUNCH).state is State.DONE
            spent = spent_of(till)
            assert (spent.day_fen, spent.month_fen, spent.payments) == (500 * count, 500 * count, count)
            assert spent.meals[1] == count
        assert pay(till, 700, moment("2026-09-02 07:30")).state is State.DONE
        spent = spent_of(till)
        assert (spent.day, spent.day_fen, spent.month_fen, spent.offline_fen) == (20260902, 700, 2_200, 2_200)
        assert spent.meals[:2] == (1, 0)
        assert till.in_card(Purse.EP).balance_fen == EP_FEN - 2_200


def test_a_ride_is_written_with_its_fare_beside_the_spending() -> None:
    ride = rides.Ride(7, 3, 1_788_220_800, 400, bytes(6))
    with closing(Till("card-sm4")) as till:
        update = purchase.CappUpdate(rides.SFI, rides.RECORD_ID, rides.whole_record(ride))
        assert pay(till, 200, LUNCH, update).state is State.DONE
        assert rides.read(demand(till.channel, read_record(rides.SFI, RIDE_NUMBER))) == ride
        assert spent_of(till).day_fen == 200


@pytest.mark.slow
def test_wherever_a_card_is_torn_it_remembers_exactly_what_it_paid() -> None:
    with closing(Till("card-sm4")) as till:
        seen = watch(till, lambda till: pay(till, PRICE_FEN, LUNCH))
    tears = [tear for tear in all_tears(seen) if str(tear).startswith("card")]
    paid = 0
    for tear in tears:
        with closing(Till("card-sm4")) as till:
            tear.plan(till)
            try:
                pay(till, PRICE_FEN, LUNCH)
            except (PowerLost, Died):
                till.reboot()
            except Unavailable:
                pass
            assert tear.fired(till), tear
            till.repair()
            gone_fen = EP_FEN - till.in_card(Purse.EP).balance_fen
            assert gone_fen in {0, PRICE_FEN}, tear
            assert standing(spent_of(till), LUNCH).day_fen == gone_fen, tear
            paid += gone_fen > 0
    print(f"{len(tears)} tears, {paid} after the debit")
    assert 0 < paid < len(tears)
