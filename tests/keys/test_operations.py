"""What a key store computes, and what it refuses to do with which key."""

import os
from collections.abc import Callable

import pytest

from campus_node.keys.hierarchy import KeyName, Usage, campus_key, card_factor, derive
from campus_node.keys.operations import KeyOperations
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.store import KeyForbidden, KeyUnknown
from campus_node.purse import algorithm as cipher
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from tests.keys.conftest import ISSUER, NEIGHBOUR, TRANSPORT

CARD = (card_factor(bytes.fromhex("00000001000000000123")),)
OTHER_CARD = (card_factor(bytes.fromhex("00000001000000000124")),)
PSAM = (bytes.fromhex("0000000000000009"),)
SEED, MESSAGE, CHALLENGE = bytes(range(8)), b"what the MAC covers", b"\x01\x02\x03\x04"


def key(
    usage: Usage, algorithm: Algorithm = Algorithm.SM4, version: int = 1, owner: bytes = ISSUER
) -> KeyName:
    return campus_key(usage, version, algorithm, owner)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_the_store_computes_what_the_card_computes(
    algorithm: Algorithm, store: KeyOperations, sealed: SealedFile, clock: VirtualClock
) -> None:
    master = os.urandom(16)
    for usage in (Usage.LOAD, Usage.TAC, Usage.MAINTENANCE, Usage.EXTERNAL_AUTH, Usage.PIN_RELOAD):
        sealed.put(key(usage, algorithm, 9), master, clock)
    own = derive(algorithm, master, *CARD)
    session = cipher.session_key(algorithm, own, SEED)
    assert store.session_mac(key(Usage.LOAD, algorithm, 9), CARD, SEED, MESSAGE) == cipher.session_mac(
        algorithm, session, MESSAGE
    )
    assert store.tac(key(Usage.TAC, algorithm, 9), CARD, MESSAGE) == cipher.tac(algorithm, own, MESSAGE)
    maintenance = key(Usage.MAINTENANCE, algorithm, 9)
    assert store.messaging_mac(maintenance, CARD, CHALLENGE, MESSAGE) == cipher.messaging_mac(
        algorithm, own, CHALLENGE, MESSAGE
    )
    assert store.messaging_encrypt(maintenance, CARD, MESSAGE) == cipher.messaging_encrypt(
        algorithm, own, MESSAGE
    )
    challenge = os.urandom(algorithm.block_size)
    assert store.respond(key(Usage.EXTERNAL_AUTH, algorithm, 9), CARD, challenge) == cipher.authentication(
        algorithm, own, challenge
    )
    assert store.pin_mac(key(Usage.PIN_RELOAD, algorithm, 9), CARD, b"\x12\x34") == cipher.pin_reload_mac(
        algorithm, own, b"\x12\x34"
    )
    assert store.check_value(maintenance, CARD) == cipher.check_value(algorithm, own)


def test_a_wrapped_key_opens_under_the_cards_maintenance_key(
    store: KeyOperations, sealed: SealedFile, clock: VirtualClock
) -> None:
    target, under = os.urandom(16), os.urandom(16)
    sealed.put(key(Usage.LOAD, version=9), target, clock)
    sealed.put(key(Usage.MAINTENANCE, version=9), under, clock)
    wrapped = store.wrap_key(
        key(Usage.LOAD, version=9), CARD, key(Usage.MAINTENANCE, version=9), CARD, b"\x03\x09\x04"
    )
    plain = cipher.decrypt(Algorithm.SM4, derive(Algorithm.SM4, under, *CARD), wrapped)
    assert plain[: 1 + plain[0]] == b"\x13\x03\x09\x04" + derive(Algorithm.SM4, target, *CARD)


Use = Callable[[KeyOperations], bytes]


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.session_mac(key(Usage.LOAD), (), SEED, MESSAGE),
        lambda s: s.session_mac(key(Usage.LOAD), CARD + CARD, SEED, MESSAGE),
        lambda s: s.session_mac(key(Usage.TAC), CARD, SEED, MESSAGE),
        lambda s: s.session_mac(key(Usage.PURCHASE, owner=NEIGHBOUR), CARD, SEED, MESSAGE),
        lambda s: s.tac(key(Usage.LOAD), CARD, MESSAGE),
        lambda s: s.tac(key(Usage.TAC), (), MESSAGE),
        lambda s: s.messaging_mac(key(Usage.LOAD), CARD, CHALLENGE, MESSAGE),
        lambda s: s.messaging_encrypt(key(Usage.MAINTENANCE), (), MESSAGE),
        lambda s: s.messaging_encrypt(key(Usage.LOAD), CARD, MESSAGE),
        lambda s: s.messaging_encrypt(key(Usage.PURCHASE), CARD, MESSAGE),
        lambda s: s.respond(key(Usage.LOAD), CARD, bytes(16)),
        lambda s: s.pin_mac(key(Usage.TAC), CARD, b"\x12\x34"),
        # out of the store only into the card or PSAM that it is for
        lambda s: s.wrap_key(key(Usage.LOAD), CARD, key(Usage.MAINTENANCE), OTHER_CARD, b""),
        lambda s: s.wrap_key(key(Usage.LOAD), (), key(Usage.MAINTENANCE), CARD, b""),
        lambda s: s.wrap_key(key(Usage.LOAD), (), TRANSPORT, (), b""),
        lambda s: s.wrap_key(key(Usage.TAC), CARD, key(Usage.PSAM_MAINTENANCE), PSAM, b""),
        lambda s: s.wrap_key(key(Usage.TAC), (), key(Usage.PSAM_MAINTENANCE), PSAM, b""),
        lambda s: s.wrap_key(key(Usage.PURCHASE), (), key(Usage.MAINTENANCE), CARD, b""),
        lambda s: s.wrap_key(key(Usage.PURCHASE, owner=NEIGHBOUR), CARD, key(Usage.MAINTENANCE), CARD, b""),
        lambda s: s.wrap_key(key(Usage.PSAM_SESSION), (), key(Usage.PSAM_MAINTENANCE), PSAM, b""),
        lambda s: s.wrap_key(key(Usage.LOAD), CARD, key(Usage.MAINTENANCE), (), b""),
        lambda s: s.wrap_key(key(Usage.LOAD), CARD, key(Usage.TAC), CARD, b""),
        lambda s: s.wrap_key(TRANSPORT, (), TRANSPORT, (), b""),
    ],
)
def test_a_key_is_refused_for_what_it_is_not_for(use: Use, store: KeyOperations) -> None:
    with pytest.raises(KeyForbidden):
        use(store)


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.wrap_key(key(Usage.PURCHASE), (), key(Usage.PSAM_MAINTENANCE), PSAM, b""),
        lambda s: s.wrap_key(
            key(Usage.PURCHASE, owner=NEIGHBOUR), (), key(Usage.PSAM_MAINTENANCE), PSAM, b""
        ),
        lambda s: s.wrap_key(key(Usage.PSAM_SESSION), PSAM, key(Usage.PSAM_MAINTENANCE), PSAM, b""),
        lambda s: s.wrap_key(key(Usage.LOAD), CARD, TRANSPORT, (), b""),
        lambda s: s.messaging_encrypt(TRANSPORT, (), MESSAGE),
    ],
)
def test_what_personalisation_needs_is_allowed(use: Use, store: KeyOperations) -> None:
    assert len(use(store)) % 8 == 0


def test_a_key_that_is_not_there_is_named(store: KeyOperations) -> None:
    with pytest.raises(KeyUnknown, match="campus/4355434100000001/load/77/sm4"):
        store.session_mac(key(Usage.LOAD, version=77), CARD, SEED, MESSAGE)
