"""Any M of N shares give the secret back; fewer say nothing; a slip of the pen is found."""

import itertools
import os
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.keys.shares import LINES, SECRET_BYTES, SHARES_MAX, Share, combine, parse_share, split
from federation.errors import Misconfigured

CEREMONY = b"\x01\x02\x03\x04"
secrets = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    count = draw(st.integers(2, SHARES_MAX))
    return draw(st.integers(2, count)), count


@given(secret=secrets, size=sizes(), choice=st.randoms(use_true_random=False))
def test_any_m_of_n_shares_give_the_secret_back(secret: bytes, size: tuple[int, int], choice: Random) -> None:
    threshold, count = size
    shares = split(secret, threshold, count, CEREMONY, os.urandom)
    assert combine(choice.sample(shares, threshold)) == secret
    assert combine(choice.sample(shares, count)) == secret


@pytest.mark.parametrize(("threshold", "count"), [(2, 3), (3, 5), (4, 4)])
def test_every_choice_of_m_shares_gives_the_secret_back(threshold: int, count: int) -> None:
    secret = os.urandom(SECRET_BYTES)
    shares = split(secret, threshold, count, CEREMONY, os.urandom)
    for chosen in itertools.permutations(shares, threshold):
        assert combine(chosen) == secret


@given(secret=secrets, size=sizes(), choice=st.randoms(use_true_random=False))
def test_one_share_less_is_refused(secret: bytes, size: tuple[int, int], choice: Random) -> None:
    threshold, count = size
    shares = split(secret, threshold, count, CEREMONY, os.urandom)
    with pytest.raises(Misconfigured, match="too few"):
        combine(choice.sample(shares, threshold - 1) or [])


def test_one_share_less_fits_every_secret_equally_well() -> None:
    """With M - 1 shares each value of a byte of the secret has exactly one value of the missing share."""
    shares = split(bytes(SECRET_BYTES), 3, 3, CEREMONY, os.urandom)
    known, missing = shares[:2], shares[2]
    found = set()
    for value in range(256):
        guess = Share(CEREMONY, 3, missing.number, bytes([value]) * SECRET_BYTES)
        found.add(combine([*known, guess])[0])
    assert found == set(range(256))


def test_a_share_alone_is_evenly_spread_whatever_the_secret_is() -> None:
    """The share is the secret plus a random number: over all random numbers it takes every value once."""
    values = [
        split(b"\x2a" * SECRET_BYTES, 2, 2, CEREMONY, lambda _n, x=x: bytes([x]))[0].values[0]
        for x in range(256)
    ]
    assert sorted(values) == list(range(256))


@given(secret=secrets, size=sizes())
def test_a_share_on_paper_is_read_back(secret: bytes, size: tuple[int, int]) -> None:
    for share in split(secret, *size, CEREMONY, os.urandom):
        lines = share.to_lines()
        assert len(lines) == LINES
        assert parse_share("\n".join(lines)) == share
        assert parse_share("\n".join(line.lower().replace(" ", "") for line in lines)) == share


@given(secret=secrets, at=st.integers(0, 10_000), digit=st.integers(1, 15))
def test_one_wrong_digit_on_paper_is_found(secret: bytes, at: int, digit: int) -> None:
    text = "\n".join(split(secret, 2, 2, CEREMONY, os.urandom)[0].to_lines())
    places = [n for n, character in enumerate(text) if character not in " \n"]
    place = places[at % len(places)]
    wrong = f"{int(text[place], 16) ^ digit:X}"
    number = text.count("\n", 0, place) + 1
    with pytest.raises(Misconfigured, match=rf"line {number} |no whole share|line {number + 1} ") as refusal:
        parse_share(text[:place] + wrong + text[place + 1 :])
    assert not any(group in str(refusal.value) for group in text.split())


def test_lines_in_the_wrong_order_or_missing_are_found() -> None:
    lines = split(os.urandom(SECRET_BYTES), 2, 2, CEREMONY, os.urandom)[0].to_lines()
    for wrong in ([lines[1], lines[0], *lines[2:]], lines[:-1], [*lines, lines[-1]], [], ["none of it"]):
        with pytest.raises(Misconfigured):
            parse_share("\n".join(wrong))


def test_shares_that_do_not_belong_together_are_refused() -> None:
    ours = split(os.urandom(SECRET_BYTES), 2, 3, CEREMONY, os.urandom)
    others = split(os.urandom(SECRET_BYTES), 2, 3, b"else", os.urandom)
    with pytest.raises(Misconfigured, match="different ceremonies"):
        combine([ours[0], others[1]])
    with pytest.raises(Misconfigured, match="twice"):
        combine([ours[0], ours[0]])


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (4, 3), (2, 17), (0, 0)])
def test_a_threshold_that_protects_nothing_is_refused(threshold: int, count: int) -> None:
    with pytest.raises(Misconfigured):
        split(bytes(SECRET_BYTES), threshold, count, CEREMONY, os.urandom)


def test_a_share_does_not_show_itself() -> None:
    share = split(os.urandom(SECRET_BYTES), 2, 2, CEREMONY, os.urandom)[0]
    assert share.values.hex() not in repr(share).lower()
    assert repr(share.values) not in repr(share)
