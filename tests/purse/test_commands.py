"""Answers of the card as records, and what no command is built from."""

from collections.abc import Callable

import pytest

from campus_node.purse import commands, psam, secure_messaging
from campus_node.purse.answers import (
    Debited,
    LoadInit,
    OverdraftInit,
    Proof,
    PurchaseInit,
    parse_balance,
    parse_mac3,
    parse_tac,
)
from campus_node.purse.commands import Purse
from campus_node.purse.errors import AnswerUnreadable, CardLeft

TERMINAL = bytes.fromhex("112233445566")
MADE_AT = bytes.fromhex("20240411212121")

LOAD_INIT = bytes.fromhex("0000001A 0017 00 01 06B825D7 684C81CE")  # a real card's
PURCHASE_INIT = bytes.fromhex("000003E8 0005 000064 01 04 A1B2C3D4")
OVERDRAFT_INIT = bytes.fromhex("000003E8 0003 000064 01 00 A1B2C3D4 DB6210D3")


def test_a_load_begins_with_balance_counter_key_random_and_mac1() -> None:
    assert LoadInit.parse(LOAD_INIT) == LoadInit(
        balance_fen=26,
        online_seq=0x17,
        key_version=0,
        algorithm_byte=1,
        card_random=bytes.fromhex("06B825D7"),
        mac1=bytes.fromhex("684C81CE"),
    )


def test_a_purchase_begins_with_balance_counter_limit_key_and_random() -> None:
    assert PurchaseInit.parse(PURCHASE_INIT) == PurchaseInit(
        balance_fen=1000,
        offline_seq=5,
        overdraft_fen=100,
        key_version=1,
        algorithm_byte=4,
        card_random=bytes.fromhex("A1B2C3D4"),
    )


def test_an_overdraft_update_begins_with_the_limit_that_holds() -> None:
    assert OverdraftInit.parse(OVERDRAFT_INIT) == OverdraftInit(
        balance_fen=1000,
        online_seq=3,
        old_limit_fen=100,
        key_version=1,
        algorithm_byte=0,
        card_random=bytes.fromhex("A1B2C3D4"),
        mac1=bytes.fromhex("DB6210D3"),
    )


def test_a_debit_answers_the_tac_first() -> None:
    answer = bytes.fromhex("6B0F7B93 EFE06846")
    assert Debited.parse(answer) == Debited(tac=bytes.fromhex("6B0F7B93"), mac2=bytes.fromhex("EFE06846"))


def test_a_proof_answers_the_mac_first_or_a_tac_alone() -> None:
    mac, tac = bytes.fromhex("EFE06846"), bytes.fromhex("6B0F7B93")
    assert Proof.parse(mac + tac) == Proof(mac=mac, tac=tac)
    assert Proof.parse(tac) == Proof(mac=b"", tac=tac)


def test_a_balance_is_unsigned() -> None:
    assert parse_balance(bytes.fromhex("FFFFFFFF")) == 2**32 - 1


@pytest.mark.parametrize(
    ("parse", "length"),
    [
        (LoadInit.parse, 16),
        (PurchaseInit.parse, 15),
        (OverdraftInit.parse, 19),
        (Debited.parse, 8),
        (Proof.parse, 8),
        (parse_balance, 4),
        (parse_tac, 4),
        (parse_mac3, 4),
    ],
)
def test_an_answer_of_another_length_is_as_good_as_lost(
    parse: Callable[[bytes], object], length: int
) -> None:
    assert parse(bytes(length)) is not None
    for wrong in {0, 1, length - 1, length + 1} - {4 if parse == Proof.parse else -1}:
        with pytest.raises(AnswerUnreadable) as lost:
            parse(bytes(wrong))
        assert isinstance(lost.value, CardLeft)


@pytest.mark.parametrize(
    "build",
    [
        lambda: commands.init_for_load(Purse.EP, 1, 2**32, TERMINAL),
        lambda: commands.init_for_purchase(Purse.EP, 1, -1, TERMINAL),
        lambda: commands.init_for_purchase(Purse.EP, 256, 1, TERMINAL),
        lambda: commands.init_for_purchase(Purse.EP, 1, 1, TERMINAL[1:]),
        lambda: commands.credit_for_load(MADE_AT[1:], bytes(4)),
        lambda: commands.credit_for_load(MADE_AT, bytes(5)),
        lambda: commands.debit(2**32, MADE_AT, bytes(4)),
        lambda: commands.debit_for_unload(MADE_AT, bytes(3)),
        lambda: commands.update_overdraft_limit(2**24, MADE_AT, bytes(4)),
        lambda: commands.transaction_prove(6, 2**16),
        lambda: commands.update_capp_cache(0x17, b"\0"),
        lambda: commands.update_capp_cache(0x17, b"\0", record_id=1, number=1),
        lambda: commands.update_capp_cache(31, b"\0", number=1),
        lambda: commands.update_capp_cache(0x17, b"", number=1),
        lambda: commands.select_name(bytes(4)),
        lambda: commands.select_name(bytes(17)),
        lambda: commands.select_file(0x10000),
        lambda: commands.read_binary(0x15, 256, 1),
        lambda: commands.read_binary(0, 0, 1),
        lambda: commands.read_binary(None, 0x8000, 1),
        lambda: commands.update_binary(0x15, 0, bytes(256)),
        lambda: commands.verify_pin(0, b"\x12"),
        lambda: commands.verify_pin(0, bytes(7)),
        lambda: commands.change_pin(0, bytes(3), bytes(1)),
        lambda: commands.reload_pin(0, bytes(3), bytes(8)),
        lambda: commands.get_challenge(5),
        lambda: commands.external_authenticate(0, bytes(16)),
        lambda: commands.internal_authenticate(3, 0, bytes(8)),
        lambda: secure_messaging.pin_unblock(bytes(7)),
        lambda: psam.sam_init_for_purchase(bytes(4), 0, 1, 6, MADE_AT, 1, 0, ()),
        lambda: psam.sam_init_for_purchase(bytes(4), 0, 1, 6, MADE_AT, 1, 0, [bytes(8)] * 4),
        lambda: psam.sam_init_for_purchase(bytes(4), 0, 1, 6, MADE_AT, 1, 0, [bytes(4)]),
        lambda: psam.sam_init_for_purchase(bytes(8), 0, 1, 6, MADE_AT, 1, 0, [bytes(8)]),
        lambda: psam.sam_credit_for_purchase(bytes(8)),
        lambda: psam.sam_deliver_key(0x48, 1, [bytes(8)]),
        lambda: psam.sam_cipher(psam.CipherMode.ENCRYPT, b""),
    ],
)
def test_a_field_that_does_not_fit_builds_no_command(build: Callable[[], object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        build()


def test_no_refusal_to_build_shows_the_pin() -> None:
    with pytest.raises(ValueError, match="7 bytes") as wrong:
        commands.verify_pin(0, b"\x98\x76\x54\x32\x10\x98\x76")
    assert "98" not in str(wrong.value)
