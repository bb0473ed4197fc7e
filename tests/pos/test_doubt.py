"""State unknown: on the screen exactly where it is unknown, and cleared up by the same card."""

import pytest

from campus_node.purse.journal_entries import Reason, State
from campus_node.terminal.pos.settings import Mode, TillSettings
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.view import Mood
from campus_node.terminal.questions import Question
from campuscard.v1 import terminal_pb2 as wire
from tests.pos.rig import Rig, play, said
from tests.purse.flows.hooks import Died

UNKNOWN = "unknown | state unknown: present the same card | 10.00"
DEBIT = 7  # the command that charges, of all that the till gives a card in one sale


def torn(rig: Rig, *, written: bool) -> None:
    """Type 10 yuan and tear the card away at the command that charges it."""
    rig.type("10")
    tear = rig.card_reader.tear_after_command if written else rig.card_reader.tear_before_command
    tear(DEBIT)
    assert said(rig.lay()) == UNKNOWN
    assert rig.pos.stage is Stage.DOUBT
    assert rig.held_fen() == (4000 if written else 5000)
    rig.pos.card_gone(rig.now_s)
    rig.card_reader.tears.forget()


def test_debit_is_the_command_that_charges() -> None:
    rig = Rig()
    rig.type("10")
    rig.tap()
    assert [command[:2] for command, _ in rig.card_seen][DEBIT - 1] == b"\x80\x54"


@pytest.mark.parametrize("written", [True, False])
def test_the_same_card_within_ten_seconds_has_paid_once(written: bool) -> None:
    rig = Rig()
    torn(rig, written=written)
    play(
        rig,
        f"""
        wait 9               -> {UNKNOWN}
        touch li             -> accepted | paid | 10.00 | left 40.00
        """,
    )
    assert rig.held_fen() == 4000
    states = [recorded.movement.state for recorded in rig.movements()]
    assert states == ([State.DONE] if written else [State.VOID, State.DONE])
    assert not rig.log.unsettled()


def test_another_card_is_sent_away_and_not_touched() -> None:
    rig = Rig()
    rig.another("wang", ep_fen=9000)
    torn(rig, written=True)
    before = dict(rig.cards["wang"].memory.slots)
    view = rig.touch("wang")
    assert said(view) == UNKNOWN
    assert [str(line) for line in view.lines] == ["this is another card: present the same card"]
    assert dict(rig.cards["wang"].memory.slots) == before
    assert said(rig.touch("li")) == "accepted | paid | 10.00 | left 40.00"


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_card_that_does_not_come_back_is_written_down_and_others_are_served(by_hand: bool) -> None:
    rig = Rig()
    rig.another("wang", ep_fen=9000)
    torn(rig, written=True)
    view = rig.do("cancel") if by_hand else rig.wait(10)
    assert said(view) == UNKNOWN
    assert [str(line) for line in view.lines] == [
        "it is written down; this card settles it whenever it comes back"
    ]
    (grey,) = rig.movements()
    assert (grey.movement.state, grey.movement.reason) == (State.GREY, Reason.TORN)
    play(
        rig,
        """
        wait 100             -> unknown | state unknown: present the same card | 10.00
        type 3               -> idle | to pay | 3.00
        touch wang           -> accepted | paid | 3.00 | left 87.00
        type 4
        touch li             -> idle | an earlier payment of this card was made | 10.00 | left 40.00
        touch li             -> idle | the card holds | left 40.00
        type 4
        touch li             -> accepted | paid | 4.00 | left 36.00
        """,
    )
    assert rig.held_fen() == 3600


def test_a_late_card_that_was_not_charged_pays_as_if_nothing_had_been() -> None:
    rig = Rig()
    torn(rig, written=False)
    play(
        rig,
        """
        wait 10
        type 4
        touch li             -> accepted | paid | 4.00 | left 46.00
        """,
    )
    assert [recorded.movement.state for recorded in rig.movements()] == [State.VOID, State.DONE]


def test_torn_again_and_again_it_stays_unknown_until_the_card_stays() -> None:
    rig = Rig()
    torn(rig, written=True)
    for command in (1, 3, 4, 5):
        rig.wait(1)
        rig.card_reader.tear_after_command(command)
        assert said(rig.lay()) == UNKNOWN, command
        rig.pos.card_gone(rig.now_s)
        rig.card_reader.tears.forget()
    assert said(rig.touch()) == "accepted | paid | 10.00 | left 40.00"
    assert rig.held_fen() == 4000


def test_after_a_power_cut_the_card_clears_up_what_is_open() -> None:
    rig = Rig()
    rig.type("10")
    rig.card_hook.plan(DEBIT, Died, after=True)
    with pytest.raises(Died):
        rig.tap()
    rig.restart()
    assert said(rig.view) == "idle | canteen"
    rig.type("10")
    play(
        rig,
        """
        touch li             -> idle | an earlier payment of this card was made | 10.00 | left 40.00
        wait 60              -> idle | an earlier payment of this card was made | 10.00 | left 40.00
        """,
    )
    assert rig.held_fen() == 4000


def test_a_sale_that_ended_unseen_in_a_power_cut_asks_before_it_is_made_again() -> None:
    rig = Rig()
    play(rig, "type 10")
    assert said(rig.touch()) == "accepted | paid | 10.00 | left 40.00"
    play(
        rig,
        """
        wait 60
        restart
        type 10
        touch li             -> asking | the same card and amount again: sell it once more? | 10.00
        cancel
        wait 120
        touch li             -> accepted | paid | 10.00 | left 30.00
        """,
    )


def test_the_psam_away_in_the_middle_is_paid_by_the_cards_word_up_to_the_offline_limit() -> None:
    for limit_fen, mood in ((1000, Mood.ACCEPTED), (999, Mood.UNKNOWN)):
        rig = Rig(TillSettings(merchant="canteen"), f"offline_payment_max_fen={limit_fen}", online=Always())
        rig.type("10")
        rig.sam_reader.tear_before_command(4)  # the question about MAC2
        assert rig.lay().mood is mood
        assert rig.held_fen() == 4000
        (sold,) = rig.movements()
        assert (sold.movement.state, sold.movement.checked) == (State.DONE, False)


class Always:
    """A gateway within reach that is asked nothing."""

    connected = True

    def ask(self, asked: wire.AuthorizationAsked, now_s: float) -> Question:
        raise AssertionError(f"{asked} at {now_s}")


def test_the_psam_away_from_the_start_charges_nobody() -> None:
    rig = Rig()
    rig.type("10")
    rig.sam_reader.tear_before_command(1)
    assert said(rig.lay()) == "blocked | this terminal's PSAM does not answer | 10.00"
    assert not rig.movements()
    rig.card_reader.tear_before_command(1)
    assert said(rig.lay()) == "refused | the card left too early | 10.00"
    rig.sam_place.lay(rig.psam)
    assert said(rig.lay()) == "accepted | paid | 10.00 | left 40.00"


def test_one_mode_after_the_other_awaits_its_card() -> None:
    rig = Rig(TillSettings(Mode.FIXED, "tea"), "price_fen=1000")
    rig.card_reader.tear_after_command(DEBIT)
    assert said(rig.lay()) == UNKNOWN
    rig.pos.card_gone(rig.now_s)
    rig.card_reader.tears.forget()
    assert said(rig.lay()) == "accepted | paid | 10.00 | left 40.00"
    rig.wait(4)
    assert said(rig.lay()) == "accepted | paid | 10.00 | left 30.00"
