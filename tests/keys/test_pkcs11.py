"""The store on a token computes what the store in a file computes, and gives out less. Needs SoftHSM."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import KeyName, Usage, campus_key, card_factor
from campus_node.keys.key_set import CampusKeys, draw_missing, hand_out, take_in
from campus_node.keys.opening import create_store, open_store
from campus_node.keys.operations import KeyOperations
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.store import KeyForbidden, KeyUnknown, WrongPassphrase
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.personalise import Outcome, Personaliser
from campus_node.purse.profile import CardProfile, PsamProfile
from federation.clock import VirtualClock
from federation.errors import Misconfigured, NotFound
from hil_rig.virtual.in_process import VirtualReader
from tests.keys.conftest import (
    ISSUER,
    NEIGHBOUR,
    PASSPHRASE,
    QUICK,
    TOKEN_PIN,
    TRANSPORT,
    TRANSPORT_KEY,
    blank_card,
    blank_psam,
)
from tests.keys.test_personalise import loads_with

pytestmark = pytest.mark.softhsm

CARD = (card_factor(bytes.fromhex("00000001000000000123")),)
SEED, MESSAGE, CHALLENGE = bytes(range(8)), b"what the MAC covers", b"\x01\x02\x03\x04"


@pytest.fixture
def pair(token: CampusKeys, sealed: SealedFile, clock: VirtualClock) -> tuple[KeyOperations, KeyOperations]:
    """The same keys on a token and in a file."""
    for usage in Usage:
        for algorithm in Algorithm:
            key = os.urandom(16)
            for place in (token, sealed):
                place.put(campus_key(usage, 1, algorithm, ISSUER), key, clock)
    return KeyOperations(token), KeyOperations(sealed)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_token_and_file_make_the_same_macs(
    algorithm: Algorithm, pair: tuple[KeyOperations, KeyOperations]
) -> None:
    def key(usage: Usage) -> KeyName:
        return campus_key(usage, 1, algorithm, ISSUER)

    challenge = os.urandom(algorithm.block_size)
    uses: list[Callable[[KeyOperations], bytes]] = [
        *(
            lambda s, u=usage: s.session_mac(key(u), CARD, SEED, MESSAGE)
            for usage in (Usage.PURCHASE, Usage.LOAD, Usage.UNLOAD, Usage.OVERDRAFT)
        ),
        lambda s: s.tac(key(Usage.TAC), CARD, MESSAGE),
        lambda s: s.pin_mac(key(Usage.PIN_RELOAD), CARD, b"\x12\x34"),
        lambda s: s.messaging_mac(key(Usage.MAINTENANCE), CARD, CHALLENGE, MESSAGE),
        lambda s: s.messaging_encrypt(key(Usage.MAINTENANCE), CARD, MESSAGE),
        lambda s: s.wrap_key(key(Usage.LOAD), CARD, key(Usage.MAINTENANCE), CARD, b"\x03\x01\x00"),
        lambda s: s.wrap_key(key(Usage.PURCHASE), (), key(Usage.PSAM_MAINTENANCE), CARD, b"\x22\x01\x00"),
        lambda s: s.wrap_key(key(Usage.TAC), CARD, key(Usage.TRANSPORT), (), b"\x06\x01\x00"),
        lambda s: s.respond(key(Usage.EXTERNAL_AUTH), CARD, challenge),
        *(lambda s, u=usage: s.check_value(key(u)) for usage in Usage),
        *(lambda s, u=usage: s.check_value(key(u), CARD) for usage in Usage),
    ]
    token, sealed = pair
    for use in uses:
        assert use(token) == use(sealed)


def test_what_stays_on_the_token_is_sensitive_and_not_extractable(
    token: CampusKeys, clock: VirtualClock
) -> None:
    import pkcs11
    from pkcs11 import Attribute

    drawn = token.draw_all(
        [campus_key(usage, 1, Algorithm.TDES, ISSUER) for usage in (Usage.LOAD, Usage.TAC)], clock
    )
    assert {entry.place for entry in drawn} == {"token"}
    session = token._session  # the test looks from below
    held = list(session.get_objects({Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY}))
    held += list(session.get_objects({Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}))
    assert len(held) == 4  # two keys, the envelope key and the identity
    for key in held:
        assert key[Attribute.SENSITIVE], key
        assert not key[Attribute.EXTRACTABLE], key
        with pytest.raises((pkcs11.AttributeSensitive, pkcs11.PKCS11Error, KeyError)):
            key[Attribute.VALUE]  # reading is what must fail
    for entry in drawn:
        with pytest.raises(KeyForbidden, match="does not give out"):
            token.working_key(entry.name, ())


def test_no_key_of_the_campus_lies_on_the_tokens_disk_in_clear(
    token: CampusKeys, clock: VirtualClock, softhsm: Path
) -> None:
    key = os.urandom(16)
    for algorithm in Algorithm:
        token.put(campus_key(Usage.PURCHASE, 3, algorithm, ISSUER), key, clock)
    files = list(Path(os.environ["SOFTHSM2_CONF"]).parent.rglob("*.object"))
    assert files
    assert not any(key in path.read_bytes() for path in files)


def test_cards_and_psams_are_made_from_a_token(
    token: CampusKeys,
    card_profile: Callable[[str], CardProfile],
    psam_profile: PsamProfile,
    reader: VirtualReader,
    clock: VirtualClock,
) -> None:
    for version in (1, 2):
        draw_missing(token, version, Algorithm, clock)
        for owner in (ISSUER, NEIGHBOUR):
            for algorithm in Algorithm:
                name = campus_key(Usage.PURCHASE, version, algorithm, owner)
                token.put(name, os.urandom(16), clock, foreign=owner != ISSUER)
    token.put(TRANSPORT, TRANSPORT_KEY, clock)
    store = KeyOperations(token)
    personaliser = Personaliser(store, ISSUER, TRANSPORT)
    profile = card_profile("card-both")
    reader.insert(blank_card())
    assert personaliser.make_card(reader.channel(), profile).outcome is Outcome.MADE
    loads_with(reader.channel(), profile, store)
    reader.swap(blank_psam())
    assert personaliser.make_psam(reader.channel(), psam_profile).outcome is Outcome.MADE


def test_a_purchase_key_travels_between_a_token_and_a_file(
    token: CampusKeys, tmp_path: Path, clock: VirtualClock
) -> None:
    neighbour = SealedFile.create(tmp_path / "neighbour", NEIGHBOUR, PASSPHRASE, QUICK)
    for algorithm in Algorithm:
        ours = token.put(campus_key(Usage.PURCHASE, 1, algorithm, ISSUER), os.urandom(16), clock)
        theirs = neighbour.put(campus_key(Usage.PURCHASE, 1, algorithm, NEIGHBOUR), os.urandom(16), clock)
        there = take_in(neighbour, hand_out(token, 1, algorithm, neighbour.identity), token.identity, clock)
        here = take_in(token, hand_out(neighbour, 1, algorithm, token.identity), neighbour.identity, clock)
        assert (there.check_value, here.check_value) == (ours.check_value, theirs.check_value)
        assert there.foreign
        assert here.foreign
    wrong = replace(hand_out(neighbour, 1, Algorithm.SM4, token.identity), foreign=False)
    with pytest.raises(KeyForbidden, match="only campus-level"):
        take_in(token, wrong, neighbour.identity, clock)


def test_a_store_on_a_token_is_opened_by_its_label_and_pin(
    softhsm: Path, free_tokens: Iterator[str], clock: VirtualClock
) -> None:
    place = f"pkcs11:{next(free_tokens)}"
    with pytest.raises(NotFound, match="no key store"):
        open_store(place, softhsm, TOKEN_PIN)
    made = create_store(place, softhsm, TOKEN_PIN, ISSUER)
    drawn = draw_missing(made, 1, Algorithm, clock)
    made.close()
    with pytest.raises(WrongPassphrase, match="PIN"):
        open_store(place, softhsm, "000000")
    again = open_store(place, softhsm, TOKEN_PIN)
    assert {entry.name for entry in again.entries()} == {entry.name for entry in drawn}
    assert again.issuer == ISSUER
    again.remove(drawn[0].name)
    with pytest.raises(KeyUnknown):
        again.entry(drawn[0].name)
    again.close()
    with pytest.raises(Misconfigured, match="already"):
        create_store(place, softhsm, TOKEN_PIN, ISSUER)


def test_what_is_missing_is_named(softhsm: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no token nowhere"):
        open_store("pkcs11:nowhere", softhsm, TOKEN_PIN)
    with pytest.raises(Misconfigured, match="no PKCS#11 module"):
        open_store("pkcs11:x", tmp_path / "none.so", TOKEN_PIN)
    with pytest.raises(Misconfigured, match="--pkcs11-module"):
        open_store("pkcs11:x", None, TOKEN_PIN)


def test_the_same_key_again_changes_nothing_and_another_one_is_refused(
    token: CampusKeys, clock: VirtualClock
) -> None:
    for algorithm in Algorithm:
        name, key = campus_key(Usage.LOAD, 1, algorithm, ISSUER), os.urandom(16)
        entry = token.put(name, key, clock)
        assert token.put(name, key, clock) == entry
        with pytest.raises(KeyForbidden, match="already"):
            token.put(name, os.urandom(16), clock)
        with pytest.raises(KeyForbidden, match="already"):
            token.draw_all([name], clock)
