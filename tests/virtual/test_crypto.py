"""The card's own cryptography gives the values that others published, and no others.

Sources: A = blog traces 4280376 and 4280430; B, C = traces of real FM1208 cards; E = an article on keys of
PSAM and CPU card; F = the FM1208 manual; W = our worked example, 3DES and SM4 (SM4 rests on no public trace:
unverified).
"""

import pytest

from hil_rig.virtual.crypto import RunningMac, Sm4Key, TdesKey, algorithm_of, authentication, key_of
from tests.virtual.talk import CARD_KEY_3DES, CARD_KEY_SM4, octets

KEY_A = "11223344556677888877665544332211"
DES_F = "1122334455667788"
ROOT = "00112233445566778899AABBCCDDEEFF"


def test_a_factor_makes_the_key_of_the_next_level() -> None:
    assert TdesKey(octets(ROOT)).diversified(octets("1122334455667788")).value == octets(
        "496BD7A3513644533100B54E71196528"  # E
    )
    assert Sm4Key(octets(ROOT)).diversified(octets("1122334455667788")).value == octets(
        "5A9F65876227746D95606233700543A9"  # W
    )


@pytest.mark.parametrize(
    ("algorithm", "region", "card"),
    [
        (0x00, "A98D67402A30FCAEAC4C3325CD34A48B", CARD_KEY_3DES),
        (0x04, "191C1D318206609919A16D7F82448EE1", CARD_KEY_SM4),
    ],
)
def test_the_worked_example_goes_from_the_root_to_the_card(algorithm: int, region: str, card: str) -> None:
    region_key = key_of(algorithm, octets(ROOT)).diversified(octets("B9E3B6ABB9E3B6AB"))
    assert region_key.value == octets(region)
    assert region_key.diversified(octets("1234567890123456")).value == octets(card)


# key, seed, messages and their MACs under the session key
SESSIONS = [
    pytest.param(
        TdesKey, KEY_A, "11223344 0000 8000",
        [("00000000 00001000 01 001122334455", "2988AE5A"),
         ("00001000 01 001122334455 20111221214822", "3A845BF0")],
        id="A load",
    ),
    pytest.param(
        TdesKey, KEY_A, "11223344 0000 0001",
        [("00001000 06 001122334455 20120229135100", "F15CAB75"), ("00001000", "56988A13")],
        id="A purchase",
    ),
    pytest.param(
        TdesKey, "3F3F3F3F3F3F3F3F1122334455667788", "4E066548 0000 8000",
        [("00000000 00000010 02 666666666666", "0D39ADBB"),
         ("00000010 02 666666666666 20240411 212121", "097E98FE")],
        id="B load",
    ),
    pytest.param(
        TdesKey, "3F01" * 8, "06B825D7 0017 8000",
        [("0000001A 00000001 02 112233445566", "684C81CE"),
         ("00000001 02 112233445566 20170310110734", "9C8A0625")],
        id="C load",
    ),
    pytest.param(
        Sm4Key, CARD_KEY_SM4, "A1B2C3D4 0005 0007",
        [("00000064 06 112233445566 20240411212121", "DE27B8B3"), ("00000064", "9E486260"),
         ("00000064 09 112233445566 20240411212121", "8DA214BA")],
        id="W SM4 purchase",
    ),
    pytest.param(
        TdesKey, CARD_KEY_3DES, "A1B2C3D4 0005 0007",
        [("00000064 06 112233445566 20240411212121", "83A77D6E"), ("00000064", "EFE06846"),
         ("00000064 09 112233445566 20240411212121", "65C8A775")],
        id="W 3DES purchase",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "key", "seed", "messages"), SESSIONS)
def test_a_transaction_has_the_published_macs_in_any_order(
    kind: type[TdesKey] | type[Sm4Key], key: str, seed: str, messages: list[tuple[str, str]]
) -> None:
    session = kind(octets(key)).session(octets(seed))
    for message, mac in messages * 2 + messages[::-1]:
        assert session.mac(octets(message)) == octets(mac)
        changed = bytearray(octets(message))
        changed[len(changed) // 2] ^= 0x01
        assert session.mac(bytes(changed)) != octets(mac)


def test_session_keys_of_the_traces() -> None:
    for key, seed, session in (
        (KEY_A, "1122334400008000", "9B1D924E05595603"),
        (KEY_A, "1122334400000001", "003238ABC57659DD"),
        ("3F3F3F3F3F3F3F3F1122334455667788", "4E06654800008000", "3B75C79CFA8C2327"),
        ("3F01" * 8, "06B825D700178000", "6E76E8541E217D9A"),
        (CARD_KEY_3DES, "A1B2C3D400050007", "F205A8B7C09195B3"),
        (CARD_KEY_3DES, "A1B2C3D400038000", "F1602E29D736C2C0"),
    ):
        assert TdesKey(octets(key)).encrypt(octets(seed)) == octets(session)
    for key, seed, session in (
        ("5A9F65876227746D95606233700543A9", "1122334400000001", "772B389EF1CDA9EE9EFAFEC7BC1F4ABC"),
        (CARD_KEY_SM4, "A1B2C3D400050007", "0D8B78E041906F9B4F6A131CF2A5F433"),
        (CARD_KEY_SM4, "A1B2C3D400038000", "E67D7E04B8427A97D0C94B7B37C7E30F"),
    ):
        inverted = bytes(byte ^ 0xFF for byte in octets(seed))
        assert Sm4Key(octets(key)).encrypt(octets(seed) + inverted) == octets(session)


def test_sm4_macs_of_the_second_worked_example() -> None:
    session = RunningMac(octets("772B389EF1CDA9EE9EFAFEC7BC1F4ABC"), sm4=True)
    assert session.mac(octets("00001000 06 001122334455 20120229135100")) == octets("DCD0711E")
    assert session.mac(octets("00001000")) == octets("CC7EEC22")
    assert session.mac(bytes(range(16))) == octets("DE88F35B")


def test_the_tac_key_is_the_two_halves_folded() -> None:
    dtk_b = TdesKey(octets("34343434343434341122334455667788"))
    assert RunningMac(octets("25160770615243BC"), sm4=False).mac(b"any") == dtk_b.folded().mac(b"any")
    load_b = "00000010 0000 00000010 02 666666666666 20240411 212121"
    assert dtk_b.folded().mac(octets(load_b)) == octets("A802863E")
    dtk_c = TdesKey(octets("34" * 16))
    load_c = "0000001B 0017 00000001 02 112233445566 20170310110734"
    assert dtk_c.folded().mac(octets(load_c)) == octets("16EAD516")


def test_the_tac_of_the_worked_example() -> None:
    purchase = octets("00000064 06 112233445566 00000007 20240411212121")
    load = octets("000003E8 0003 000003E8 02 112233445566 20240411212121")
    tdes, sm4 = TdesKey(octets(CARD_KEY_3DES)).folded(), Sm4Key(octets(CARD_KEY_SM4)).folded()
    assert (tdes.mac(purchase), sm4.mac(purchase)) == (octets("6B0F7B93"), octets("4EA734F0"))
    assert (tdes.mac(load), sm4.mac(load)) == (octets("D3D6FD5F"), octets("7B3F641D"))


def test_single_des_values_of_the_manual() -> None:
    des = TdesKey(octets(DES_F * 2))  # both halves the same: 3DES is DES
    assert des.encrypt(octets("0102030405060708")) == octets("178F59F8578E0D3F")
    assert des.decrypt(octets("178F59F8578E0D3F")) == octets("0102030405060708")
    assert des.mac(octets("0102030405060708")) == octets("A82A8CEB")
    outer = TdesKey(octets("0102030405060708" * 2))
    assert authentication(outer, octets("BB83BFF3")) == octets("74B0047DD681D96C")


def test_a_key_travels_under_the_published_cipher_and_mac() -> None:
    key = TdesKey(octets(ROOT))
    cipher = octets("DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD")
    assert key.decrypt(cipher) == octets("13 220000 " + ROOT + "80000000")
    assert key.mac(octets("84D400001C") + cipher, octets("5D72B3FD")) == octets("8A9D4ADB")


def test_algorithm_bytes() -> None:
    assert [algorithm_of(byte) for byte in range(256)] == [0x00, 0x00, None, None, 0x04] + [None] * 251
