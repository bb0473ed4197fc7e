"""Stand-in: what is sold never exceeds what the issuer allowed, whatever is lost, repeated or restarted."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from campus_node.spending.stand_in import (
    FinalUse,
    Slice,
    StandInRefusal,
    Terms,
    Use,
    carve,
    close,
    sell,
    take_back,
)

TERMS = Terms(bytes(16), bytes(8), 4, 10_000, 2_000, 5_000)
ALLOWED = 20_000
LI, WANG = bytes(9) + b"\x01", bytes(9) + b"\x02"


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def sold(
    slice_: Slice, payment: int, fen: int, asn: bytes = LI, day: int = 20260901
) -> Slice | StandInRefusal:
    return sell(slice_, name(payment), Use(asn, fen, day), 0, 4)


def after(found: Slice | StandInRefusal) -> Slice:
    assert isinstance(found, Slice)
    return found


def test_a_payment_is_sold_once_however_often_it_is_asked_for() -> None:
    once = after(sold(Slice(name(1), TERMS, 3_000), 7, 1_200))
    assert once.left_fen == 1_800
    assert sold(once, 7, 1_200) is once
    assert sold(once, 7, 1_300) is StandInRefusal.USED_BEFORE
    assert sold(once, 7, 1_200, WANG) is StandInRefusal.USED_BEFORE


@pytest.mark.parametrize(
    ("slice_", "fen", "refusal"),
    [
        (Slice(name(1), TERMS, 3_000), 2_000, None),
        (Slice(name(1), TERMS, 3_000), 2_001, StandInRefusal.OVER_PAYMENT),
        (Slice(name(1), TERMS, 3_000), 0, StandInRefusal.OVER_PAYMENT),
        (Slice(name(1), TERMS, 1_999), 2_000, StandInRefusal.USED_UP),
        (Slice(name(1), TERMS, 3_000, closed=True), 1, StandInRefusal.CLOSED),
        (Slice(name(1), replace(TERMS, expires_at_unix_ms=0), 3_000), 1, StandInRefusal.EXPIRED),
        (Slice(name(1), replace(TERMS, incarnation=3), 3_000), 1, StandInRefusal.OTHER_INCARNATION),
    ],
)
def test_why_nothing_is_sold(slice_: Slice, fen: int, refusal: StandInRefusal | None) -> None:
    found = sold(slice_, 1, fen)
    assert (None if isinstance(found, Slice) else found) is refusal


def test_a_card_has_its_own_cap_a_day() -> None:
    slice_ = Slice(name(1), TERMS, ALLOWED)
    for payment in (1, 2):
        slice_ = after(sold(slice_, payment, 2_000))
    assert sold(slice_, 3, 1_001) is StandInRefusal.OVER_CARD_DAY
    assert isinstance(sold(slice_, 3, 1_001, WANG), Slice)
    assert isinstance(sold(slice_, 3, 1_001, day=20260902), Slice)
    elsewhere = sell(slice_, name(3), Use(LI, 1_000, 20260901), 0, 4, elsewhere_fen=1)
    assert elsewhere is StandInRefusal.OVER_CARD_DAY


def test_what_a_slice_did_not_use_comes_back_with_its_final_use_and_only_once() -> None:
    carved = carve(Slice(name(0), TERMS, ALLOWED), name(1), 3_000)
    assert carved is not None
    whole, smaller = carved
    assert carve(whole, name(1), 3_000) == (whole, smaller), "the same again"
    assert carve(whole, name(1), 2_000) is None
    smaller = after(sold(smaller, 1, 1_200))
    closed = close(smaller)
    assert closed is not None
    smaller, final = closed
    assert final == FinalUse(name(1), 1_200)
    assert close(smaller) == (smaller, final)
    assert sold(smaller, 2, 1) is StandInRefusal.CLOSED
    assert whole.left_fen == ALLOWED - 3_000
    back = take_back(whole, final)
    assert back is not None
    assert (back.left_fen, back.used_fen) == (ALLOWED - 1_200, 1_200)
    assert take_back(back, final) == back
    for wrong in (FinalUse(name(1), 1_199), FinalUse(name(9), 0)):
        assert take_back(back, wrong) is None
    assert take_back(whole, FinalUse(name(1), 3_001)) is None
    assert carve(back, name(1), 3_000) is None, "its id is final"


def test_a_slice_is_final_only_after_those_carved_from_it() -> None:
    carved = carve(Slice(name(0), TERMS, ALLOWED), name(1), 3_000)
    assert carved is not None
    assert close(carved[0]) is None


class Holders(RuleBasedStateMachine):
    """A node, gateways and terminals: each keeps its own slice, any message between them may be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = {name(0): Slice(name(0), TERMS, ALLOWED)}
        self.parents: dict[bytes, bytes] = {}
        self.finals: list[FinalUse] = []
        self.approved: dict[bytes, int] = {}
        self.next_id = 1

    @rule(at=st.integers(0, 30), fen=st.integers(1, ALLOWED), arrives=st.booleans())
    def carve_one(self, at: int, fen: int, arrives: bool) -> None:
        parent = list(self.kept)[at % len(self.kept)]
        carved = carve(self.kept[parent], name(self.next_id), fen)
        if carved is not None:
            self.kept[parent], smaller = carved
            if arrives:
                self.kept[smaller.slice_id] = smaller
                self.parents[smaller.slice_id] = parent
        self.next_id += 1

    @rule(at=st.integers(0, 30), fen=st.integers(1, 2_500), card=st.integers(0, 3), told=st.booleans())
    def sell_one(self, at: int, fen: int, card: int, told: bool) -> None:
        holder = list(self.kept)[at % len(self.kept)]
        found = sold(self.kept[holder], self.next_id, fen, bytes(9) + bytes([card]))
        if isinstance(found, Slice):
            self.kept[holder] = found
            if told:  # else the power went between the write and the approval
                self.approved[name(self.next_id)] = fen
            assert sold(found, self.next_id, fen, bytes(9) + bytes([card])) is found
        self.next_id += 1

    @precondition(lambda self: len(self.kept) > 1)
    @rule(at=st.integers(0, 30))
    def close_one(self, at: int) -> None:
        holder = list(self.kept)[1:][at % (len(self.kept) - 1)]
        closed = close(self.kept[holder])
        if closed is not None:
            self.kept[holder], final = closed
            self.finals.append(final)

    @precondition(lambda self: self.finals)
    @rule(at=st.integers(0, 30))
    def deliver_final(self, at: int) -> None:
        final = self.finals[at % len(self.finals)]
        parent = self.parents[final.slice_id]
        back = take_back(self.kept[parent], final)
        assert back is not None
        self.kept[parent] = back

    @invariant()
    def no_more_is_sold_than_was_allowed(self) -> None:
        used = sum(use.amount_fen for each in self.kept.values() for use in each.uses.values())
        assert sum(self.approved.values()) <= used <= ALLOWED
        assert all(each.left_fen >= 0 for each in self.kept.values())


TestHolders = Holders.TestCase
TestHolders.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
