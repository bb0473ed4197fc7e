"""What the envelope promises, against golden bytes and against whoever has the wire and not the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines.envelope import (
    COUNTER_MAX,
    HEAD_BYTES,
    OVERHEAD_BYTES,
    PLAINTEXT_BYTES_MAX,
    WINDOW,
    Direction,
    Label,
    ReplayWindow,
    label,
    open_sealed,
    seal,
)
from campus_node.lines.errors import Forged, FrameBroken, MessageSize, Replayed
from campus_node.lines.line import MESSAGE_BYTES_MAX
from tests.lines.golden import golden

KEY, OTHER = bytes(range(16)), bytes(range(1, 17))
keys = st.binary(min_size=16, max_size=16)
numbers = st.integers(1, COUNTER_MAX)
directions = st.sampled_from(Direction)
plaintexts = st.binary(max_size=200)


@pytest.mark.parametrize("title", golden("envelope.txt"))
def test_envelopes_are_the_golden_ones(title: str) -> None:
    fields = golden("envelope.txt")[title]
    session, counter = (int.from_bytes(fields[name], "big") for name in ("session", "counter"))
    direction = Direction(fields["direction"][0])
    made = seal(fields["key"], session, counter, direction, fields["plaintext"])
    assert made == fields["envelope"]
    assert label(made) == Label(session, counter)
    assert open_sealed(fields["key"], made, direction) == fields["plaintext"]


@given(keys, numbers, numbers, directions, plaintexts)
def test_what_was_sealed_is_what_is_opened(
    key: bytes, session: int, counter: int, direction: Direction, plaintext: bytes
) -> None:
    envelope = seal(key, session, counter, direction, plaintext)
    assert len(envelope) == len(plaintext) + OVERHEAD_BYTES
    assert label(envelope) == Label(session, counter)
    assert open_sealed(key, envelope, direction) == plaintext


@given(numbers, numbers, directions, plaintexts, st.integers(min_value=0), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_refused(
    session: int, counter: int, direction: Direction, plaintext: bytes, place: int, change: int
) -> None:
    envelope = bytearray(seal(KEY, session, counter, direction, plaintext))
    envelope[place % len(envelope)] ^= change
    with pytest.raises((Forged, FrameBroken)):
        open_sealed(KEY, bytes(envelope), direction)


@given(numbers, numbers, directions, plaintexts, st.integers(0, 500))
def test_a_truncated_or_lengthened_envelope_is_refused(
    session: int, counter: int, direction: Direction, plaintext: bytes, length: int
) -> None:
    envelope = seal(KEY, session, counter, direction, plaintext)
    other = envelope.ljust(length, b"\0")[:length]
    if other != envelope:
        with pytest.raises((Forged, FrameBroken)):
            open_sealed(KEY, other, direction)


@given(numbers, numbers, directions, plaintexts)
def test_an_envelope_cannot_be_turned_round_or_opened_with_another_key(
    session: int, counter: int, direction: Direction, plaintext: bytes
) -> None:
    envelope = seal(KEY, session, counter, direction, plaintext)
    with pytest.raises(Forged):
        open_sealed(KEY, envelope, direction.other)
    with pytest.raises(Forged):
        open_sealed(OTHER, envelope, direction)


@given(numbers, numbers, numbers, directions, plaintexts)
def test_an_envelope_cannot_be_given_another_session_or_counter(
    session: int, counter: int, other: int, direction: Direction, plaintext: bytes
) -> None:
    envelope = seal(KEY, session, counter, direction, plaintext)
    moved = other.to_bytes(4, "big")
    for forged in (
        envelope[:1] + moved + envelope[5:],
        envelope[:5] + moved + envelope[HEAD_BYTES:],
    ):
        if forged != envelope:
            with pytest.raises(Forged):
                open_sealed(KEY, forged, direction)


@given(st.binary(max_size=80), directions)
def test_garbage_raises_our_own_errors_only(garbage: bytes, direction: Direction) -> None:
    with pytest.raises((FrameBroken, Forged)):
        open_sealed(KEY, garbage, direction)
    with pytest.raises((FrameBroken, Forged)):
        open_sealed(KEY, b"\1" + garbage, direction)


def test_the_longest_plaintext_fills_a_message_and_no_more_fits() -> None:
    envelope = seal(KEY, 1, 1, Direction.FROM_HEAD, bytes(PLAINTEXT_BYTES_MAX))
    assert len(envelope) == MESSAGE_BYTES_MAX
    with pytest.raises(MessageSize):
        seal(KEY, 1, 2, Direction.FROM_HEAD, bytes(PLAINTEXT_BYTES_MAX + 1))
    with pytest.raises(FrameBroken):
        open_sealed(KEY, envelope + b"\0", Direction.FROM_HEAD)


@pytest.mark.parametrize(("session", "counter"), [(0, 1), (1, 0), (COUNTER_MAX + 1, 1), (1, COUNTER_MAX + 1)])
def test_numbers_that_no_nonce_has_are_refused(session: int, counter: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to"):
        seal(KEY, session, counter, Direction.FROM_HEAD, b"")


@given(st.lists(st.integers(1, 4 * WINDOW), max_size=300))
def test_the_window_takes_each_counter_once_and_nothing_that_is_too_old(counters: list[int]) -> None:
    window, taken = ReplayWindow(), set[int]()
    for counter in counters:
        fresh = counter not in taken and counter > max(taken, default=0) - WINDOW
        try:
            window.accept(counter)
            assert fresh, f"{counter} was taken twice, or too late"
            taken.add(counter)
        except Replayed:
            assert not fresh, f"{counter} was refused without reason"
        assert window.highest == max(taken, default=0)


def test_the_window_survives_a_leap_to_the_last_counter() -> None:
    window = ReplayWindow()
    window.accept(1)
    window.accept(COUNTER_MAX)
    window.accept(COUNTER_MAX - WINDOW + 1)
    for old in (1, COUNTER_MAX, COUNTER_MAX - WINDOW, 0):
        with pytest.raises(Replayed):
            window.accept(old)
