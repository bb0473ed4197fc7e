"""The issuer authorises loads on what the card proves, once, within limits, and gives back only on proof."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import Usage
from campus_node.keys.operations import KeyOperations
from campus_node.keys.rotation import KeyMinimum, RotationBook
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import (
    LoadInit,
    Purse,
    TransactionType,
    credit_for_load,
    debit_for_unload,
    get_balance,
    init_for_load,
    init_for_unload,
    parse_balance,
    parse_mac3,
    parse_tac,
    select_name,
    verify_pin,
)
from campus_node.purse.errors import CardRefused, MacWrong
from campus_node.purse.issuer import (
    InitStale,
    Issuer,
    KeyTooOld,
    LoadContradicted,
    LoadLimits,
    LoadOpen,
    LoadRequest,
    LoadTooLarge,
    LoadUnknown,
    ProofRefused,
)
from campus_node.purse.load_book import LoadBook
from campus_node.purse.personalise import Personaliser
from campus_node.purse.profile import CardProfile
from federation.clock import SystemClock, VirtualClock
from hil_rig.virtual.in_process import VirtualReader
from tests.keys.conftest import ISSUER, TRANSPORT, blank_card

TERMINAL = bytes.fromhex("112233445566")
PIN_INDEX = 0


class Counter:
    """A card on a reader, and what a terminal does with it."""

    def __init__(self, channel: CardChannel, profile: CardProfile) -> None:
        self.channel = channel
        self.profile = profile

    def begin(self, amount_fen: int, terminal_id: bytes = TERMINAL, purse: Purse = Purse.EP) -> LoadRequest:
        """INIT FOR LOAD."""
        index = self.profile.key(Usage.LOAD).index
        answer = LoadInit.parse(demand(self.channel, init_for_load(purse, index, amount_fen, terminal_id)))
        return self._request(answer, TransactionType.load_of(purse), amount_fen, terminal_id)

    def begin_unload(self, amount_fen: int) -> LoadRequest:
        """INIT FOR UNLOAD."""
        index = self.profile.key(Usage.UNLOAD).index
        answer = LoadInit.parse(demand(self.channel, init_for_unload(index, amount_fen, TERMINAL)))
        return self._request(answer, TransactionType.UNLOAD, amount_fen, TERMINAL)

    def balance_fen(self, purse: Purse = Purse.EP) -> int:
        return parse_balance(demand(self.channel, get_balance(purse)))

    def _request(self, answer: LoadInit, kind: int, amount_fen: int, terminal_id: bytes) -> LoadRequest:
        return LoadRequest(
            self.profile.asn,
            kind,
            amount_fen,
            terminal_id,
            answer.balance_fen,
            answer.online_seq,
            answer.key_version,
            answer.algorithm_byte,
            answer.card_random,
            answer.mac1,
        )


@pytest.fixture(params=["card-3des", "card-sm4"])
def counter(
    request: pytest.FixtureRequest,
    card_profile: Callable[[str], CardProfile],
    store: KeyOperations,
    reader: VirtualReader,
) -> Counter:
    profile = card_profile(request.param)
    reader.insert(blank_card())
    channel = reader.channel()
    Personaliser(store, ISSUER, TRANSPORT).make_card(channel, profile)
    demand(channel, select_name(profile.aid))
    demand(channel, verify_pin(PIN_INDEX, profile.pin))
    return Counter(channel, profile)


@pytest.fixture
def book(tmp_path: Path) -> LoadBook:
    return LoadBook(tmp_path / "loads.sqlite")


@pytest.fixture
def issuer(store: KeyOperations, book: LoadBook, clock: VirtualClock) -> Issuer:
    return Issuer(ISSUER, store, book, clock)


def load(counter: Counter, issuer: Issuer, amount_fen: int, purse: Purse = Purse.EP) -> LoadRequest:
    """A whole load; what its INIT was is returned."""
    request = counter.begin(amount_fen, purse=purse)
    approval = issuer.authorise(request)
    tac = parse_tac(demand(counter.channel, credit_for_load(approval.made_at, approval.mac2)))
    issuer.complete(request, tac)
    return request


def test_a_load_is_authorised_written_and_its_tac_verified(counter: Counter, issuer: Issuer) -> None:
    load(counter, issuer, 10_000)
    load(counter, issuer, 5_000)
    assert counter.balance_fen() == 15_000


def test_a_load_and_an_unload_of_the_deposit(counter: Counter, issuer: Issuer) -> None:
    load(counter, issuer, 10_000, Purse.ED)
    request = counter.begin_unload(4_000)
    approval = issuer.authorise(request)
    mac3 = parse_mac3(demand(counter.channel, debit_for_unload(approval.made_at, approval.mac2)))
    issuer.complete(request, mac3)
    assert counter.balance_fen(Purse.ED) == 6_000
    with pytest.raises(MacWrong):
        issuer.complete(request, bytes(4))


def test_the_same_request_again_gets_the_same_approval(
    counter: Counter, issuer: Issuer, clock: VirtualClock
) -> None:
    request = counter.begin(1_000)
    first = issuer.authorise(request)
    clock.advance(60_000)
    assert issuer.authorise(request) == first
    tac = parse_tac(demand(counter.channel, credit_for_load(first.made_at, first.mac2)))
    issuer.complete(request, tac)
    issuer.complete(request, tac)
    assert issuer.authorise(request) == first


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("amount_fen", 2_000),
        ("balance_fen", 1),
        ("online_seq", 1),
        ("terminal_id", bytes(6)),
        ("card_random", bytes(4)),
        ("asn", bytes.fromhex("00000001000000009999")),
        ("transaction_type", TransactionType.ED_LOAD),
        ("mac1", bytes(4)),
    ],
)
def test_a_request_with_any_field_changed_is_a_wrong_mac1(
    name: str, wrong: object, counter: Counter, issuer: Issuer, book: LoadBook
) -> None:
    request = counter.begin(1_000)
    with pytest.raises(MacWrong, match="MAC1"):
        issuer.authorise(replace(request, **{name: wrong}))
    assert book.find(request) is None


def test_limits_are_checked_before_anything_is_approved(
    counter: Counter, store: KeyOperations, book: LoadBook, clock: VirtualClock
) -> None:
    issuer = Issuer(ISSUER, store, book, clock, limits=LoadLimits(ep_balance_fen_max=60_000))
    at_once = counter.begin(49_901)
    with pytest.raises(LoadTooLarge, match="49900 at most"):
        issuer.authorise(at_once)
    assert book.find(at_once) is None
    load(counter, issuer, 49_900)
    with pytest.raises(LoadTooLarge, match="60000 at most"):
        issuer.authorise(counter.begin(10_101))
    load(counter, issuer, 10_100)
    assert counter.balance_fen() == 60_000
    with pytest.raises(LoadTooLarge, match="above zero"):
        issuer.authorise(counter.begin(0))


def test_a_second_load_waits_until_the_first_is_known(counter: Counter, issuer: Issuer) -> None:
    lost = counter.begin(1_000)
    issuer.authorise(lost)  # its approval never reached the card
    with pytest.raises(LoadOpen):
        issuer.authorise(counter.begin(1_000))


def test_a_load_that_was_never_written_is_void_only_by_a_fresh_init_with_the_issuers_nonce(
    counter: Counter, issuer: Issuer
) -> None:
    lost = counter.begin(1_000)
    approval = issuer.authorise(lost)
    nonce = issuer.ask_proof(lost)
    assert issuer.settle(lost, counter.begin(1, nonce)) is True
    with pytest.raises(CardRefused):  # the old MAC2 is dead: the card has a new random
        demand(counter.channel, credit_for_load(approval.made_at, approval.mac2))
    assert counter.balance_fen() == 0
    with pytest.raises(InitStale):
        issuer.authorise(lost)
    load(counter, issuer, 2_000)
    assert counter.balance_fen() == 2_000


def test_a_replayed_init_does_not_cancel_a_load(counter: Counter, issuer: Issuer) -> None:
    """The card is loaded; its holder shows INITs from before that, to get the money back as well."""
    earlier = counter.begin(1_000)
    request = counter.begin(1_000)
    approval = issuer.authorise(request)
    demand(counter.channel, credit_for_load(approval.made_at, approval.mac2))  # and keeps the TAC back
    with pytest.raises(ProofRefused):  # nobody asked for a proof
        issuer.settle(request, earlier)
    nonce = issuer.ask_proof(request)
    for replayed in (earlier, request):
        with pytest.raises(ProofRefused):
            issuer.settle(request, replayed)
        with pytest.raises(MacWrong):
            issuer.settle(request, replace(replayed, terminal_id=nonce))
    with pytest.raises(LoadOpen):  # an old INIT of the same counter approves nothing either
        issuer.authorise(earlier)
    assert issuer.settle(request, counter.begin(1, nonce)) is False  # the true card says: it was written
    with pytest.raises(InitStale):
        issuer.authorise(earlier)


def test_an_answer_to_an_earlier_nonce_is_refused(counter: Counter, issuer: Issuer) -> None:
    lost = counter.begin(1_000)
    issuer.authorise(lost)
    first = counter.begin(1, issuer.ask_proof(lost))
    second_nonce = issuer.ask_proof(lost)
    with pytest.raises(ProofRefused):
        issuer.settle(lost, first)
    assert issuer.settle(lost, counter.begin(1, second_nonce)) is True
    assert issuer.settle(lost, first) is True  # asked again, it gives its first answer again


def test_a_later_init_with_a_higher_counter_closes_a_load_whose_tac_was_lost(
    counter: Counter, issuer: Issuer, book: LoadBook
) -> None:
    request = counter.begin(1_000)
    approval = issuer.authorise(request)
    demand(counter.channel, credit_for_load(approval.made_at, approval.mac2))
    later = counter.begin(500)
    issuer.authorise(later)
    found = book.find(request)
    assert found is not None
    assert found.state.word == "written"


def test_a_wrong_tac_leaves_the_load_open_and_an_unknown_load_has_none(
    counter: Counter, issuer: Issuer
) -> None:
    request = counter.begin(1_000)
    with pytest.raises(LoadUnknown):
        issuer.complete(request, bytes(4))
    approval = issuer.authorise(request)
    tac = parse_tac(demand(counter.channel, credit_for_load(approval.made_at, approval.mac2)))
    with pytest.raises(MacWrong, match="TAC"):
        issuer.complete(request, bytes([tac[0] ^ 1]) + tac[1:])
    assert len(issuer.ask_proof(request)) == 6  # still open
    issuer.complete(request, tac)
    assert issuer.settle(request, counter.begin(1, issuer.ask_proof(request))) is False


def test_a_proof_that_comes_after_the_load_was_void_raises_an_alarm(
    counter: Counter, issuer: Issuer, store: KeyOperations
) -> None:
    from campus_node.keys.hierarchy import campus_key, card_factor
    from campus_node.purse import mac

    lost = counter.begin(1_000)
    approval = issuer.authorise(lost)
    assert issuer.settle(lost, counter.begin(1, issuer.ask_proof(lost)))
    key = counter.profile.key(Usage.LOAD)
    tac = store.tac(  # what a clone of the card would answer
        campus_key(Usage.TAC, key.version, key.algorithm, ISSUER),
        (card_factor(lost.asn),),
        mac.load_tac(1_000, lost.online_seq, 1_000, lost.transaction_type, TERMINAL, approval.made_at),
    )
    with pytest.raises(LoadContradicted):
        issuer.complete(lost, tac)


def test_approvals_survive_a_restart_of_the_issuer(
    counter: Counter, store: KeyOperations, book: LoadBook, tmp_path: Path, clock: VirtualClock
) -> None:
    request = counter.begin(1_000)
    first = Issuer(ISSUER, store, book, clock).authorise(request)
    book.close()
    again = Issuer(ISSUER, store, LoadBook(tmp_path / "loads.sqlite"), clock)
    assert again.authorise(request) == first
    with pytest.raises(LoadOpen):
        again.authorise(counter.begin(1_000))


def test_the_approval_carries_the_campuss_local_time(counter: Counter, issuer: Issuer) -> None:
    assert issuer.authorise(counter.begin(1_000)).made_at.hex() == "20260901080000"  # 00:00 UTC in Shanghai


def test_keys_below_the_minimum_of_their_range_load_nothing(
    counter: Counter, store: KeyOperations, book: LoadBook, clock: VirtualClock
) -> None:
    rotation = RotationBook(":memory:")
    asn = counter.profile.asn
    rotation.set_minimum(KeyMinimum(asn, asn, 2, Algorithm.SM4))
    issuer = Issuer(ISSUER, store, book, clock, admits=rotation.admits)
    key = counter.profile.key(Usage.LOAD)
    if (key.version, key.algorithm) == (2, Algorithm.SM4):
        issuer.authorise(counter.begin(1_000))
    else:
        with pytest.raises(KeyTooOld):
            issuer.authorise(counter.begin(1_000))


def test_many_callers_at_once_get_one_approval(
    counter: Counter, store: KeyOperations, tmp_path: Path, clock: VirtualClock
) -> None:
    """The same request from several tills and processes, and an older INIT of the same card among them."""
    older, request = counter.begin(1_000), counter.begin(1_000)
    issuers = [Issuer(ISSUER, store, LoadBook(tmp_path / "loads.sqlite"), SystemClock()) for _ in range(4)]
    issuers[0].authorise(request)
    with ThreadPoolExecutor(8) as callers:
        same = [callers.submit(issuers[n % 4].authorise, request) for n in range(24)]
        others = [callers.submit(issuers[n % 4].authorise, older) for n in range(8)]
    assert len({future.result() for future in same}) == 1
    assert all(isinstance(future.exception(), LoadOpen) for future in others)


def test_two_inits_of_one_card_race_and_one_wins(
    counter: Counter, store: KeyOperations, tmp_path: Path
) -> None:
    requests = [counter.begin(1_000) for _ in range(8)]
    issuers = [Issuer(ISSUER, store, LoadBook(tmp_path / "loads.sqlite"), SystemClock()) for _ in requests]
    with ThreadPoolExecutor(8) as callers:
        asked = [
            callers.submit(issuer.authorise, each) for issuer, each in zip(issuers, requests, strict=True)
        ]
    refused = [future.exception() for future in asked if future.exception() is not None]
    assert len(refused) == len(requests) - 1
    others = [repr(error) for error in refused if not isinstance(error, LoadOpen)]
    assert others == []
