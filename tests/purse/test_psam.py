"""The PSAM as the terminal drives it, against recorded exchanges."""

import pytest

from campus_node.purse.errors import AccessDenied, AnswerUnreadable, KeyNotFound, MacWrong, NotFoundInCard
from campus_node.purse.files import PsamSerial
from campus_node.purse.psam import CIPHER_BYTES_MAX, CipherMode, FactorOrder, Psam, SamInit
from tests.purse.recorded_card import RecordedCard

CARD, REGION = bytes.fromhex("1234567890123456"), bytes.fromhex("B9E3B6ABB9E3B6AB")
MADE_AT = bytes.fromhex("20240411212121")
RANDOM = bytes.fromhex("A1B2C3D4")
ORDER = "A1B2C3D4 0005 00000064 06 20240411212121 01 00"


def test_a_psam_says_its_serial_and_its_terminal_number() -> None:
    card = RecordedCard("""
        00 B0 95 00 0E > 00000000000000000001 05 01 0000 9000
        00 B0 96 00 06 > 112233445566 9000
    """)
    psam = Psam(card)
    assert psam.serial() == PsamSerial(bytes(9) + b"\1", 5, 1, bytes(2))
    assert psam.terminal_id() == bytes.fromhex("112233445566")
    card.assert_played()


def test_an_issuer_without_keys_is_not_found() -> None:
    card = RecordedCard("""
        00 A4 04 00 08 4355434100000001 > 6F0A840843554341000000019000
        00 A4 04 00 08 4355434100000002 > 6A82
    """)
    psam = Psam(card)
    psam.select_issuer(bytes.fromhex("4355434100000001"))
    with pytest.raises(NotFoundInCard):
        psam.select_issuer(bytes.fromhex("4355434100000002"))
    card.assert_played()


@pytest.mark.parametrize(
    ("order", "listed"),
    [
        (FactorOrder.CARD_FIRST, "1234567890123456 B9E3B6ABB9E3B6AB"),
        (FactorOrder.BANK_FIRST, "B9E3B6ABB9E3B6AB 1234567890123456"),
    ],
)
def test_factors_are_listed_as_the_product_wants_them(order: FactorOrder, listed: str) -> None:
    card = RecordedCard(f"80 70 00 00 24 {ORDER} {listed} 08 > 00000007 83A77D6E 9000")
    made = Psam(card, order).init_for_purchase(RANDOM, 5, 100, 6, MADE_AT, 1, 0, (CARD, REGION))
    assert made == SamInit(terminal_seq=7, mac1=bytes.fromhex("83A77D6E"))
    card.assert_played()


def test_a_key_version_that_the_psam_lacks_is_named() -> None:
    card = RecordedCard(f"80 70 00 00 1C {ORDER} 1234567890123456 08 > 9403")
    with pytest.raises(KeyNotFound):
        Psam(card).init_for_purchase(RANDOM, 5, 100, 6, MADE_AT, 1, 0, (CARD,))


def test_an_answer_without_a_whole_mac1_is_unreadable() -> None:
    card = RecordedCard(f"80 70 00 00 1C {ORDER} 1234567890123456 08 > 00000007 83A77D 9000")
    with pytest.raises(AnswerUnreadable):
        Psam(card).init_for_purchase(RANDOM, 5, 100, 6, MADE_AT, 1, 0, (CARD,))


def test_the_right_mac2_passes_and_a_wrong_one_alarms() -> None:
    card = RecordedCard("""
        80 72 00 00 04 EFE06846 > 9000
        80 72 00 00 04 EFE06847 > 9302
        80 72 00 00 04 EFE06846 > 6901
    """)
    psam = Psam(card)
    psam.credit(bytes.fromhex("EFE06846"))
    with pytest.raises(MacWrong):
        psam.credit(bytes.fromhex("EFE06847"))
    with pytest.raises(AccessDenied):
        psam.credit(bytes.fromhex("EFE06846"))
    card.assert_played()


def test_a_purchase_key_is_not_delivered_for_ciphering() -> None:
    card = RecordedCard("80 1A 22 01 08 1234567890123456 > 6985")
    with pytest.raises(AccessDenied):
        Psam(card).deliver_key(0x22, 1, (CARD,))


def test_a_delivered_key_encrypts_and_decrypts() -> None:
    card = RecordedCard("""
        80 1A 48 01 10 1234567890123456 B9E3B6ABB9E3B6AB > 9000
        80 FA 00 00 08 0000000000000000 > 6108
        00 C0 00 00 08 > 1111111111111111 9000
        80 FA 80 00 08 1111111111111111 > 0000000000000000 9000
    """)
    psam = Psam(card)
    psam.deliver_key(0x48, 1, (CARD, REGION))
    assert psam.cipher(CipherMode.ENCRYPT, bytes(8)) == b"\x11" * 8
    assert psam.cipher(CipherMode.DECRYPT, b"\x11" * 8) == bytes(8)
    card.assert_played()


@pytest.mark.parametrize("answer", ["8A9D4ADB", "8A9D4ADB00112233"])
def test_a_short_message_is_macked_in_one_command(answer: str) -> None:
    card = RecordedCard(f"80 FA 05 00 10 0102030405060708 1111111111111111 > {answer} 9000")
    assert Psam(card).mac(bytes.fromhex("0102030405060708"), b"\x11" * 8) == bytes.fromhex("8A9D4ADB")
    card.assert_played()


def test_a_long_message_is_macked_in_parts_and_nothing_of_it_is_left_out() -> None:
    start, message = bytes(16), bytes(range(256)) * 2
    parts = [(start + message)[at : at + CIPHER_BYTES_MAX] for at in (0, 240, 480)]
    card = RecordedCard(f"""
        80 FA 07 00 F0 {parts[0].hex()} > 9000
        80 FA 03 00 F0 {parts[1].hex()} > 9000
        80 FA 01 00 30 {parts[2].hex()} > 8A9D4ADB 9000
    """)
    assert Psam(card).mac(start, message) == bytes.fromhex("8A9D4ADB")
    card.assert_played()


@pytest.mark.parametrize("padded", [b"", bytes(7), bytes(9)])
def test_a_message_that_is_not_padded_is_not_sent(padded: bytes) -> None:
    with pytest.raises(ValueError, match="whole blocks"):
        Psam(RecordedCard("")).mac(bytes(8), padded)


def test_a_mac_of_another_length_is_unreadable() -> None:
    card = RecordedCard("80 FA 05 00 10 0102030405060708 1111111111111111 > 8A9D4A 9000")
    with pytest.raises(AnswerUnreadable):
        Psam(card).mac(bytes.fromhex("0102030405060708"), b"\x11" * 8)
