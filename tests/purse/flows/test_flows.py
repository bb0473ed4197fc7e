"""Every flow from end to end, card and PSAM in software, both algorithms; and what is refused beforehand."""

from dataclasses import replace

import pytest

from campus_node.purse import load, purchase
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.errors import AccessDenied, CardSpent, PinWrong, PurseTooSmall
from campus_node.purse.issuer import (
    LOAD_FEN_MAX,
    LoadApproval,
    LoadAuthority,
    LoadLimits,
    LoadRequest,
    LoadTooLarge,
)
from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.movement_log import ENTRIES_MAX, Unsettled
from campus_node.purse.offline_limits import DEFAULT_FEN, OfflineLimits, OverOfflineLimit
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import OtherCard, Pin
from campus_node.terminal.journal import JournalFull
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.profile_entries import PurseEntry
from tests.purse.flows.hooks import Line
from tests.purse.flows.scenarios import CAPP, CARDS, SCENARIOS, Scenario
from tests.purse.flows.till import (
    CAPACITY,
    ED_FEN,
    EP_FEN,
    LAYOUT,
    NOON,
    PIN,
    TERMINAL_ID,
    Till,
    card_profile,
)


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


def nothing_happened(till: Till) -> None:
    assert till.journal.last_seq == 0
    for purse, fen in ((Purse.EP, EP_FEN), (Purse.ED, ED_FEN)):
        there = till.in_card(purse)
        assert (there.balance_fen, there.online_seq, there.offline_seq) == (fen, 0, 0)


def buy(till: Till, request: purchase.PurchaseRequest) -> Outcome:
    return purchase.run(request, card=till.channel, sam=till.sam, log=till.log, layout=LAYOUT)


def do_load(till: Till, request: load.LoadRequested, authority: LoadAuthority | None = None) -> Outcome:
    return load.run(request, card=till.channel, authority=authority or till.line, log=till.log, layout=LAYOUT)


def test_more_than_the_purse_holds_is_refused_and_nothing_is_written(till: Till) -> None:
    with pytest.raises(PurseTooSmall):
        buy(till, purchase.PurchaseRequest(EP_FEN + 1, NOON))
    nothing_happened(till)
    assert buy(till, purchase.PurchaseRequest(EP_FEN, NOON)).balance_fen == 0


def test_the_deposit_wants_its_pin(till: Till) -> None:
    request = purchase.PurchaseRequest(1, NOON, transaction_type=TransactionType.ED_PURCHASE)
    with pytest.raises(AccessDenied):
        buy(till, request)
    with pytest.raises(PinWrong) as wrong:
        buy(till, replace(request, pin=Pin(bytes.fromhex("654321"))))
    assert wrong.value.tries_left == 2
    nothing_happened(till)
    assert buy(till, replace(request, pin=PIN)).state is State.DONE


@pytest.mark.parametrize("made_at", ["20261301120000", "20260901250000", "00000000000000", "FFFFFFFFFFFFFF"])
def test_a_terminal_whose_clock_shows_no_date_does_not_sell(till: Till, made_at: str) -> None:
    with pytest.raises(purchase.ClockInvalid):
        buy(till, purchase.PurchaseRequest(1, bytes.fromhex(made_at)))
    assert not till.card_seen
    nothing_happened(till)


def test_another_card_than_the_one_that_was_looked_at_is_refused(till: Till) -> None:
    with pytest.raises(OtherCard):
        buy(till, purchase.PurchaseRequest(1, NOON, asn=bytes(10)))
    with pytest.raises(OtherCard):
        do_load(till, load.LoadRequested(1, TERMINAL_ID, asn=bytes(10), pin=PIN))
    nothing_happened(till)
    assert buy(till, purchase.PurchaseRequest(1, NOON, asn=till.profile.asn)).state is State.DONE


def test_a_card_with_an_open_movement_does_nothing_new_and_others_do(till: Till) -> None:
    till.card_reader.tear_after_command(3)
    assert buy(till, purchase.PurchaseRequest(1, NOON)).state is State.GREY
    till.repair()
    entries = till.journal.last_seq
    with pytest.raises(Unsettled):
        buy(till, purchase.PurchaseRequest(1, NOON))
    with pytest.raises(Unsettled):
        do_load(till, load.LoadRequested(1, TERMINAL_ID, pin=PIN))
    assert till.journal.last_seq == entries
    other = VirtualCard(replace(card_profile("card-both"), ep=PurseEntry(100, 1000, 0)))
    till.card_reader.swap(other)
    till.channel = till.card_place.channel()
    assert buy(till, purchase.PurchaseRequest(1, NOON)).state is State.DONE
    till.card_reader.swap(till.card)
    assert [outcome.state for outcome in till.settle_all()] == [State.DONE]


def test_a_full_journal_stops_the_sale_before_the_card_is_charged(till: Till) -> None:
    sold = (CAPACITY - ENTRIES_MAX) // 2 + 1  # room for all that may follow an entry is kept
    for _ in range(sold):
        assert buy(till, purchase.PurchaseRequest(1, NOON)).state is State.DONE
    with pytest.raises(JournalFull):
        buy(till, purchase.PurchaseRequest(1, NOON))
    assert till.in_card(Purse.EP).balance_fen == EP_FEN - sold
    till.journal.acknowledge(till.journal.last_seq, 4)
    assert buy(till, purchase.PurchaseRequest(1, NOON)).state is State.DONE


def test_a_counter_at_its_end_is_refused_by_card_and_terminal(till: Till) -> None:
    (slot,) = (slot for slot in till.card.memory.slots if slot.endswith("/p/2"))
    till.card.memory.commit({slot: till.in_card(Purse.EP)._replace(offline_seq=0xFFFF).packed()})
    with pytest.raises(CardSpent):
        buy(till, purchase.PurchaseRequest(1, NOON))
    assert till.journal.last_seq == 0


# A load is refused before money moves anywhere.


@pytest.mark.parametrize(
    ("amount_fen", "limits"),
    [
        (LOAD_FEN_MAX + 1, LoadLimits()),
        (10_000, LoadLimits(ep_balance_fen_max=EP_FEN + 9_999)),
    ],
)
def test_limits_are_checked_before_the_issuer_is_asked(
    till: Till, amount_fen: int, limits: LoadLimits
) -> None:
    with pytest.raises(LoadTooLarge):
        do_load(till, load.LoadRequested(amount_fen, TERMINAL_ID, pin=PIN, limits=limits))
    assert till.line_hook.calls == 0
    nothing_happened(till)


def test_what_the_issuer_refuses_is_void(till: Till) -> None:
    wide = LoadLimits(load_fen_max=10**6, ep_balance_fen_max=10**6)
    with pytest.raises(LoadTooLarge):
        do_load(till, load.LoadRequested(LOAD_FEN_MAX + 1, TERMINAL_ID, pin=PIN, limits=wide))
    (void,) = till.movements()
    assert (void.movement.state, void.movement.reason) == (State.VOID, Reason.NOT_APPROVED)
    assert till.in_card(Purse.EP).balance_fen == EP_FEN
    assert do_load(till, load.LoadRequested(100, TERMINAL_ID, pin=PIN)).state is State.DONE


class WrongApproval(Line):
    """An issuer, or somebody on the line, that answers with a MAC2 that is not right."""

    def authorise(self, request: LoadRequest) -> LoadApproval:
        approval = super().authorise(request)
        return replace(approval, mac2=bytes(byte ^ 1 for byte in approval.mac2))


@pytest.mark.parametrize("transaction_type", [TransactionType.EP_LOAD, TransactionType.UNLOAD])
def test_a_wrong_mac2_changes_no_card_and_ends_void(till: Till, transaction_type: TransactionType) -> None:
    wrong = WrongApproval(till.issuer, till.line_hook)
    request = load.LoadRequested(100, TERMINAL_ID, transaction_type=transaction_type, pin=PIN)
    outcome = do_load(till, request, wrong)
    assert (outcome.state, outcome.reason) == (State.VOID, Reason.NEVER_WRITTEN)
    assert till.in_card(request.purse).balance_fen == (EP_FEN if request.purse is Purse.EP else ED_FEN)
    assert do_load(till, request).state is State.DONE


def test_a_card_pays_at_once_no_more_than_its_algorithm_is_good_for(till: Till) -> None:
    limits = OfflineLimits({Algorithm.SM4: 100, Algorithm.TDES: 100})
    with pytest.raises(OverOfflineLimit):
        buy(till, purchase.PurchaseRequest(101, NOON, limits=limits))
    nothing_happened(till)
    assert buy(till, purchase.PurchaseRequest(100, NOON, limits=limits)).state is State.DONE
    with pytest.raises(OverOfflineLimit):
        buy(till, purchase.PurchaseRequest(1, NOON, limits=OfflineLimits({})))


def test_cards_of_the_weaker_algorithm_pay_less_at_once() -> None:
    limits = OfflineLimits()
    limits.check(Algorithm.SM4, DEFAULT_FEN[Algorithm.SM4])
    with pytest.raises(OverOfflineLimit):
        limits.check(Algorithm.TDES, DEFAULT_FEN[Algorithm.SM4])
