"""Cells are what docs/wire.md says, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines.crc16 import crc16
from campus_node.lines.errors import FrameBroken
from campus_node.lines.thin.cells import (
    CELL_BYTES_MAX,
    PART_BYTES,
    PARTS_MAX,
    Cell,
    Kind,
    cut,
    encode,
    missing,
    parse,
    parts_of,
    received,
    sound,
)
from tests.lines.golden import golden

MESSAGES = st.binary(min_size=1, max_size=4095)


def _cell(content: str) -> bytes:
    octets = bytes.fromhex(content)
    return octets + crc16(octets)


def test_the_checksum_is_the_published_one() -> None:
    assert crc16(b"123456789") == bytes.fromhex("906E")


MADE = {
    "DATA, a message of 3 bytes": Cell(Kind.PART, False, 0x0102, 0, 3, b"abc"),
    "DATA, urgent, the last cell of 92 bytes": Cell(Kind.PART, True, 0xFFFF, 91, 92, b"z"),
    "NOTICE, urgent, 1 byte": Cell(Kind.NOTICE, True, 7, 0, 1, b"!"),
    "RECEIVED, whole": Cell(Kind.RECEIVED, False, 7, 3, 3),
    "RECEIVED, urgent, of 4 cells the second and third lack": Cell(
        Kind.RECEIVED, True, 7, 91, 91 * 4, b"\x40"
    ),
}


def test_cells_are_the_golden_ones() -> None:
    frames = {title: fields["frame"] for title, fields in golden("thin.txt").items()}
    assert {title: encode(cell) for title, cell in MADE.items()} == frames
    assert {title: parse(frame) for title, frame in frames.items()} == MADE


def test_an_answer_names_the_first_that_lacks_and_the_others_by_bits() -> None:
    answer = received(True, 7, 91 * 4, {0, 3})
    assert answer == Cell(Kind.RECEIVED, True, 7, 91, 91 * 4, b"\x40")
    assert missing(answer) == [1, 2]


@given(message=MESSAGES)
def test_a_message_is_cut_into_cells_of_at_most_100_bytes_and_put_together_again(message: bytes) -> None:
    cells = [parse(encode(cell)) for cell in cut(Kind.PART, False, 5, message)]
    assert len(cells) == parts_of(len(message)) <= PARTS_MAX
    assert max(len(encode(cell)) for cell in cells) <= CELL_BYTES_MAX
    assert b"".join(cell.part for cell in cells) == message


@given(length=st.integers(1, 4095), chosen=st.sets(st.integers(0, PARTS_MAX - 1)))
def test_an_answer_says_exactly_what_lacks(length: int, chosen: set[int]) -> None:
    here = {number for number in chosen if number < parts_of(length)}
    answer = parse(encode(received(False, 1, length, here)))
    assert missing(answer) == [number for number in range(parts_of(length)) if number not in here]


@given(octets=st.binary(max_size=120))
def test_noise_is_no_cell(octets: bytes) -> None:
    if sound(octets):  # one in 65,536
        return
    with pytest.raises(FrameBroken):
        parse(octets)


@given(octets=st.binary(min_size=7, max_size=98))
def test_a_right_checksum_alone_makes_no_cell(octets: bytes) -> None:
    whole = octets + crc16(octets)
    assert sound(whole)
    try:
        cell = parse(whole)
    except FrameBroken:
        return
    assert encode(cell) == whole, "what is taken is what somebody could have sent"


@pytest.mark.parametrize(
    "octets",
    [
        "30 0001 0000 0001 61",  # no such kind
        "02 0001 0000 0001 61",  # a bit that nobody sets
        "00 0001 0000 0000",  # an empty message
        "00 0001 0000 1000 61",  # 4,096 bytes
        "00 0001 0000 0002 61",  # less than the message has
        "00 0001 0001 0002 61",  # not where cells begin
        "00 0001 005B 005B",  # behind the end
        "10 0001 005B 0003",  # lacks what is behind the end
        "10 0001 0000 016C",  # without its bitmap
        "10 0001 0001 0003",  # lacks from the middle of a cell
    ],
)
def test_cells_that_contradict_themselves_are_refused(octets: str) -> None:
    with pytest.raises(FrameBroken):
        parse(_cell(octets))


def test_the_longest_cell_has_100_bytes() -> None:
    assert len(encode(Cell(Kind.PART, False, 1, 0, 4095, bytes(PART_BYTES)))) == CELL_BYTES_MAX
