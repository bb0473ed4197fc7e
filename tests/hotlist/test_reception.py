"""Deltas in any order, wrong signatures, lower versions: whatever comes, a list only ever moves forward."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import CampusCardError
from federation.hotlist import Hotlist, IssuedRange, Reason, asn_of
from federation.hotlist_delta import (
    Delta,
    HotlistDoesNotFit,
    HotlistForged,
    SignedHotlist,
    apply,
    between,
    sign,
)
from federation.hotlist_issue import Listing, next_version
from federation.hotlist_reception import WAITING_MAX, Reception, Taken
from federation.hotlist_wire import delta_message, read, whole_message
from tests.hotlist.lists import CLOSED, FIRST, FROZEN, ISSUER, KEY, KEYS, LOST, RANGES, STRANGER, listed, step

MORE = (*RANGES, IssuedRange(FIRST + 200, 5))
ONE = listed(1, {0: LOST, 50: LOST})
TWO = listed(2, {0: LOST, 3: FROZEN, 50: LOST})
THREE = listed(3, {3: CLOSED, 105: LOST, 202: LOST}, MORE)
FOUR = listed(4, {3: CLOSED, 50: FROZEN, 202: LOST}, MORE)
VERSIONS = [ONE, TWO, THREE, FOUR]


def from_nothing(signed: SignedHotlist) -> Delta:
    return between(Hotlist(ISSUER), signed)


def test_a_delta_leads_from_each_version_to_each_later_one() -> None:
    for at, before in enumerate(VERSIONS):
        for after in VERSIONS[at + 1 :]:
            assert apply(before.hotlist, step(before, after), KEYS) == after


def test_everything_anew_is_taken_from_any_lower_version() -> None:
    for before in (None, ONE, TWO):
        reception = Reception(ISSUER, KEYS, before)
        assert reception.take(from_nothing(THREE)) is Taken.APPLIED
        assert reception.signed == THREE


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_deltas_in_any_order_end_where_the_issuer_is(drawn: st.DataObject) -> None:
    steps = [from_nothing(ONE)] + [step(a, b) for a, b in pairwise(VERSIONS)]
    steps += [step(ONE, THREE), step(TWO, FOUR)]
    program = drawn.draw(st.lists(st.sampled_from(steps), max_size=12)) + drawn.draw(st.permutations(steps))
    reception = Reception(ISSUER, KEYS)
    versions = [0]
    for delta in program:
        before = reception.hotlist
        taken = reception.take(delta)
        assert (reception.hotlist == before) == (taken is not Taken.APPLIED)
        if taken is Taken.WAITS:
            assert reception.missing_from == before.version
        versions.append(reception.hotlist.version)
        if reception.hotlist.version:
            assert reception.signed == VERSIONS[reception.hotlist.version - 1]
    assert versions == sorted(versions)
    while (begins := reception.missing_from) is not None:  # what it asks for leads to the end
        base = VERSIONS[begins - 1].hotlist if begins else Hotlist(ISSUER)
        assert reception.take(between(base, FOUR)) is Taken.APPLIED
    assert reception.signed == FOUR
    assert reception.missing_from is None


def test_what_waits_is_applied_when_its_turn_comes() -> None:
    reception = Reception(ISSUER, KEYS, ONE)
    assert reception.take(step(THREE, FOUR)) is Taken.WAITS
    assert reception.take(step(TWO, THREE)) is Taken.WAITS
    assert (reception.hotlist.version, reception.missing_from) == (1, 1)
    assert reception.take(step(ONE, TWO)) is Taken.APPLIED
    assert reception.signed == FOUR


def test_a_lower_or_the_same_version_changes_nothing() -> None:
    reception = Reception(ISSUER, KEYS, THREE)
    for old in (from_nothing(ONE), from_nothing(TWO), from_nothing(THREE), step(ONE, TWO), step(TWO, THREE)):
        assert reception.take(old) is Taken.OLD
    for older in (ONE, TWO, THREE):
        assert reception.take_whole(older) is Taken.OLD
    assert reception.signed == THREE
    with pytest.raises(HotlistDoesNotFit):
        reception.take(replace(step(THREE, FOUR), to_version=3))


FORGERIES = {
    "a stranger's signature": lambda d: replace(d, signature=sign(TWO.hotlist, STRANGER).signature),
    "no signature": lambda d: replace(d, signature=b""),
    "a bit of the signature": lambda d: replace(d, signature=bytes([d.signature[0] ^ 1]) + d.signature[1:]),
    "the signature of another version": lambda d: replace(d, signature=ONE.signature),
    "a card more": lambda d: replace(d, added=(*d.added, (FIRST + 9, LOST))),
    "a card fewer": lambda d: replace(d, added=d.added[1:]),
    "another reason": lambda d: replace(d, added=((d.added[0][0], LOST),)),
    "a card taken off": lambda d: replace(d, removed=(FIRST,)),
    "another version": lambda d: replace(d, to_version=9),
    "another range": lambda d: replace(d, issued=MORE),
    "from nothing": lambda d: replace(d, from_version=0),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_delta_that_was_touched_is_refused_and_changes_nothing(forge: object) -> None:
    reception = Reception(ISSUER, KEYS, ONE)
    assert callable(forge)
    with pytest.raises(HotlistForged):
        reception.take(forge(step(ONE, TWO)))
    assert reception.signed == ONE
    assert reception.take(step(ONE, TWO)) is Taken.APPLIED


def test_a_forged_delta_that_waited_is_dropped_when_its_turn_comes() -> None:
    reception = Reception(ISSUER, KEYS, ONE)
    assert reception.take(replace(step(TWO, THREE), signature=ONE.signature)) is Taken.WAITS
    assert reception.take(step(ONE, TWO)) is Taken.APPLIED
    assert (reception.signed, reception.missing_from) == (TWO, 2)
    assert reception.take(step(TWO, THREE)) is Taken.APPLIED


def test_only_so_many_deltas_wait_and_the_nearest_ones_do() -> None:
    reception = Reception(ISSUER, KEYS, ONE)
    for begins in range(WAITING_MAX + 40, 1, -1):
        assert reception.take(Delta(ISSUER, begins, begins + 1, (), signature=bytes(64))) is Taken.WAITS
    assert reception.take(step(THREE, FOUR)) is Taken.WAITS
    assert reception.take(step(TWO, THREE)) is Taken.WAITS
    assert reception.take(step(ONE, TWO)) is Taken.APPLIED
    assert reception.signed == FOUR


def test_another_issuers_list_is_refused() -> None:
    other = sign(Hotlist(bytes(8), 9, RANGES), KEY)
    reception = Reception(ISSUER, KEYS, ONE)
    for take in (lambda: reception.take_whole(other), lambda: reception.take(from_nothing_of(other))):
        with pytest.raises(HotlistDoesNotFit):
            take()
    with pytest.raises(HotlistDoesNotFit):
        Reception(ISSUER, KEYS, other)
    assert reception.signed == ONE


def from_nothing_of(signed: SignedHotlist) -> Delta:
    return between(Hotlist(signed.hotlist.issuer), signed)


def test_a_list_that_decayed_in_the_store_is_not_taken_up() -> None:
    with pytest.raises(HotlistForged):
        Reception(ISSUER, KEYS, SignedHotlist(TWO.hotlist, ONE.signature))


def test_after_a_change_of_keys_both_are_believed() -> None:
    both = (STRANGER.public_key(), *KEYS)
    assert Reception(ISSUER, both, ONE).take(step(ONE, TWO)) is Taken.APPLIED
    assert Reception(ISSUER, both).take_whole(sign(TWO.hotlist, STRANGER)) is Taken.APPLIED


@pytest.mark.parametrize("signed", VERSIONS)
def test_messages_carry_lists_and_deltas_there_and_back(signed: SignedHotlist) -> None:
    assert read(whole_message(signed)) == signed
    delta = from_nothing(signed)
    assert read(delta_message(delta)) == delta


def test_a_message_that_does_not_fit_is_refused() -> None:
    good = whole_message(TWO)
    for change in (
        {"to_version": 3},
        {"from_version": 1},
        {"issuer": bytes(8)},
        {"whole": good.whole[:-1]},
        {"whole": good.whole + b"!"},
        {"whole": b"nothing of the kind"},
        {"signature": b"short"},
        {"to_version": 1 << 63},
    ):
        wrong = type(good)()
        wrong.CopyFrom(good)
        for name, value in change.items():
            setattr(wrong, name, value)
        with pytest.raises(CampusCardError):
            read(wrong)


def test_an_entry_leaves_when_the_cards_own_expiry_has_passed() -> None:
    listings = [
        Listing(FIRST, LOST, 20260901),
        Listing(FIRST + 50, FROZEN, 20260902),
        Listing(FIRST + 1, CLOSED),
    ]
    empty = Hotlist(ISSUER, 4, RANGES)
    first = next_version(empty, listings, 20260901)
    assert first is not None
    assert dict(first.entries()) == {FIRST: LOST, FIRST + 50: FROZEN, FIRST + 1: CLOSED}
    assert next_version(first, listings, 20260901) is None, "nothing changed: no new version"
    second = next_version(first, listings, 20260902)
    assert second is not None
    assert (second.version, second.find(asn_of(FIRST))) == (6, None)
    third = next_version(second, listings, 20260903)
    assert third is not None
    assert dict(third.entries()) == {FIRST + 1: Reason.CLOSED}


def test_a_new_range_alone_is_a_new_version() -> None:
    later = next_version(TWO.hotlist, [], 20260901, MORE)
    assert later is not None
    assert (later.version, later.ranges, len(later)) == (3, MORE, 0)
