"""Frames of RS-485: the golden bytes both ways, and a parser that finds frames in anything."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines.crc16 import crc16
from campus_node.lines.serial.frames import PAYLOAD_BYTES_MAX, START, FrameParser, Kind, SerialFrame
from campus_node.lines.serial.search import Pattern, matches, rate_payload, rate_told
from campus_node.lines.serial.spread import (
    NOTICE_OFFSET,
    NOTICE_PIECE_BYTES,
    Announcement,
    Cut,
    Standing,
    announced,
    announcement_payload,
    asked_payload,
    missing_payload,
    piece_payload,
    said,
    standing_payload,
)
from tests.lines.golden import golden

MARK = bytes.fromhex("A1B2C3D4")
MESSAGE = bytes.fromhex("0100000001000000016AB762F01FF88D56A67F")
GOLDEN = {
    "POLL of terminal 17": SerialFrame(17, 0, Kind.POLL),
    "terminal 17 has nothing": SerialFrame(0, 17, Kind.ACK),
    "terminal 17 answers with a whole message and has more": SerialFrame(
        0, 17, Kind.SEGMENT, 0, True, True, True, MESSAGE
    ),
    "ACK, the next one expected has sequence 1": SerialFrame(17, 0, Kind.ACK, 1),
    "the middle segment of three, sequence 1": SerialFrame(17, 0, Kind.SEGMENT, 1, payload=bytes(range(16))),
    "BUSY": SerialFrame(17, 0, Kind.BUSY),
    "DISCOVER asked": SerialFrame(5, 0, Kind.DISCOVER),
    "DISCOVER answered with the serial number": SerialFrame(0, 5, Kind.DISCOVER, payload=bytes(9) + b"\1"),
    "BLOCK of transfer 7 at offset 65536, to all": SerialFrame(
        255, 0, Kind.BLOCK, payload=piece_payload(7, 65536, START * 4)
    ),
    "MISSING asked of terminal 254": SerialFrame(254, 0, Kind.MISSING, payload=asked_payload(7, 16)),
    "MISSING answered: blocks 16 and 23 lack": SerialFrame(
        0, 254, Kind.MISSING, payload=missing_payload(7, [16, 23])
    ),
    "DISCOVER of those whose serial number's SHA-256 begins with 101": SerialFrame(
        5, 0, Kind.DISCOVER, payload=Pattern(3, 0b101).encode()
    ),
    "DISCOVER at another rate, the line has 115200 baud": SerialFrame(
        5, 0, Kind.DISCOVER, payload=rate_payload(115_200)
    ),
    "BLOCK that announces transfer 7: a notice of 4300 bytes": SerialFrame(
        255, 0, Kind.BLOCK, payload=announcement_payload(7, Announcement(4300, MARK))
    ),
    "BLOCK of the notice of transfer 7, its second piece": SerialFrame(
        255, 0, Kind.BLOCK, payload=piece_payload(7, NOTICE_OFFSET + NOTICE_PIECE_BYTES, bytes(range(1, 9)))
    ),
    "MISSING answered: transfer 7 is stored": SerialFrame(
        0, 254, Kind.MISSING, payload=standing_payload(7, Standing.STORED, MARK)
    ),
    "NOTICE to all": SerialFrame(255, 0, Kind.NOTICE, payload=b"\x21" + bytes(10)),
}
FRAMES = st.builds(
    SerialFrame,
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from(Kind),
    st.integers(0, 1),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.one_of(st.binary(max_size=40), st.just(START * 30), st.binary(min_size=1000, max_size=1024)),
)


def frames_in(content: bytes, chunk: int) -> list[SerialFrame]:
    parser, found = FrameParser(), []
    for at in range(0, len(content), chunk):
        found += parser.feed(content[at : at + chunk])
    return found + parser.gap()


def test_the_checksum_is_crc_16_x_25() -> None:
    assert crc16(b"123456789") == bytes.fromhex("906E")


def test_every_golden_frame_is_made_and_understood() -> None:
    sections = golden("rs485.txt")
    assert sections.keys() == GOLDEN.keys()
    for title, fields in sections.items():
        assert GOLDEN[title].encode() == fields["frame"], title
        assert FrameParser().feed(fields["frame"]) == [GOLDEN[title]], title


@given(frames=st.lists(FRAMES, max_size=5), chunk=st.integers(1, 1100))
def test_frames_are_found_however_their_bytes_arrive(frames: list[SerialFrame], chunk: int) -> None:
    content = b"".join(frame.encode() for frame in frames)
    assert frames_in(content, chunk) == frames


@given(
    noise=st.one_of(
        st.binary(max_size=30).filter(lambda some: START not in some and not some.endswith(START[:1])),
        st.just(START),
        st.just(START * 3 + b"\x55"),
        st.just(SerialFrame(1, 0, Kind.SEGMENT, payload=bytes(1024)).encode()[:20]),
        st.just(SerialFrame(1, 0, Kind.POLL).encode()[:-1] + b"\0"),
    ),
    frame=FRAMES,
    chunk=st.integers(1, 64),
)
def test_a_frame_behind_noise_or_behind_a_false_start_is_found(
    noise: bytes, frame: SerialFrame, chunk: int
) -> None:
    found = frames_in(noise + frame.encode() + bytes(3), chunk)
    assert frame in found


@given(content=st.binary(max_size=300), chunk=st.integers(1, 100))
def test_no_bytes_make_the_parser_raise_or_keep_more_than_a_frame(content: bytes, chunk: int) -> None:
    parser = FrameParser()
    for at in range(0, len(content), chunk):
        for frame in parser.feed(content[at : at + chunk]):
            assert frame.encode() in content
    parser.gap()
    assert not parser.pending


@given(frame=FRAMES, at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_frame_with_a_wrong_bit_is_none(frame: SerialFrame, at: int, bit: int) -> None:
    wrong = bytearray(frame.encode())
    wrong[at % len(wrong)] ^= 1 << bit
    assert frame not in frames_in(bytes(wrong), 50)


def test_a_long_noise_costs_no_memory(seed: int) -> None:
    rng, parser = random.Random(f"noise {seed}"), FrameParser()
    for _ in range(300):
        parser.feed(rng.randbytes(500).replace(START, b"\0\0"))
        assert parser.skipped_count > 0
    parser.feed(SerialFrame(1, 0, Kind.POLL).encode())
    assert not parser.pending


@given(
    size=st.integers(1, 20_000), block=st.integers(1, 600).map(lambda n: 8 * n), offset=st.integers(0, 20_000)
)
def test_pieces_cover_an_image_exactly_once(size: int, block: int, offset: int) -> None:
    cut = Cut(size, block)
    covered = 0
    for number in range(cut.numbers):
        at, length = cut.place(number)
        if length:
            assert at == covered
            assert length <= PAYLOAD_BYTES_MAX - 4
            assert cut.number(at) == number
            assert number in list(cut.numbers_of(at // block))
            covered += length
    assert covered == size
    if (begins := cut.number(offset)) is not None and offset < size:
        assert cut.place(begins)[0] == offset


@given(numbers=st.sets(st.integers(0, 8000), min_size=1), first=st.integers(0, 0x7000))
def test_what_is_missing_is_named_exactly(numbers: set[int], first: int) -> None:
    wanted = {first + number for number in numbers}
    answer = said(missing_payload(9, wanted), 9)
    assert answer is not None
    assert set(answer.missing) == wanted
    assert said(missing_payload(9, wanted), 8) is None


@given(payload=st.binary(max_size=60))
def test_no_answer_of_anybody_raises(payload: bytes) -> None:
    said(payload, payload[0] if payload else 0)
    announced(payload)


def test_announcements_and_standings_come_back() -> None:
    announcement = Announcement(4321, b"mark")
    assert announced(announcement_payload(3, announcement)[4:]) == announcement
    answer = said(standing_payload(3, Standing.STORED, b"mark"), 3)
    assert answer == (Standing.STORED, b"mark", ())


def test_the_rate_of_the_line_is_told_and_a_pattern_is_none() -> None:
    assert rate_told(rate_payload(9_600)) == 9_600
    assert rate_told(Pattern(24, 9_600).encode()) is None
    assert rate_told(bytes(4)) is None


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 24])
def test_a_pattern_is_answered_by_exactly_those_whose_digest_begins_with_it(bits: int) -> None:
    digest = bytes.fromhex("A5C3F00F")
    value = int.from_bytes(digest) >> (32 - bits)
    assert matches(Pattern(bits, value).encode(), digest)
    assert not matches(Pattern(bits, value ^ 1).encode(), digest)
    assert not matches(b"\0", digest)
    assert not matches(Pattern(bits, value).encode() + b"\0", digest)
