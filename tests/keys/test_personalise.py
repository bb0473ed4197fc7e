"""Cards and PSAMs are made through a reader, torn anywhere, and no key crosses it in clear."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace

import pytest

from campus_node.keys.hierarchy import Usage, campus_key, card_factor
from campus_node.keys.operations import KeyOperations
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.store import KeyUnknown
from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import (
    Debited,
    LoadInit,
    PurchaseInit,
    Purse,
    TransactionType,
    credit_for_load,
    debit,
    get_balance,
    init_for_load,
    init_for_purchase,
    parse_balance,
    parse_tac,
    select_file,
    select_name,
    verify_pin,
)
from campus_node.purse.errors import CardLeft, MacRefused
from campus_node.purse.issuer import Issuer, LoadRequest
from campus_node.purse.key_writing import MASTER_FILE, key_list
from campus_node.purse.load_book import LoadBook
from campus_node.purse.personalise import NotOurs, Outcome, Personaliser
from campus_node.purse.profile import CardProfile, PsamProfile
from campus_node.purse.psam import Psam
from federation.clock import VirtualClock
from hil_rig.virtual.in_process import VirtualReader
from tests.keys.conftest import ISSUER, NEIGHBOUR, TRANSPORT, TRANSPORT_KEY, blank_card, blank_psam

TERMINAL = bytes.fromhex("112233445566")
PIN_INDEX = 0
ATTEMPTS_MAX = 400  # more commands than any personalisation has


class Wire:
    """A channel that keeps every byte that crossed it."""

    def __init__(self, channel: CardChannel) -> None:
        self._channel = channel
        self.crossed: list[bytes] = []

    @property
    def reader(self) -> str:
        return self._channel.reader

    def power_on(self) -> bytes:
        return self._channel.power_on()

    def reset(self) -> bytes:
        return self._channel.reset()

    def transmit(self, command: bytes) -> bytes:
        answer = self._channel.transmit(command)
        self.crossed += [command, answer]
        return answer

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def personaliser(store: KeyOperations) -> Personaliser:
    return Personaliser(store, ISSUER, TRANSPORT)


def loads_with(channel: CardChannel, profile: CardProfile, store: KeyOperations) -> None:
    """Check that the card answers an INIT FOR LOAD with a MAC1 that follows from the store's load key."""
    demand(channel, select_name(profile.aid))
    demand(channel, verify_pin(PIN_INDEX, profile.pin))
    key = profile.key(Usage.LOAD)
    init = LoadInit.parse(demand(channel, init_for_load(Purse.EP, key.index, 1000, TERMINAL)))
    made = store.session_mac(
        campus_key(Usage.LOAD, key.version, key.algorithm, ISSUER),
        (card_factor(profile.asn),),
        mac.online_seed(init.card_random, init.online_seq),
        mac.load_mac1(init.balance_fen, 1000, TransactionType.EP_LOAD, TERMINAL),
    )
    assert made == init.mac1


@pytest.mark.parametrize("name", ["card-3des", "card-sm4", "card-both"])
def test_a_blank_card_becomes_a_card_with_the_stores_keys(
    name: str,
    card_profile: Callable[[str], CardProfile],
    personaliser: Personaliser,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    profile = card_profile(name)
    reader.insert(blank_card())
    channel = reader.channel()
    made = personaliser.make_card(channel, profile)
    assert (made.serial, made.outcome) == (profile.asn, Outcome.MADE)
    loads_with(channel, profile, store)
    assert parse_balance(demand(channel, get_balance(Purse.EP))) == 0
    assert personaliser.make_card(channel, profile).outcome is Outcome.WAS_COMPLETE


def test_no_key_and_no_pin_crosses_the_reader_in_clear(
    card_profile: Callable[[str], CardProfile],
    psam_profile: PsamProfile,
    personaliser: Personaliser,
    sealed: SealedFile,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    profile = replace(card_profile("card-both"), pin=bytes.fromhex("314159265358"))
    crossed: list[bytes] = []
    reader.insert(blank_card())
    wire = Wire(reader.channel())
    personaliser.make_card(wire, profile)
    crossed += wire.crossed
    reader.swap(blank_psam())
    wire = Wire(reader.channel())
    personaliser.make_psam(wire, psam_profile)
    crossed += wire.crossed
    every = b"|".join(crossed)
    secrets = [profile.pin, TRANSPORT_KEY]
    for entry in store.entries():
        steps = ((), (card_factor(profile.asn),), (card_factor(psam_profile.serial),))
        secrets += [sealed.working_key(entry.name, factors) for factors in steps]
    assert sum(command[:2] == b"\x84\xd4" for command in crossed) > 20  # WRITE KEY
    for secret in secrets:
        for part in (secret,) if len(secret) < 8 else (secret[:8], secret[8:]):
            assert part not in every


def test_a_card_that_is_torn_after_every_command_becomes_the_same_card(
    card_profile: Callable[[str], CardProfile],
    personaliser: Personaliser,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    profile = card_profile("card-sm4")
    straight = blank_card()
    reader.insert(straight)
    wire = Wire(reader.channel())
    personaliser.make_card(wire, profile)
    commands = len(wire.crossed) // 2
    rows = _rows(reader.channel(), profile)
    for nth in range(1, commands + 1):
        for tear in (reader.tear_before_command, reader.tear_after_command):
            card = blank_card()
            reader.swap(card)
            tear(nth)
            with pytest.raises(CardLeft):
                personaliser.make_card(reader.channel(), profile)
            reader.insert(card)
            personaliser.make_card(reader.channel(), profile)
            assert _rows(reader.channel(), profile) == rows
    loads_with(reader.channel(), profile, store)


def test_a_card_that_is_torn_at_every_single_step_is_finished_in_the_end(
    card_profile: Callable[[str], CardProfile],
    personaliser: Personaliser,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    profile = card_profile("card-3des")
    card = blank_card()
    for attempt in range(1, ATTEMPTS_MAX):
        reader.insert(card)
        reader.tear_after_command(attempt)  # each time one command further
        try:
            personaliser.make_card(reader.channel(), profile)
        except CardLeft:
            continue
        break
    else:
        pytest.fail("it never came to an end")
    reader.swap(card)
    loads_with(reader.channel(), profile, store)


def test_a_blank_psam_becomes_one_that_admits_two_issuers(
    psam_profile: PsamProfile, personaliser: Personaliser, store: KeyOperations, reader: VirtualReader
) -> None:
    reader.insert(blank_psam())
    channel = reader.channel()
    assert personaliser.make_psam(channel, psam_profile).outcome is Outcome.MADE
    sam = Psam(channel)
    assert sam.serial().serial == psam_profile.serial
    assert sam.terminal_id() == psam_profile.terminal_id
    asn, card_random = bytes.fromhex("00000002000000000001"), bytes.fromhex("A1B2C3D4")
    made_at = bytes.fromhex("20260901120000")
    for issuer in (ISSUER, NEIGHBOUR):
        sam.select_issuer(issuer)
        begun = sam.init_for_purchase(card_random, 5, 100, 6, made_at, 1, 0, [card_factor(asn)])
        if issuer == ISSUER:  # the neighbour's key is good in PSAMs alone
            expected = store.session_mac(
                campus_key(Usage.PURCHASE, 1, Algorithm.TDES, issuer),
                (card_factor(asn),),
                mac.purchase_seed(card_random, 5, begun.terminal_seq),
                mac.purchase_mac1(100, 6, psam_profile.terminal_id, made_at),
            )
            assert begun.mac1 == expected
    assert personaliser.make_psam(channel, psam_profile).outcome is Outcome.WAS_COMPLETE


def test_a_complete_psam_takes_a_new_version_beside_the_old_one(
    psam_profile: PsamProfile, personaliser: Personaliser, reader: VirtualReader
) -> None:
    fewer = replace(
        psam_profile,
        applications=tuple(
            replace(each, keys=tuple(key for key in each.keys if key.version == 1))
            for each in psam_profile.applications[:1]
        ),
    )
    reader.insert(blank_psam())
    channel = reader.channel()
    personaliser.make_psam(channel, fewer)
    assert personaliser.make_psam(channel, psam_profile).outcome is Outcome.MADE
    demand(channel, select_name(NEIGHBOUR))
    assert {row.version for row in key_list(channel)} == {1, 2}


def test_a_psam_that_is_torn_after_every_command_is_finished_by_repeating(
    psam_profile: PsamProfile, personaliser: Personaliser, reader: VirtualReader
) -> None:
    reader.insert(blank_psam())
    wire = Wire(reader.channel())
    personaliser.make_psam(wire, psam_profile)
    for nth in range(1, len(wire.crossed) // 2 + 1):
        psam = blank_psam()
        reader.swap(psam)
        reader.tear_after_command(nth)
        with pytest.raises(CardLeft):
            personaliser.make_psam(reader.channel(), psam_profile)
        reader.insert(psam)
        personaliser.make_psam(reader.channel(), psam_profile)
        assert personaliser.make_psam(reader.channel(), psam_profile).outcome is Outcome.WAS_COMPLETE


def test_a_card_of_somebody_else_is_left_alone(
    card_profile: Callable[[str], CardProfile], personaliser: Personaliser, reader: VirtualReader
) -> None:
    from hil_rig.virtual.card import VirtualCard
    from hil_rig.virtual.profile import load_card_profile

    reader.insert(VirtualCard(load_card_profile("card-3des")))
    with pytest.raises((NotOurs, MacRefused)):
        personaliser.make_card(reader.channel(), card_profile("card-both"))


def test_a_key_that_the_store_lacks_is_missed_before_anything_is_written(
    card_profile: Callable[[str], CardProfile],
    store: KeyOperations,
    sealed: SealedFile,
    reader: VirtualReader,
) -> None:
    sealed.remove(campus_key(Usage.TAC, 2, Algorithm.SM4, ISSUER))
    reader.insert(blank_card())
    wire = Wire(reader.channel())
    with pytest.raises(KeyUnknown, match="tac/2/sm4"):
        Personaliser(store, ISSUER, TRANSPORT).make_card(wire, card_profile("card-both"))
    assert not wire.crossed


def test_the_check_values_of_what_was_written_are_told_and_the_keys_are_not(
    card_profile: Callable[[str], CardProfile],
    personaliser: Personaliser,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    reader.insert(blank_card())
    made = personaliser.make_card(reader.channel(), card_profile("card-sm4"))
    by_name = {str(entry.name): entry.check_value for entry in store.entries()}
    assert made.keys
    assert all(by_name[name] == kcv for name, kcv in made.keys)


def _rows(channel: CardChannel, profile: CardProfile) -> Sequence[object]:
    demand(channel, select_name(profile.aid))
    return sorted(key_list(channel))


@pytest.mark.parametrize(("name", "version", "algorithm"), [("card-3des", 1, 0), ("card-both", 2, 4)])
def test_a_card_and_a_psam_from_the_same_store_pay_each_other(
    name: str,
    version: int,
    algorithm: int,
    card_profile: Callable[[str], CardProfile],
    psam_profile: PsamProfile,
    personaliser: Personaliser,
    store: KeyOperations,
    reader: VirtualReader,
    clock: VirtualClock,
) -> None:
    profile = card_profile(name)
    reader.insert(blank_card())
    card = reader.channel()
    personaliser.make_card(card, profile)
    slot = VirtualReader(blank_psam(), "PSAM")
    personaliser.make_psam(slot.channel(), psam_profile)
    sam = Psam(slot.channel())
    sam.select_issuer(ISSUER)
    demand(card, select_name(profile.aid))
    demand(card, verify_pin(PIN_INDEX, profile.pin))

    load_key = profile.key(Usage.LOAD)
    answer = LoadInit.parse(demand(card, init_for_load(Purse.EP, load_key.index, 5_000, TERMINAL)))
    load = LoadRequest(profile.asn, TransactionType.EP_LOAD, 5_000, TERMINAL, *astuple(answer))
    issuer = Issuer(ISSUER, store, LoadBook(":memory:"), clock)
    approval = issuer.authorise(load)
    issuer.complete(load, parse_tac(demand(card, credit_for_load(approval.made_at, approval.mac2))))

    key = next(k for k in profile.keys if (k.usage, k.version) == (Usage.PURCHASE, version))
    made_at = bytes.fromhex("20260901120000")
    init = PurchaseInit.parse(
        demand(card, init_for_purchase(Purse.EP, key.index, 1_200, psam_profile.terminal_id))
    )
    assert (init.key_version, init.algorithm_byte) == (version, algorithm)
    begun = sam.init_for_purchase(
        init.card_random, init.offline_seq, 1_200, 6, made_at, version, algorithm, [card_factor(profile.asn)]
    )
    paid = Debited.parse(demand(card, debit(begun.terminal_seq, made_at, begun.mac1)))
    sam.credit(paid.mac2)
    tac = mac.purchase_tac(1_200, 6, psam_profile.terminal_id, begun.terminal_seq, made_at)
    tac_name = campus_key(Usage.TAC, version, Algorithm(algorithm), ISSUER)
    assert store.tac(tac_name, (card_factor(profile.asn),), tac) == paid.tac
    assert parse_balance(demand(card, get_balance(Purse.EP))) == 3_800


def test_a_torn_card_is_not_finished_under_another_number(
    card_profile: Callable[[str], CardProfile], personaliser: Personaliser, reader: VirtualReader
) -> None:
    profile = card_profile("card-sm4")
    card = blank_card()
    reader.insert(card)
    reader.tear_after_command(40)  # some keys are there, and follow from the first number
    with pytest.raises(CardLeft):
        personaliser.make_card(reader.channel(), profile)
    reader.insert(card)
    with pytest.raises(NotOurs, match="begun as"):
        personaliser.make_card(reader.channel(), replace(profile, asn=bytes.fromhex("00000001000000009999")))
    assert personaliser.make_card(reader.channel(), profile).outcome is Outcome.MADE


def test_the_master_files_key_of_a_finished_card_is_renewed_under_the_old_one(
    card_profile: Callable[[str], CardProfile],
    store: KeyOperations,
    personaliser: Personaliser,
    reader: VirtualReader,
) -> None:
    profile = card_profile("card-sm4")
    reader.insert(blank_card())
    personaliser.make_card(reader.channel(), profile)
    newer = replace(profile, mf_keys=(replace(profile.mf_keys[0], version=2),))
    renewing = Personaliser(store, ISSUER, None)
    assert renewing.make_card(reader.channel(), newer).outcome is Outcome.MADE
    assert renewing.make_card(reader.channel(), newer).outcome is Outcome.WAS_COMPLETE
    demand(reader.channel(), select_file(MASTER_FILE))
    assert [row.version for row in key_list(reader.channel())] == [2]


def test_a_psams_old_keys_are_deleted_and_its_maintenance_key_is_renewed(
    psam_profile: PsamProfile, store: KeyOperations, personaliser: Personaliser, reader: VirtualReader
) -> None:
    reader.insert(blank_psam())
    personaliser.make_psam(reader.channel(), psam_profile)
    newer = replace(
        psam_profile,
        keys=(replace(psam_profile.keys[0], version=2, algorithm=Algorithm.SM4),),
        applications=tuple(
            replace(each, keys=tuple(key for key in each.keys if key.version == 2))
            for each in psam_profile.applications
        ),
    )
    renewing = Personaliser(store, ISSUER, None)
    assert renewing.make_psam(reader.channel(), newer, delete_old=True).outcome is Outcome.MADE
    channel = reader.channel()
    for issuer in (ISSUER, NEIGHBOUR):
        demand(channel, select_name(issuer))
        assert {row.version for row in key_list(channel)} == {2}
    assert renewing.make_psam(reader.channel(), newer, delete_old=True).outcome is Outcome.WAS_COMPLETE
