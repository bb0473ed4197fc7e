"""Frames on TCP are the golden ones, and garbage raises our own error only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines.errors import FrameBroken
from campus_node.lines.tcp_frames import (
    Frame,
    FrameReader,
    Kind,
    Opening,
    Reason,
    encode,
    encode_message,
    encode_open,
    parse_open,
)
from tests.lines.golden import golden

MADE = {
    "OPEN of an end that has received 3": encode_open(Opening(bytes(range(16)), bytes(range(16, 32)), 3)),
    "MESSAGE 4": encode_message(4, bytes.fromhex("0100000001000000016AB762F01FF88D56A67F")),
    "TAKEN through 4": encode(Kind.TAKEN, (4).to_bytes(4, "big")),
    "PING": encode(Kind.PING),
    "PONG": encode(Kind.PONG),
    "BYE, another connection of the same identity": encode(Kind.BYE, bytes((Reason.REPLACED,))),
}
bodies = st.one_of(
    st.builds(lambda m: Frame(Kind.MESSAGE, bytes(4) + m), st.binary(min_size=1, max_size=300)),
    st.sampled_from([Frame(Kind.PING, b""), Frame(Kind.PONG, b""), Frame(Kind.TAKEN, bytes(4))]),
)


def test_frames_are_the_golden_ones() -> None:
    assert {title: fields["frame"] for title, fields in golden("tcp.txt").items()} == MADE


def test_golden_frames_are_read_byte_by_byte() -> None:
    reader, read = FrameReader(), []
    for fields in golden("tcp.txt").values():
        for byte in fields["frame"]:
            read += reader.feed(bytes((byte,)))
    assert [encode(frame.kind, frame.body) for frame in read] == list(MADE.values())
    assert parse_open(read[0].body) == Opening(bytes(range(16)), bytes(range(16, 32)), 3)


@given(st.lists(bodies, max_size=20), st.lists(st.integers(1, 200), min_size=1))
def test_frames_arrive_whole_however_the_stream_is_cut(frames: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(encode(frame.kind, frame.body) for frame in frames)
    reader, read, at = FrameReader(), [], 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        read += reader.feed(stream[at : at + size])
        at += size
    assert read == frames


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_garbage_raises_our_own_error_only(parts: list[bytes]) -> None:
    reader = FrameReader()
    try:
        for part in parts:
            for frame in reader.feed(part):
                if frame.kind is Kind.OPEN:
                    parse_open(frame.body)
    except FrameBroken:
        pass


@pytest.mark.parametrize("start", ["000000", "070000", "020004", "021004", "010000", "0400FF", "060002"])
def test_a_kind_or_length_that_does_not_exist_is_found_at_once(start: str) -> None:
    with pytest.raises(FrameBroken):
        FrameReader().feed(bytes.fromhex(start))
