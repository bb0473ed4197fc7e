"""Sales at a till, as a cashier sees them."""

from dataclasses import replace

import pytest

from campus_node.purse.apdu import demand
from campus_node.purse.commands import TransactionType, read_record
from campus_node.purse.journal_entries import State
from campus_node.purse.presenting import present
from campus_node.spending.card_record import SFI, read
from campus_node.terminal.pos.settings import Consent, Mode, TillSettings
from campus_node.terminal.pos.view import Sound
from hil_rig.virtual.card import VirtualCard
from tests.pos.rig import Rig, play, said
from tests.purse.flows.till import LAYOUT

CANTEEN = TillSettings(merchant="canteen")


def test_an_amount_is_typed_and_a_card_pays_it() -> None:
    rig = Rig()
    play(
        rig,
        """
        type 1               -> idle | to pay | 1.00
        type 2.5             -> idle | to pay | 12.50
        touch li             -> accepted | paid | 12.50 | left 37.50
        wait 3               -> idle | canteen
        """,
    )
    assert rig.held_fen() == 3750
    (sold,) = rig.movements()
    assert (sold.movement.state, sold.movement.transaction_type) == (State.DONE, TransactionType.CAPP)
    assert sold.movement.made_at == bytes.fromhex("20260901120000")
    rig.verify(sold.movement)


def test_amounts_are_added_and_cleared() -> None:
    play(
        Rig(),
        """
        type 3+4.5+.25       -> idle | to pay | 7.75
        clear                -> idle | to pay | 7.50
        type +               -> idle | to pay | 7.50
        type 100000          -> idle | to pay | 10007.50
        cancel               -> idle | canteen
        type 5..5            -> idle | to pay | 5.50
        touch li             -> accepted | paid | 5.50 | left 44.50
        """,
    )


def test_without_an_amount_the_card_shows_what_it_holds() -> None:
    rig = Rig()
    play(rig, "touch li -> idle | the card holds | left 50.00")
    assert rig.journal.last_seq == 0


def test_the_same_again_within_three_seconds_asks_for_an_override() -> None:
    rig = Rig()
    play(
        rig,
        """
        type 4
        touch li             -> accepted | paid | 4.00 | left 46.00
        type 4
        lay li               -> asking | the same card and amount again: sell it once more? | 4.00
        cancel               -> idle | to pay | 4.00
        away
        wait 4
        touch li             -> accepted | paid | 4.00 | left 42.00
        type 4
        touch li             -> asking | the same card and amount again: sell it once more? | 4.00
        ok                   -> asking | present the same card | 4.00
        touch li             -> accepted | paid | 4.00 | left 38.00
        type 5
        touch li             -> accepted | paid | 5.00 | left 33.00
        """,
    )
    assert rig.held_fen() == 3300


def test_an_answer_is_for_one_card_only() -> None:
    rig = Rig()
    rig.another("wang", ep_fen=9000)
    play(
        rig,
        """
        type 25
        touch li             -> asking | PIN or confirmation, please | 25.00
        ok                   -> asking | present the same card | 25.00
        touch wang           -> asking | PIN or confirmation, please | 25.00
        ok
        touch wang           -> accepted | paid | 25.00 | left 65.00
        """,
    )
    assert rig.held_fen() == 5000


def test_a_question_that_nobody_answers_is_dropped() -> None:
    play(
        Rig(),
        """
        type 25
        touch li             -> asking | PIN or confirmation, please | 25.00
        wait 29              -> asking | PIN or confirmation, please | 25.00
        wait 1               -> idle | to pay | 25.00
        """,
    )


def test_an_answer_is_good_for_half_a_minute() -> None:
    rig = Rig()
    play(
        rig,
        """
        type 25
        touch li             -> asking | PIN or confirmation, please | 25.00
        wait 20
        ok                   -> asking | present the same card | 25.00
        wait 9               -> asking | present the same card | 25.00
        wait 1               -> idle | to pay | 25.00
        touch li             -> asking | PIN or confirmation, please | 25.00
        """,
    )
    assert rig.held_fen() == 5000


def test_the_holder_types_the_pin_where_that_is_asked_for() -> None:
    rig = Rig(TillSettings(merchant="shop", consent=Consent.PIN))
    play(
        rig,
        """
        type 30
        lay li               -> asking | type the PIN, then OK | 30.00
        type 12              -> asking | type the PIN, then OK | 30.00
        ok                   -> asking | type the PIN, then OK | 30.00
        type 3457
        ok                   -> asking | type the PIN, then OK | 30.00
        """,
    )
    assert str(rig.view.lines[-2]) == "wrong PIN: 2 tries are left"
    assert "1234" not in str(rig.view)
    play(
        rig,
        """
        type 123457
        clear
        type 6
        ok                   -> accepted | paid | 30.00 | left 20.00
        """,
    )
    assert rig.held_fen() == 2000


@pytest.mark.parametrize(
    ("texts", "class_", "lines", "fen"),
    [
        (("class_2_rate_percent=80",), 2, ["price 10.00", "at 80.00 %: -2.00"], 800),
        (("class_2_rate_percent=120",), 2, ["price 10.00", "at 120.00 %: +2.00"], 1200),
        (("class_2_rate_percent=80",), 1, [], 1000),
        (("surcharge_percent=5",), 1, ["price 10.00", "surcharge 5.00 %: 0.50"], 1050),
        (("meal_2_rate_percent=50",), 1, ["price 10.00", "at 50.00 %: -5.00"], 500),
    ],
)
def test_what_changes_a_price_stands_on_a_line_of_its_own(
    texts: tuple[str, ...], class_: int, lines: list[str], fen: int
) -> None:
    rig = Rig(CANTEEN, *texts)
    rig.another("wang", ep_fen=5000, card_class=class_)
    rig.type("10")
    view = rig.touch("wang")
    assert (view.amount_fen, [str(line) for line in view.lines]) == (fen, lines)


def test_one_price_a_menu_a_quota() -> None:
    fixed = Rig(TillSettings(Mode.FIXED, "tea"), "price_fen=350")
    play(fixed, "touch li -> accepted | paid | 3.50 | left 46.50")
    menu = Rig(TillSettings(Mode.MENU, "noodles"), "item_1_price_fen=800", "item_12_price_fen=150")
    play(
        menu,
        """
        type 1+12+1+         -> idle | chosen
        touch li             -> accepted | paid | 17.50 | left 32.50
        type 7
        touch li             -> refused | this has no price
        cancel               -> idle | noodles
        """,
    )
    quota = Rig(TillSettings(Mode.QUOTA, "lunch"), "meal_2_quota_fen=600", "meal_payments_max_count=1")
    play(
        quota,
        """
        touch li             -> accepted | paid | 6.00 | left 44.00
        wait 60
        touch li             -> refused | this card has had its payments of this meal | 6.00
        """,
    )


def test_a_card_remembers_what_it_paid_and_a_day_has_its_limit() -> None:
    rig = Rig(CANTEEN, "day_max_fen=1000")
    play(
        rig,
        """
        type 6
        touch li             -> accepted | paid | 6.00 | left 44.00
        type 6
        wait 10
        touch li             -> refused | the amount is over this card's limit of the day | 6.00
        cancel
        wait 43200           -> idle | canteen
        type 6
        touch li             -> accepted | paid | 6.00 | left 38.00
        """,
    )
    rig.lay()
    channel = rig.opened()
    present(channel, LAYOUT)
    spent = read(demand(channel, read_record(SFI, 1)))
    assert spent is not None
    assert (spent.day, spent.day_fen, spent.month_fen, spent.offline_fen) == (20260902, 600, 1200, 1200)


def test_a_card_without_memory_is_counted_by_the_till_also_after_a_power_cut() -> None:
    rig = Rig()
    rig.another("old", ep_fen=9000, remembers=False)
    play(
        rig,
        """
        type 21
        touch old            -> refused | a card without a record of its spending pays only a little | 21.00
        cancel
        type 20
        touch old            -> accepted | paid | 20.00 | left 70.00
        type 19
        touch old            -> accepted | paid | 19.00 | left 51.00
        restart              -> idle | canteen
        type 11.01
        touch old            -> refused | a card without a record of its spending pays only a little | 11.01
        cancel
        type 11
        touch old            -> accepted | paid | 11.00 | left 40.00
        """,
    )
    kinds = {recorded.movement.transaction_type for recorded in rig.movements()}
    assert kinds == {TransactionType.EP_PURCHASE}


@pytest.mark.parametrize("profile", ["card-sm4", "card-3des"])
@pytest.mark.parametrize("asks_back", [False, True], ids=["answers at once", "asks back as under T=0"])
def test_cards_of_every_make_pay(profile: str, asks_back: bool) -> None:
    rig = Rig(profile=profile)
    flags = replace(rig.profile.flags, get_response=asks_back)
    rig.cards["other"] = VirtualCard(replace(rig.profile, flags=flags))
    rig.type("12")
    assert said(rig.touch("other")) == "accepted | paid | 12.00 | left 38.00"
    (sold,) = rig.movements()
    rig.verify(sold.movement)


def test_each_moment_is_heard_once() -> None:
    rig = Rig()
    rig.type("4")
    assert rig.lay().sound is Sound.ACCEPTED
    rig.take_away()
    assert rig.wait(3).sound is Sound.SILENT
    rig.type("600")
    assert rig.touch().sound is Sound.REFUSED
