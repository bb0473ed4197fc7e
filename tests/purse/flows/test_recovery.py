"""What a recovery believes and what not: proofs of others, lying cards, cards that went on elsewhere."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from campus_node.purse import load, purchase, recovery
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse
from campus_node.purse.errors import MacWrong, PinWrong
from campus_node.purse.issuer import InitStale
from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.movement_log import Recorded, Unsettled
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import OtherCard, Pin
from campus_node.purse.shared_steps import load_request
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.profile import load_card_profile
from hil_rig.virtual.profile_entries import PurseEntry
from tests.purse.flows.hooks import Died
from tests.purse.flows.scenarios import BY_NAME, LOAD_FEN, PRICE_FEN, Scenario
from tests.purse.flows.till import EP_FEN, LAYOUT, PIN, TERMINAL_ID, Till, card_profile

DEBIT = 3  # of the commands of a purchase: SELECT, INIT, DEBIT
PURCHASE, LOAD = BY_NAME["purchase"], BY_NAME["load"]


@pytest.fixture(params=["card-3des", "card-sm4"])
def till(request: pytest.FixtureRequest) -> Till:
    return Till(request.param)


def in_doubt(till: Till, scenario: Scenario = PURCHASE, *, done: bool) -> Recorded:
    """Have the card leave just before, or just after, the command that changes it; it lies there again."""
    last = DEBIT + 1 if scenario is LOAD else DEBIT
    (till.card_reader.tear_after_command if done else till.card_reader.tear_before_command)(last)
    assert scenario.run(till).state is State.GREY
    till.repair()
    (recorded,) = till.log.unsettled()
    return recorded


def elsewhere(till: Till, run: Callable[[Till], Outcome]) -> None:
    """Use the same card at another terminal."""
    other = Till(till.profile_name, seed=2)
    till.card_reader.remove()
    other.card_reader.remove()
    other.card_reader.insert(till.card)
    other.channel = other.card_place.channel()
    assert run(other).state is State.DONE
    other.card_reader.remove()
    till.card_reader.insert(till.card)


def verdict(outcome: Outcome) -> tuple[State, Reason]:
    return outcome.state, outcome.reason


# Somebody else's proof under the same counter.


def test_a_proof_of_another_terminal_is_found_out_by_the_psam(till: Till) -> None:
    doubt = in_doubt(till, done=False)
    elsewhere(till, PURCHASE.run)
    assert verdict(till.settle(doubt)) == (State.GREY, Reason.MAC_WRONG)


def test_a_proof_of_another_terminal_is_found_out_by_the_cards_log_after_a_restart(till: Till) -> None:
    doubt = in_doubt(till, done=False)
    later = purchase.PurchaseRequest(PRICE_FEN, bytes.fromhex("20260901120001"))
    elsewhere(
        till,
        lambda other: purchase.run(later, card=other.channel, sam=other.sam, log=other.log, layout=LAYOUT),
    )
    till.reboot()
    outcome = till.settle(doubt)
    assert verdict(outcome) == (State.GREY, Reason.DISPUTED)
    with pytest.raises(MacWrong):
        till.verify(outcome.movement)


def test_a_proof_that_nobody_here_can_check_is_settled_by_the_cards_log_after_a_restart(till: Till) -> None:
    doubt = in_doubt(till, done=True)
    till.reboot()
    outcome = till.settle(doubt)
    assert verdict(outcome) == (State.DONE, Reason.NONE)
    assert (outcome.movement.by_proof, outcome.checked) == (True, False)
    till.verify(outcome.movement)


def test_a_psam_that_made_another_purchase_since_is_not_asked_about_the_first(till: Till) -> None:
    doubt = in_doubt(till, done=True)
    other = VirtualCard(replace(card_profile("card-both"), ep=PurseEntry(PRICE_FEN, PRICE_FEN, 0)))
    till.card_reader.swap(other)
    till.channel = till.card_place.channel()
    assert PURCHASE.run(till).state is State.DONE
    till.card_reader.swap(till.card)
    asked = len(till.sam_seen)
    outcome = till.settle(doubt)
    assert (verdict(outcome), outcome.checked) == ((State.DONE, Reason.NONE), False)
    assert len(till.sam_seen) == asked, "a wrong MAC2 would count against it"


def test_a_proof_that_nobody_here_can_check_goes_to_the_issuer_if_there_is_no_log(till: Till) -> None:
    doubt = in_doubt(till, done=True)
    till.reboot()
    card = Altered(till.card_place.channel(), b"\x00\xb2", lambda _: b"\x6a\x82")
    outcome = recovery.settle(doubt, card=card, log=till.log, layout=LAYOUT)
    assert verdict(outcome) == (State.GREY, Reason.UNPROVED)
    till.verify(outcome.movement)
    assert not outcome.movement.awaits_card


# A card that went on elsewhere before it came back.


def test_a_card_that_paid_elsewhere_afterwards_leaves_it_to_the_issuer(till: Till) -> None:
    doubt = in_doubt(till, done=True)
    elsewhere(till, PURCHASE.run)
    assert verdict(till.settle(doubt)) == (State.GREY, Reason.DISPUTED)
    assert till.in_card(Purse.EP).balance_fen == EP_FEN - 2 * PRICE_FEN
    assert PURCHASE.run(_lay(till)).state is State.DONE, "the card is not held up by it"


def test_a_card_that_paid_another_way_under_that_counter_leaves_it_to_the_issuer(till: Till) -> None:
    doubt = in_doubt(till, done=False)
    elsewhere(till, BY_NAME["compound"].run)
    assert verdict(till.settle(doubt)) == (State.GREY, Reason.DISPUTED)


def test_a_card_whose_balance_moved_and_whose_counter_did_not_leaves_it_to_the_issuer(till: Till) -> None:
    doubt = in_doubt(till, done=False)
    elsewhere(till, LOAD.run)
    assert verdict(till.settle(doubt)) == (State.GREY, Reason.DISPUTED)


def test_another_purse_of_the_card_may_move_meanwhile(till: Till) -> None:
    doubt = in_doubt(till, done=False)
    elsewhere(till, BY_NAME["purchase-from-deposit"].run)
    assert verdict(till.settle(doubt)) == (State.VOID, Reason.NOT_WRITTEN)


# Cards and lines that change what is said.


class Altered:
    """A channel that changes the answers to one command."""

    def __init__(self, inner: CardChannel, begins: bytes, change: Callable[[bytes], bytes]) -> None:
        self._inner = inner
        self._begins = begins
        self._change = change

    @property
    def reader(self) -> str:
        return self._inner.reader

    def power_on(self) -> bytes:
        return self._inner.power_on()

    def reset(self) -> bytes:
        return self._inner.reset()

    def transmit(self, command: bytes) -> bytes:
        answer = self._inner.transmit(command)
        return self._change(answer) if command.startswith(self._begins) else answer

    def close(self) -> None:
        self._inner.close()


def test_a_wrong_mac2_is_not_approved_and_goes_to_the_issuer_as_it_is(till: Till) -> None:
    till.channel = Altered(
        till.channel, b"\x80\x54", lambda answer: answer[:7] + bytes([answer[7] ^ 1]) + answer[8:]
    )
    outcome = PURCHASE.run(till)
    assert verdict(outcome) == (State.GREY, Reason.MAC_WRONG)
    assert outcome.checked is False
    with pytest.raises(MacWrong):
        till.verify(outcome.movement)
    asked, entries = len(till.card_seen), till.journal.last_seq
    assert verdict(till.settle(outcome.recorded)) == (State.GREY, Reason.MAC_WRONG)
    assert (len(till.card_seen), till.journal.last_seq) == (asked, entries), "there is nothing more to learn"


def test_a_card_that_says_no_and_did_it_is_found_out(till: Till) -> None:
    till.channel = Altered(till.channel, b"\x80\x54", lambda _: b"\x93\x02")
    outcome = PURCHASE.run(till)
    assert verdict(outcome) == (State.DONE, Reason.NONE)
    assert (outcome.checked, outcome.movement.by_proof) == (True, True)
    till.verify(outcome.movement)


@pytest.mark.parametrize("answer", ["9000", "01029000", "0102030405060708099000", "6581", "6F00"])
def test_an_answer_of_no_use_is_not_believed(till: Till, answer: str) -> None:
    till.channel = Altered(till.channel, b"\x80\x54", lambda _: bytes.fromhex(answer))
    outcome = PURCHASE.run(till)
    if outcome.state is State.GREY:
        outcome = till.settle(outcome.recorded)
    assert verdict(outcome) == (State.DONE, Reason.NONE)
    assert till.in_card(Purse.EP).balance_fen == EP_FEN - PRICE_FEN


def test_a_card_swapped_between_the_steps_is_not_charged_and_the_first_one_is_asked_for(till: Till) -> None:
    other = VirtualCard(card_profile("card-both"))
    before = dict(other.memory.slots)

    class Swapping(Altered):
        def transmit(self, command: bytes) -> bytes:
            if command.startswith(b"\x80\x54"):
                till.card_reader.swap(other)
            return super().transmit(command)

    till.channel = Swapping(till.channel, b"", lambda answer: answer)
    outcome = PURCHASE.run(till)
    assert verdict(outcome) == (State.GREY, Reason.TORN)
    with pytest.raises(OtherCard):
        recovery.settle(
            outcome.recorded, card=till.card_place.channel(), log=till.log, layout=LAYOUT, sam=till.sam
        )
    assert dict(other.memory.slots) == before
    till.card_reader.swap(till.card)
    assert verdict(till.settle(outcome.recorded)) == (State.VOID, Reason.NOT_WRITTEN)


def test_a_card_without_a_purse_is_another_card_and_does_not_end_the_wait(till: Till) -> None:
    doubt = in_doubt(till, done=True)
    till.card_reader.remove()
    till.card_reader.insert(VirtualCard(load_card_profile("card-blank")))
    with pytest.raises(OtherCard):
        recovery.settle(doubt, card=till.card_place.channel(), log=till.log, layout=LAYOUT, sam=till.sam)
    assert verdict(till.settle(doubt)) == (State.GREY, Reason.TORN)
    till.card_reader.remove()
    till.card_reader.insert(till.card)
    assert verdict(till.settle(doubt)) == (State.DONE, Reason.NONE)


# The deposit, and its PIN.


def test_without_the_pin_the_deposit_keeps_its_secret_and_with_it_is_settled(till: Till) -> None:
    till.card_reader.tear_before_command(DEBIT + 1)
    assert BY_NAME["purchase-from-deposit"].run(till).state is State.GREY
    till.repair()
    (doubt,) = till.log.unsettled()

    def settle(pin: Pin | None) -> Outcome:
        card = till.card_place.channel()
        return recovery.settle(doubt, card=card, log=till.log, layout=LAYOUT, sam=till.sam, pin=pin)

    assert verdict(settle(None)) == (State.GREY, Reason.CARD_REFUSES)
    with pytest.raises(PinWrong):
        settle(Pin(bytes.fromhex("000000")))
    assert verdict(settle(PIN)) == (State.VOID, Reason.NOT_WRITTEN)


# Loads: only a proof, or the issuer, decides.


def test_a_load_in_doubt_stays_unknown_until_the_issuer_can_be_asked(till: Till) -> None:
    doubt = in_doubt(till, LOAD, done=False)

    def settle(authority: object) -> Outcome:
        card = till.card_place.channel()
        assert authority is None or authority is till.line
        line = till.line if authority is not None else None
        return recovery.settle(doubt, card=card, log=till.log, layout=LAYOUT, authority=line, pin=PIN)

    for _ in range(2):
        assert verdict(settle(None)) == (State.GREY, Reason.ISSUER_SILENT)
    assert [recorded.movement.state for recorded in till.movements()] == [State.GREY]
    assert verdict(settle(till.line)) == (State.VOID, Reason.NEVER_WRITTEN)


@pytest.mark.parametrize("done", [True, False])
def test_a_load_in_doubt_holds_up_loads_and_not_lunch(till: Till, done: bool) -> None:
    doubt = in_doubt(till, LOAD, done=done)
    with pytest.raises(Unsettled):
        LOAD.run(till)
    assert PURCHASE.run(till).state is State.DONE
    outcome = till.settle(doubt)
    assert outcome.state is (State.DONE if done else State.VOID)
    assert till.in_card(Purse.EP).balance_fen == EP_FEN - PRICE_FEN + (LOAD_FEN if done else 0)


def test_a_load_in_doubt_that_was_written_needs_no_issuer(till: Till) -> None:
    doubt = in_doubt(till, LOAD, done=True)
    card = till.card_place.channel()
    outcome = recovery.settle(doubt, card=card, log=till.log, layout=LAYOUT, pin=PIN)
    assert (verdict(outcome), outcome.checked) == ((State.DONE, Reason.NONE), False)
    assert outcome.balance_fen == EP_FEN + LOAD_FEN == till.in_card(Purse.EP).balance_fen
    till.verify(outcome.movement)


def test_a_question_that_comes_after_its_load_was_given_up_is_refused(till: Till) -> None:
    till.line_hook.plan(1, Died, after=False)
    with pytest.raises(Died):
        LOAD.run(till)
    till.reboot()
    till.repair()
    (outcome,) = till.settle_all()
    assert verdict(outcome) == (State.VOID, Reason.NEVER_WRITTEN)
    with pytest.raises(InitStale):
        till.issuer.authorise(load_request(outcome.movement))
    till.repair()
    assert LOAD.run(till).state is State.DONE


def test_a_replayed_init_does_not_cancel_a_load(till: Till) -> None:
    doubt = in_doubt(till, LOAD, done=False)
    replayed: list[bytes] = []

    class Replaying(Altered):
        def transmit(self, command: bytes) -> bytes:
            answer = super().transmit(command)
            if command.startswith(b"\x80\x50\x00"):
                replayed.append(answer)
                return replayed[0]
            return answer

    first = Replaying(till.card_place.channel(), b"", lambda answer: answer)
    recovery.settle(replace(doubt, movement=doubt.movement), card=first, log=till.log, layout=LAYOUT, pin=PIN)
    assert not replayed, "without the issuer no INIT is made"
    stale = till.card_place.channel()
    stale.transmit(bytes.fromhex("00A4040009A00000000386980701"))
    stale.transmit(bytes.fromhex("0020000003123456"))
    replayed.append(stale.transmit(bytes.fromhex("805000020B0100000BB811223344556610")))
    card = Replaying(till.card_place.channel(), b"", lambda answer: answer)
    outcome = recovery.settle(doubt, card=card, log=till.log, layout=LAYOUT, authority=till.line, pin=PIN)
    assert verdict(outcome) == (State.GREY, Reason.MAC_WRONG)


def test_a_load_that_a_later_load_shows_to_be_written_is_done(till: Till) -> None:
    doubt = in_doubt(till, LOAD, done=True)
    other = load.LoadRequested(100, TERMINAL_ID, pin=PIN)
    till.card_reader.remove()
    shared = Till(till.profile_name, seed=2)
    shared.card_reader.remove()
    shared.card_reader.insert(till.card)
    load.run(other, card=shared.card_place.channel(), authority=till.line, log=shared.log, layout=LAYOUT)
    shared.card_reader.remove()
    till.card_reader.insert(till.card)
    outcome = till.settle(doubt)
    assert (verdict(outcome), outcome.movement.tac) == ((State.DONE, Reason.NONE), None)
    assert till.in_card(Purse.EP).balance_fen == EP_FEN + LOAD_FEN + 100


def _lay(till: Till) -> Till:
    till.repair()
    return till
