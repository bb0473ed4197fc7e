"""How commands and answers travel: encoding, T=0's questions back, refusals by the table."""

import pytest

from campus_node.purse import errors
from campus_node.purse.apdu import ANSWER_PARTS_MAX, Command, Response, demand, exchange
from campus_node.purse.commands import Purse, get_balance, verify_pin
from campus_node.purse.errors import CardLeft, CardRefused, PinWrong
from tests.purse.recorded_card import RecordedCard

BALANCE = get_balance(Purse.EP)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Command(0x00, 0xA4, 0x00, 0x00), "00A40000"),
        (Command(0x00, 0xB0, 0x95, 0x00, le=30), "00B095001E"),
        (Command(0x00, 0xB0, 0x95, 0x00, le=256), "00B0950000"),
        (Command(0x80, 0x72, 0x00, 0x00, b"\1\2"), "80720000020102"),
        (Command(0x80, 0x5A, 0x00, 0x06, b"\0\6", 8), "805A000602000608"),
    ],
)
def test_each_of_the_four_cases_is_encoded(command: Command, expected: str) -> None:
    assert command.encode() == bytes.fromhex(expected)


@pytest.mark.parametrize(
    "command",
    [
        Command(0x100, 0, 0, 0),
        Command(0, 0, -1, 0),
        Command(0, 0, 0, 0, bytes(256)),
        Command(0, 0, 0, 0, le=0),
        Command(0, 0, 0, 0, le=257),
    ],
)
def test_what_fits_no_short_apdu_is_not_sent(command: Command) -> None:
    with pytest.raises(ValueError, match=r"must|many|range"):
        command.encode()


def test_an_answer_that_comes_at_once_is_taken_as_it_is() -> None:
    card = RecordedCard("80 5C 00 02 04 > 00000064 9000")
    assert exchange(card, BALANCE) == Response(bytes.fromhex("00000064"), 0x9000)
    card.assert_played()


def test_what_a_t0_card_keeps_back_is_fetched() -> None:
    card = RecordedCard("""
        80 5C 00 02 04 > 6104
        00 C0 00 00 04 > 00000064 9000
    """)
    assert demand(card, BALANCE) == bytes.fromhex("00000064")
    card.assert_played()


def test_an_answer_in_several_parts_is_put_together() -> None:
    card = RecordedCard("""
        80 5C 00 02 04 > 6102
        00 C0 00 00 02 > 0000 6102
        00 C0 00 00 02 > 0064 9000
    """)
    assert demand(card, BALANCE) == bytes.fromhex("00000064")
    card.assert_played()


def test_61_00_asks_for_256_bytes() -> None:
    card = RecordedCard(f"""
        80 5C 00 02 04 > 6100
        00 C0 00 00 00 > {"AB" * 256} 9000
    """)
    assert demand(card, BALANCE) == b"\xab" * 256
    card.assert_played()


def test_a_wrong_le_is_corrected_once_and_the_command_stays_the_same() -> None:
    card = RecordedCard("""
        80 5A 00 06 02 0006 08 > 6C04
        80 5A 00 06 02 0006 04 > 11223344 9000
    """)
    assert demand(card, Command(0x80, 0x5A, 0x00, 0x06, b"\0\6", 8)) == bytes.fromhex("11223344")
    card.assert_played()


def test_a_wrong_le_while_fetching_is_corrected_too() -> None:
    card = RecordedCard("""
        80 5C 00 02 04 > 6108
        00 C0 00 00 08 > 6C04
        00 C0 00 00 04 > 00000064 9000
    """)
    assert demand(card, BALANCE) == bytes.fromhex("00000064")
    card.assert_played()


def test_a_card_that_never_names_a_good_le_is_refused_and_asked_no_third_time() -> None:
    card = RecordedCard("""
        80 5C 00 02 04 > 6C05
        80 5C 00 02 05 > 6C04
    """)
    with pytest.raises(CardRefused) as refused:
        demand(card, BALANCE)
    assert refused.value.sw == 0x6C04
    card.assert_played()


def test_a_card_that_always_has_more_is_left_after_a_bounded_number_of_parts() -> None:
    fetches = "00 C0 00 00 01 > AA 6101\n" * ANSWER_PARTS_MAX
    card = RecordedCard("80 5C 00 02 04 > 6101\n" + fetches)
    assert exchange(card, BALANCE) == Response(b"\xaa" * ANSWER_PARTS_MAX, 0x6101)
    card.assert_played()


def test_a_refusal_after_a_fetch_is_the_commands_refusal() -> None:
    card = RecordedCard("""
        80 5C 00 02 04 > 6104
        00 C0 00 00 04 > 6F00
    """)
    with pytest.raises(errors.CardDefective):
        demand(card, BALANCE)
    card.assert_played()


@pytest.mark.parametrize("answer", ["", "90"])
def test_an_answer_without_a_status_word_is_lost(answer: str) -> None:
    with pytest.raises(CardLeft):
        demand(RecordedCard(f"80 5C 00 02 04 > {answer}"), BALANCE)


def test_a_refusal_names_command_and_meaning_and_never_the_pin() -> None:
    command = verify_pin(0, bytes.fromhex("987654"))
    with pytest.raises(PinWrong) as refused:
        demand(RecordedCard("00 20 00 00 03 987654 > 63C2"), command)
    assert refused.value.tries_left == 2
    assert str(refused.value) == "VERIFY: wrong, tries left: 2 (63C2)"
    assert "98" not in repr(refused.value) + str(refused.value)


def test_nothing_that_travels_is_shown_in_a_repr() -> None:
    secret = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    shown = repr(Command(0x84, 0xD4, 0x00, 0x01, secret, 4)) + repr(Response(secret, 0x9000))
    assert shown == "Command(84 D4 00 01, 16 bytes, Le 4)Response(16 bytes, 9000)"
