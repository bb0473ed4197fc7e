"""The hotlist says of every number exactly what a set would say."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import Unreadable
from federation.hotlist import NUMBER_MAX, Hotlist, IssuedRange, Reason, asn_of, number_of
from federation.hotlist_form import decode, digest, encode
from tests.hotlist.lists import FIRST, ISSUER, LOST, RANGES, million

NUMBERS = st.integers(0, 130).map(lambda card: FIRST + card)
CARDS = st.dictionaries(NUMBERS, st.sampled_from(list(Reason)))


@st.composite
def ranges(draw: st.DrawFn) -> tuple[IssuedRange, ...]:
    found, first = [], FIRST
    for _ in range(draw(st.integers(0, 6))):
        first += draw(st.integers(0, 12))
        found.append(IssuedRange(first, draw(st.integers(1, 15))))
        first += found[-1].cards
    return tuple(found)


def what_a_set_says(hotlist: Hotlist) -> dict[int, Reason]:
    found = {}
    for number in range(FIRST - 3, FIRST + 140):
        if (why := hotlist.find(asn_of(number))) is not None:
            found[number] = why
    return found


@settings(deadline=None)
@given(ranges(), CARDS)
def test_every_card_that_is_listed_is_found_and_no_other(
    where: tuple[IssuedRange, ...], cards: dict[int, Reason]
) -> None:
    hotlist = Hotlist(ISSUER, 1, where, cards)
    assert what_a_set_says(hotlist) == cards
    assert dict(hotlist.entries()) == cards
    assert len(hotlist) == len(cards)


@settings(deadline=None)
@given(ranges(), CARDS, ranges(), CARDS, st.sets(NUMBERS))
def test_a_change_leads_to_the_same_list_as_writing_it_anew(
    where: tuple[IssuedRange, ...],
    cards: dict[int, Reason],
    later: tuple[IssuedRange, ...],
    added: dict[int, Reason],
    removed: set[int],
) -> None:
    before = Hotlist(ISSUER, 1, where, cards)
    kept = {number: why for number, why in cards.items() if number not in removed}
    after = before.changed(2, added, removed, later)
    anew = Hotlist(ISSUER, 2, later, kept | added)
    assert after == anew
    assert encode(after) == encode(anew)
    assert what_a_set_says(before) == cards, "the list before stays as it is"


@settings(deadline=None)
@given(ranges(), CARDS)
def test_a_list_survives_its_form(where: tuple[IssuedRange, ...], cards: dict[int, Reason]) -> None:
    hotlist = Hotlist(ISSUER, 7, where, cards)
    form = encode(hotlist)
    assert decode(form) == hotlist
    assert form[-32:] == digest(hotlist)


def test_no_changed_and_no_missing_byte_of_a_form_is_believed() -> None:
    form = encode(Hotlist(ISSUER, 3, RANGES, {FIRST: LOST, FIRST + 50: Reason.FROZEN}))
    for at in range(len(form)):
        wrong = bytearray(form)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(Unreadable):
            decode(bytes(wrong))
        with pytest.raises(Unreadable):
            decode(form[:at])


def test_a_million_cards_are_told_apart_without_a_mistake(seed: int) -> None:
    campus = million(seed)
    hotlist = Hotlist(ISSUER, 1, campus.ranges, campus.listed)
    assert len(hotlist) == len(campus.listed)
    find, wanted = hotlist.find, campus.listed.get
    wrong = [number for number in campus.covered if find(asn_of(number)) is not wanted(number)]
    wrong += [number for number in campus.outside if find(asn_of(number)) is not wanted(number)]
    assert not wrong
    rng = random.Random(seed)
    issued = set(campus.covered) | set(campus.outside)
    strangers = [number for _ in range(50_000) if (number := rng.randrange(NUMBER_MAX)) not in issued]
    strangers += [each.first - 1 for each in campus.ranges] + [
        each.first + each.cards for each in campus.ranges
    ]
    assert [n for n in strangers if n not in issued and find(asn_of(n)) is not None] == []
    assert decode(encode(hotlist)) == hotlist


def test_every_reason_is_true_in_a_condition() -> None:
    hotlist = Hotlist(ISSUER, 1, RANGES, {FIRST: Reason.UNSPECIFIED})
    assert all(Reason)
    assert hotlist.find(asn_of(FIRST))


@pytest.mark.parametrize(
    "asn", [b"", bytes(9), bytes(11), bytes.fromhex("0000000100000000012A"), b"\xff" * 10]
)
def test_what_is_no_serial_number_is_refused_and_not_passed(asn: bytes) -> None:
    with pytest.raises(Unreadable):
        Hotlist(ISSUER, 1, RANGES, {FIRST: LOST}).find(asn)
    with pytest.raises(Unreadable):
        number_of(asn)


def test_a_number_that_no_list_can_hold_is_not_listed() -> None:
    assert Hotlist(ISSUER, 1, RANGES).find(bytes.fromhex("99999999999999999999")) is None
    with pytest.raises(Unreadable):
        Hotlist(ISSUER, 1, (), {NUMBER_MAX + 1: LOST})


@pytest.mark.parametrize(
    "where",
    [
        (IssuedRange(5, 3), IssuedRange(7, 1)),
        (IssuedRange(5, 3), IssuedRange(1, 2)),
        tuple(IssuedRange(10 * at, 1) for at in range(1_001)),
        (IssuedRange(0, 8_000_001),),
    ],
)
def test_ranges_that_overlap_or_are_too_many_are_refused(where: tuple[IssuedRange, ...]) -> None:
    with pytest.raises(Unreadable):
        Hotlist(ISSUER, 1, where)
