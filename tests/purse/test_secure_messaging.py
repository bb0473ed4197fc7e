"""Secure messaging: a challenge, a protected command, and answers that carry a MAC."""

import pytest

from campus_node.purse import commands, secure_messaging
from campus_node.purse.algorithm import Algorithm, messaging_encrypt, messaging_mac
from campus_node.purse.apdu import Command
from campus_node.purse.errors import AnswerUnreadable, CardSpent, MacRefused, MacWrong
from campus_node.purse.secure_messaging import ClearKey, protect, read, send
from tests.purse.recorded_card import RecordedCard

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
TDES, SM4 = ClearKey(Algorithm.TDES, KEY), ClearKey(Algorithm.SM4, KEY)
CHALLENGE = bytes.fromhex("5D72B3FD")
WRITTEN_KEY = Command(0x80, 0xD4, 0x00, 0x00, bytes.fromhex("220000") + KEY)
# A published key write: encrypted body, then the MAC.
ON_THE_LINE = "84D400001C DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD 8A9D4ADB"


def test_a_key_is_written_as_the_published_example_writes_it() -> None:
    assert protect(WRITTEN_KEY, TDES, CHALLENGE, encrypt=True).encode() == bytes.fromhex(ON_THE_LINE)


def test_sending_asks_for_a_challenge_and_then_for_the_deed() -> None:
    card = RecordedCard(f"""
        00 84 00 00 04 > 5D72B3FD 9000
        {ON_THE_LINE} > 9000
    """)
    assert send(card, WRITTEN_KEY, TDES, encrypt=True) == b""
    card.assert_played()


@pytest.mark.parametrize("key", [TDES, SM4])
def test_each_challenge_makes_another_mac(key: ClearKey) -> None:
    made = {
        protect(secure_messaging.card_block(), key, bytes([first]) + bytes(3)).encode() for first in range(16)
    }
    assert len(made) == 16


@pytest.mark.parametrize("key", [TDES, SM4])
def test_every_byte_of_header_and_content_counts_in_the_mac(key: ClearKey) -> None:
    command = Command(0x00, 0xD6, 0x95, 0x08, b"\x01\x02\x03\x04")
    good = protect(command, key, CHALLENGE).data[-4:]
    others = [
        command._replace(cla=0x10),
        command._replace(ins=0xDC),
        command._replace(p1=0x96),
        command._replace(p2=0x09),
        command._replace(data=b"\x01\x02\x03\x05"),
        command._replace(data=b"\x01\x02\x03\x04\x00"),
    ]
    assert good not in {protect(other, key, CHALLENGE).data[-4:] for other in others}


def test_a_challenge_of_four_is_filled_up_with_zeros() -> None:
    message = bytes.fromhex("8416000004")
    for algorithm in Algorithm:
        short = messaging_mac(algorithm, KEY, CHALLENGE, message)
        assert short == messaging_mac(algorithm, KEY, CHALLENGE + bytes(4), message)
    sixteen = messaging_mac(Algorithm.SM4, KEY, CHALLENGE + bytes(12), message)
    assert sixteen == messaging_mac(Algorithm.SM4, KEY, CHALLENGE, message)


@pytest.mark.parametrize(
    ("algorithm", "length", "encrypted"),
    [
        (Algorithm.TDES, 0, 8),
        (Algorithm.TDES, 6, 8),
        (Algorithm.TDES, 7, 8),
        (Algorithm.TDES, 8, 16),
        (Algorithm.SM4, 14, 16),
        (Algorithm.SM4, 15, 16),
        (Algorithm.SM4, 16, 32),
    ],
)
def test_encryption_pads_only_what_does_not_fill_its_blocks(
    algorithm: Algorithm, length: int, encrypted: int
) -> None:
    assert len(messaging_encrypt(algorithm, KEY, bytes(length))) == encrypted


@pytest.mark.parametrize(("key", "lc"), [(TDES, 0x0C), (SM4, 0x14)])
def test_an_unblocked_pin_travels_encrypted(key: ClearKey, lc: int) -> None:
    pin = bytes.fromhex("987654")
    sent = protect(secure_messaging.pin_unblock(pin), key, CHALLENGE, encrypt=True).encode()
    assert sent[:5] == bytes((0x84, 0x24, 0x00, 0x01, lc))
    assert pin not in sent


def test_a_wrong_mac_and_one_too_many_are_told_apart() -> None:
    card = RecordedCard("""
        00 84 00 00 04 > 5D72B3FD 9000
        84 D4 00 00 1C DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD 8A9D4ADB > 6988
        00 84 00 00 04 > 5D72B3FD 9000
        84 D4 00 00 1C DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD 8A9D4ADB > 9303
    """)
    with pytest.raises(MacRefused):
        send(card, WRITTEN_KEY, TDES, encrypt=True)
    with pytest.raises(CardSpent):
        send(card, WRITTEN_KEY, TDES, encrypt=True)
    card.assert_played()


def _answer(content: bytes, mac: bytes) -> str:
    return f"""
        00 84 00 00 04 > 5D72B3FD 9000
        04 B0 95 00 08 > {content.hex()} {mac.hex()} 9000
    """


@pytest.mark.parametrize("key", [TDES, SM4])
def test_what_is_read_with_a_mac_is_believed_only_if_the_mac_follows(key: ClearKey) -> None:
    content = b"\x01\x02\x03\x04"
    mac = key.mac(CHALLENGE, bytes.fromhex("04B0950008") + content)
    command = commands.read_binary(0x15, 0, 4)
    assert read(RecordedCard(_answer(content, mac)), command, key) == content
    for at in range(4):
        forged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(MacWrong):
            read(RecordedCard(_answer(forged, mac)), command, key)
    with pytest.raises(MacWrong):
        read(RecordedCard(_answer(content, bytes(4))), command, key)


def test_an_answer_without_room_for_its_mac_is_unreadable() -> None:
    with pytest.raises(AnswerUnreadable):
        read(RecordedCard(_answer(b"\1\2\3\4", b"")), commands.read_binary(0x15, 0, 4), TDES)


def test_a_challenge_of_another_length_is_unreadable() -> None:
    with pytest.raises(AnswerUnreadable):
        send(RecordedCard("00 84 00 00 04 > 5D72B3 9000"), secure_messaging.card_block(), TDES)


def test_no_key_is_in_a_repr() -> None:
    assert KEY.hex().upper() not in repr(TDES).upper()
    assert repr(KEY) not in repr(TDES)


@pytest.mark.parametrize(
    "command", [Command(0x00, 0xD6, 0x95, 0x00, bytes(252)), Command(0x00, 0xD6, 0x95, 0x00, bytes(255))]
)
def test_a_command_that_has_no_room_for_its_mac_is_not_sent(command: Command) -> None:
    with pytest.raises(ValueError, match="too many"):
        protect(command, TDES, CHALLENGE)


@pytest.mark.parametrize("challenge", [b"", bytes(3), bytes(5), bytes(16)])
def test_a_challenge_that_is_none_makes_no_mac(challenge: bytes) -> None:
    with pytest.raises(ValueError, match="challenge"):
        protect(secure_messaging.card_block(), TDES, challenge)
