"""Vehicles, water and laundry, load machines."""

import pytest

from campus_node.purse.commands import TransactionType
from campus_node.purse.journal_entries import State
from campus_node.terminal.pos.settings import Mode, TillSettings
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.view import Mood
from federation.errors import Unavailable
from tests.pos.rig import Rig, play, said

MATRIX = "fare_matrix_fen=0,200,300;200,0,150;300,150,0"
RIDE = "accepted | have a good ride"


def bus(mode: Mode, stop: int = 0, *texts: str) -> Rig:
    return Rig(TillSettings(mode, "line 7", tariff=7, stop=stop), MATRIX, *texts)


def on_board(rig: Rig, mode: Mode, stop: int) -> Rig:
    """Return the terminal at the other door, with the same card and clock."""
    other = Rig(TillSettings(mode, "line 7", tariff=7, stop=stop), MATRIX)
    other.time.advance(rig.time.unix_ms() - other.time.unix_ms())
    other.take_away()
    rig.take_away()
    other.card = rig.card
    other.cards = rig.cards
    return other


def test_a_flat_ride() -> None:
    rig = Rig(TillSettings(Mode.FLAT, "line 7", tariff=7), "class_1_rate_percent=50")
    assert said(rig.touch()) == f"{RIDE} | 1.00 | left 49.00"
    assert said(rig.touch()) == "asking | the same card and amount again: sell it once more? | 1.00"
    rig = Rig(TillSettings(Mode.FLAT, "line 7"), "fare_flat_fen=0")
    assert said(rig.touch()) == f"{RIDE} | 0.00 | left 50.00"


def test_a_ride_by_stops_is_paid_at_the_exit() -> None:
    entrance = bus(Mode.ENTRY, 0)
    assert said(entrance.touch()) == f"{RIDE} | 0.00 | left 50.00"
    (entered,) = entrance.movements()
    assert (entered.movement.transaction_type, entered.movement.amount_fen) == (TransactionType.CAPP, 0)
    assert entered.movement.state is State.DONE
    entrance.verify(entered.movement)
    entrance.wait(30)
    assert said(entrance.touch()) == "accepted | the ride has begun already | 0.00"
    assert entrance.journal.last_seq == 2, "held twice to the same entrance, entered once"
    entrance.wait(300)
    leaving = on_board(entrance, Mode.EXIT, 2)
    assert said(leaving.touch()) == f"{RIDE} | 3.00 | left 47.00"
    leaving.wait(60)
    view = leaving.touch()
    assert said(view) == f"{RIDE} | 10.00 | left 37.00"
    assert [str(line) for line in view.lines] == ["no entrance was recorded: the whole way is charged"]


def test_a_ride_that_nobody_ended_is_charged_at_the_next_entrance() -> None:
    rig = bus(Mode.ENTRY)
    rig.touch()
    rig.wait(3600)
    rig.do("stop 2")
    view = rig.touch()
    assert said(view) == f"{RIDE} | 10.00 | left 40.00"
    assert [str(line) for line in view.lines] == [
        "a ride was not ended: the whole way is charged",
        "the ride begins: hold the card to the exit, too",
    ]


def test_a_ride_begins_only_with_what_it_may_cost() -> None:
    rig = bus(Mode.ENTRY)
    rig.another("poor", ep_fen=999)
    assert said(rig.touch("poor")) == "refused | there is not enough money on this card | 10.00"
    rig.another("old", 458, ep_fen=5000, remembers=False)
    assert said(rig.touch("old")) == "refused | this card has no record of rides: pay the driver"
    assert not rig.movements()


def test_an_entrance_torn_at_its_debit_is_settled_by_the_same_card() -> None:
    for tear in ("tear_before_command", "tear_after_command"):
        rig = bus(Mode.ENTRY)
        getattr(rig.card_reader, tear)(10)
        assert said(rig.lay()) == "unknown | state unknown: present the same card | 0.00"
        rig.pos.card_gone(rig.now_s)
        assert said(rig.lay()) in {
            f"{RIDE} | 0.00 | left 50.00",
            "accepted | the ride has begun already | 0.00",
        }
        assert not rig.log.unsettled()


# Water: 1000 units cost 30 fen, a step is 10 fen, as the parameters are by default.


def water(*texts: str) -> Rig:
    return Rig(TillSettings(Mode.SESSION, "showers", tariff=3), "tariff_3_meal_counted=no", *texts)


def test_water_is_paid_step_by_step_before_it_runs() -> None:
    rig = water()
    assert said(rig.lay()) == "working | paid so far | 0.10 | left 49.90"
    assert (rig.pos.stage, rig.pos.paid_units) == (Stage.SESSION, 333)
    play(
        rig,
        """
        meter 332            -> working | paid so far | 0.10 | left 49.90
        meter 333            -> working | paid so far | 0.20 | left 49.80
        wait 30
        meter 700            -> working | paid so far | 0.30 | left 49.70
        away                 -> accepted | the session has ended | 0.30
        wait 3               -> idle | showers
        """,
    )
    assert rig.held_fen() == 4970
    assert rig.pos.paid_units == 0


def test_a_session_ends_idle_at_its_most_and_when_the_purse_is_empty() -> None:
    rig = water("session_idle_max_s=20")
    rig.lay()
    assert rig.pos.due_s == rig.now_s + 20
    assert said(rig.wait(19)) == "working | paid so far | 0.10 | left 49.90"
    assert said(rig.wait(1)) == "accepted | the session has ended | 0.10"
    rig = water("session_max_fen=20")
    rig.lay()
    rig.do("meter 333")
    assert said(rig.do("meter 666")) == "accepted | the session has ended | 0.20"
    rig = water()
    rig.another("poor", ep_fen=15)
    rig.lay("poor")
    assert said(rig.do("meter 333")) == "refused | there is not enough money on this card"
    assert rig.pos.paid_units == 0


def test_a_step_that_is_torn_stops_the_water_and_is_settled() -> None:
    rig = water()
    rig.lay()
    rig.card_reader.tear_after_command(7)
    assert rig.do("meter 333").mood is Mood.UNKNOWN
    assert rig.pos.paid_units == 0
    rig.pos.card_gone(rig.now_s)
    view = rig.touch()
    assert said(view) == "accepted | paid | 0.10 | left 49.80"
    assert not rig.log.unsettled()


def test_many_steps_are_one_payment_and_not_of_a_meal() -> None:
    rig = water("meal_payments_max_count=1", "confirm_day_above_fen=25")
    rig.lay()
    for units in (333, 666, 1000):
        assert rig.do(f"meter {units}").mood is Mood.WORKING
    rig.do("away")
    rig.wait(10)
    assert said(rig.lay()) == "asking | PIN or confirmation, please | 0.10"
    assert said(rig.do("ok")) == "working | paid so far | 0.10 | left 49.50"


# A load machine.


def machine(*texts: str) -> Rig:
    return Rig(TillSettings(Mode.LOAD, "load machine"), *texts)


def test_a_card_is_loaded_with_its_pin() -> None:
    rig = machine()
    play(
        rig,
        """
        type 100
        lay li               -> asking | type the PIN, then OK | 100.00
        type 999999
        ok                   -> asking | type the PIN, then OK | 100.00
        type 123456
        ok                   -> accepted | loaded | 100.00 | left 150.00
        """,
    )
    assert rig.held_fen() == 15_000


@pytest.mark.parametrize(
    ("amount", "text", "said_then"),
    [
        ("500", "load_max_fen=49900", "the amount is over the limit of one load"),
        ("60", "balance_max_fen=10000", "the card would hold more than it may"),
    ],
)
def test_too_much_is_not_loaded(amount: str, text: str, said_then: str) -> None:
    rig = machine(text)
    rig.type(amount)
    rig.lay()
    rig.type("123456")
    assert str(rig.do("ok").headline) == said_then
    assert not rig.movements()


def test_a_listed_card_is_not_loaded() -> None:
    rig = machine()
    rig.list_card(rig.profile.asn)
    rig.type("10")
    rig.lay()
    rig.type("123456")
    assert said(rig.do("ok")) == "refused | this card is blocked: go to the card office | 10.00"


@pytest.mark.parametrize("written", [True, False])
def test_a_torn_load_is_settled_by_the_same_card(written: bool) -> None:
    rig = machine()
    rig.type("100")
    rig.lay()
    rig.type("123456")
    tear = rig.card_reader.tear_after_command if written else rig.card_reader.tear_before_command
    tear(8)
    assert said(rig.do("ok")) == "unknown | state unknown: present the same card | 100.00"
    assert rig.held_fen() == (15_000 if written else 5_000)
    rig.pos.card_gone(rig.now_s)
    assert said(rig.lay()) == (
        "accepted | loaded | 100.00 | left 150.00" if written else "refused | nothing was loaded | 100.00"
    )
    assert not rig.log.unsettled()


def test_a_load_that_is_torn_another_day_again_still_ends() -> None:
    rig = machine()
    rig.type("100")
    rig.lay()
    rig.type("123456")
    rig.card_reader.tear_after_command(8)
    rig.do("ok")
    rig.wait(10)
    rig.lay()
    rig.type("123456")
    rig.card_reader.tear_after_command(5)
    assert said(rig.do("ok")) == "unknown | state unknown: present the same card | 100.00"
    rig.pos.card_gone(rig.now_s)
    play(
        rig,
        """
        lay li               -> asking | type the PIN, then OK | 0.00
        cancel               -> unknown | state unknown: present the same card | 100.00
        away
        lay li               -> asking | type the PIN, then OK | 0.00
        type 123456
        ok                   -> idle | an earlier load of this card was made | 100.00 | left 150.00
        """,
    )
    assert not rig.log.unsettled()


def test_a_load_whose_issuer_fell_silent_is_settled_another_day() -> None:
    rig = machine()
    rig.type("100")
    rig.lay()
    rig.type("123456")
    rig.line_hook.plan(1, Unavailable, after=True, lasting=True)
    assert said(rig.do("ok")) == "unknown | state unknown: the card's campus decides | 100.00"
    rig.take_away()
    rig.line_hook.error = None
    rig.wait(86_400)
    play(
        rig,
        """
        lay li               -> asking | type the PIN, then OK | 0.00
        type 123456
        ok                   -> refused | nothing was loaded | 100.00
        """,
    )
    assert rig.held_fen() == 5_000
    assert not rig.log.unsettled()


def test_a_load_in_doubt_keeps_nobody_from_eating() -> None:
    rig = machine()
    rig.type("100")
    rig.lay()
    rig.type("123456")
    rig.line_hook.plan(1, Unavailable, after=True, lasting=True)
    rig.do("ok")
    rig.settings = TillSettings(merchant="canteen")
    rig.restart()
    rig.type("10")
    assert said(rig.touch()) == "accepted | paid | 10.00 | left 40.00"
