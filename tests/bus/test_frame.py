"""Frames as bits: published and hand-made examples, and a second way to the same lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rig.virtual.can_bus.frame import (
    Frame,
    arbitration_key,
    crc15,
    frame_bits,
    slot_bits,
    stuff,
    stuffed_bits,
    stuffed_length,
    unstuffed_bits,
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    extended = draw(st.booleans())
    identifier = draw(st.integers(0, (1 << 29 if extended else 1 << 11) - 1))
    if draw(st.integers(0, 9)) == 0:
        return Frame(identifier, b"", extended, True, draw(st.integers(0, 8)))
    octets = st.one_of(st.sampled_from([0x00, 0xFF, 0x0F, 0xF8]), st.integers(0, 255))
    return Frame(identifier, bytes(draw(st.lists(octets, max_size=8))), extended)


def bits_of(frame: Frame) -> str:
    bits, count = unstuffed_bits(frame)
    return format(bits, f"0{count}b")


def test_the_checksum_has_its_published_value() -> None:
    # The check value of CRC-15/CAN in the catalogue of parametrised CRC algorithms: of the digits 1 to 9.
    assert crc15(int.from_bytes(b"123456789"), 72) == 0x059E


def test_a_base_frame_is_what_a_division_by_hand_gives() -> None:
    assert bits_of(Frame(20, b"\x01", extended=False)) == "".join(
        [
            "0",  # SOF
            "00000010100",  # identifier
            "0",  # RTR
            "0",  # IDE
            "0",  # r0
            "0001",  # length code
            "00000001",  # the byte
            "111011101010011",  # checksum
        ]
    )
    # Stuffed in front, and within the 8 zeros before the length code's 1 and the 7 before the byte's.
    assert stuffed_bits(Frame(20, b"\x01", extended=False)) == "".join(
        ["00000", "1", "00101", "00000", "1", "000", "1", "00000", "1", "001", "111011101010011"]
    )
    assert frame_bits(Frame(20, b"\x01", extended=False)) == 42 + 3 + 10


def test_zeros_are_stuffed_after_every_fifth() -> None:
    # Identifier 0, nothing in it: 19 zeros, so its checksum is zero, too; 34 zeros hold 6 groups of 5.
    frame = Frame(0, extended=False)
    assert bits_of(frame) == "0" * 34
    assert stuffed_bits(frame) == "000001" * 6 + "0000"
    assert frame_bits(frame) == 34 + 6 + 10
    assert slot_bits(frame) == 34 + 6 + 10 + 3


@pytest.mark.parametrize(
    ("bits", "stuffed"),
    [
        ("0000", "0000"),
        ("00000", "000001"),  # at the very end, too
        ("000001111", "00000111110"),  # the inserted bit is the first of the next five
        ("1111100001111", "1111100000111110"),
        ("0101010101", "0101010101"),
    ],
)
def test_an_inserted_bit_counts_in_the_next_run(bits: str, stuffed: str) -> None:
    assert stuff(bits) == stuffed


def test_alternating_bits_are_stuffed_only_in_their_checksum() -> None:
    frame = Frame(0x555, bytes([0x55] * 8), extended=False)
    head = "0" + "10101010101" + "000" + "1000" + "01010101" * 8  # SOF, identifier, RTR IDE r0, length, bytes
    assert bits_of(frame) == head + "001101100000100"
    assert stuffed_bits(frame) == head + "001101100000" + "1" + "100"
    assert slot_bits(frame) == 34 + 64 + 1 + 13


def stuffed_bits_added(frame: Frame) -> int:
    return len(stuffed_bits(frame)) - len(bits_of(frame))


def test_an_extended_frame_has_its_fields_in_their_places() -> None:
    frame = Frame(0x18DA0001, b"\xff")
    assert bits_of(frame)[:-15] == "".join(
        [
            "0",
            "11000110110",  # the upper 11 bits
            "1",  # SRR
            "1",  # IDE
            "100000000000000001",  # the lower 18
            "0",  # RTR
            "00",  # r1, r0
            "0001",
            "11111111",
        ]
    )
    assert slot_bits(frame) == 54 + 8 + stuffed_bits_added(frame) + 13


@given(frames())
def test_the_table_counts_what_the_bits_show(frame: Frame) -> None:
    assert stuffed_length(frame) == len(stuffed_bits(frame))
    assert slot_bits(frame) == len(stuffed_bits(frame)) + 13


@given(frames())
def test_a_frame_is_as_long_as_the_books_say(frame: Frame) -> None:
    plain = (54 if frame.extended else 34) + 8 * len(frame.payload)
    assert plain <= stuffed_length(frame) <= plain + (plain - 1) // 4


@given(frames())
def test_a_frame_and_its_checksum_leave_no_remainder(frame: Frame) -> None:
    remainder, bits = 0, bits_of(frame)
    for bit in bits:  # division by x^15 + x^14 + x^10 + x^8 + x^7 + x^4 + x^3 + 1, bit by bit
        remainder = remainder << 1 | int(bit)
        if remainder & 0x8000:
            remainder ^= 0b1100010110011001
    assert remainder == 0


@given(frames(), frames())
def test_arbitration_follows_the_first_bit_that_differs(one: Frame, other: Frame) -> None:
    fields = [bits_of(frame)[: 33 if frame.extended else 14] for frame in (one, other)]  # to RTR, or to IDE
    length = min(map(len, fields))
    if fields[0][:length] != fields[1][:length]:
        assert (arbitration_key(one) < arbitration_key(other)) == (fields[0] < fields[1])


def test_no_controller_could_send_these() -> None:
    for frame in (
        Frame(0x800, extended=False),
        Frame(1 << 29),
        Frame(-1),
        Frame(1, bytes(9)),
        Frame(1, b"1", remote=True),
        Frame(1, remote=True, asked_bytes=9),
    ):
        with pytest.raises(ValueError, match=r"range|carries"):
            frame.demand_valid()
