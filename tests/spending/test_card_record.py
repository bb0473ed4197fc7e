"""What a card remembers: days, months and meals that end, and records that are not ours."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.purse.files import CappRecord
from campus_node.spending.card_record import (
    RECORD_ID,
    SUM_MAX_FEN,
    Spent,
    after_payment,
    is_ahead,
    read,
    standing,
    whole_record,
)
from campus_node.spending.moments import MEALS_MAX, Moment, moment_at
from tests.spending.tills import DEFAULT_ENDS, LATE_ENDS, LUNCH, MIDNIGHT, NIGHT_OWL, moment, unix_ms

NEVER_WRITTEN = bytes((RECORD_ID, 29)) + bytes(29)
SOME = Spent(20260901, 1_250, 70_000, 3, 900, (1, 2, 0, 0, 0, 0, 0, 255), 4)


def test_a_card_that_never_paid_remembers_nothing() -> None:
    assert read(NEVER_WRITTEN) == Spent()
    assert standing(Spent(), LUNCH) == Spent(day=20260901)


def test_the_record_fits_the_place_that_cards_have_for_it() -> None:
    record = whole_record(SOME)
    assert len(record) == 31
    assert record[:3] == bytes((RECORD_ID, 29, 0)), "id, length with the lock, lock: held by nobody"
    assert record[3:].hex() == "01202609010004e2000111700300038401020000000000ff0400" + record[-2:].hex()


@settings(deadline=None)
@given(
    st.builds(
        Spent,
        st.dates().map(lambda day: day.year * 10_000 + day.month * 100 + day.day),
        st.integers(0, SUM_MAX_FEN),
        st.integers(0, 2**32 - 1),
        st.integers(0, 255),
        st.integers(0, SUM_MAX_FEN),
        st.tuples(*[st.integers(0, 255)] * MEALS_MAX),
        st.integers(0, MEALS_MAX),
    )
)
def test_a_record_survives_the_card(spent: Spent) -> None:
    assert read(whole_record(spent)) == spent


def test_a_record_that_is_not_ours_makes_the_card_one_without_memory() -> None:
    record = whole_record(SOME)
    for at in range(3, len(record)):
        wrong = bytearray(record)
        wrong[at] ^= 1 << at % 8
        assert read(bytes(wrong)) is None, at
    for other in (
        None,
        b"",
        record[:5],
        CappRecord(0x12, 0, record[3:]).encode(),
        b"\x11\x1d\x07" + record[3:],
    ):
        assert read(other) is None
    assert read(b"\x11\x05\0" + record[3:7]) is None


def test_a_day_ends_at_the_cut_off_and_a_month_with_its_last_day() -> None:
    spent = after_payment(Spent(), moment("2026-09-30 12:00", NIGHT_OWL), 700, cut_off=False)
    later = after_payment(spent, moment("2026-10-01 02:59", NIGHT_OWL), 300, cut_off=False)
    assert (later.day, later.day_fen, later.month_fen, later.payments) == (20260930, 1_000, 1_000, 2)
    new = after_payment(later, moment("2026-10-01 03:00", NIGHT_OWL), 50, cut_off=False)
    assert (new.day, new.day_fen, new.month_fen, new.payments) == (20261001, 50, 50, 1)
    next_day = after_payment(spent, moment("2026-09-30 03:00", NIGHT_OWL), 1, cut_off=False)
    assert next_day.month_fen == 701


def test_a_meal_that_goes_on_past_midnight_is_still_the_same_meal() -> None:
    def at(local: str) -> Moment:
        return moment(local, MIDNIGHT, LATE_ENDS)

    spent = after_payment(Spent(), at("2026-09-01 21:00"), 800, cut_off=False)
    assert (spent.meals[3], spent.carried) == (1, 0)
    night = standing(spent, at("2026-09-02 01:59:59"))
    assert (night.day, night.day_fen, night.meals[3], night.carried) == (20260902, 0, 1, 4)
    spent = after_payment(spent, at("2026-09-02 01:00"), 800, cut_off=False)
    assert (spent.day, spent.day_fen, spent.meals[3], spent.carried) == (20260902, 800, 2, 4)
    assert after_payment(spent, at("2026-09-02 01:30"), 1, cut_off=False).meals[3] == 3
    spent = after_payment(spent, at("2026-09-02 12:00"), 800, cut_off=False)
    assert (spent.meals[1], spent.meals[3], spent.carried) == (1, 2, 4)
    evening = after_payment(spent, at("2026-09-02 20:30"), 800, cut_off=False)
    assert (evening.meals[1], evening.meals[3], evening.carried) == (1, 1, 0)
    assert standing(evening, at("2026-09-04 01:00")).meals == (0,) * 8, "that was yesterday's yesterday"


def test_a_card_that_comes_from_a_campus_where_it_is_tomorrow_already_keeps_its_sums() -> None:
    ahead = replace(SOME, day=20260902)
    assert standing(ahead, LUNCH) == ahead
    assert after_payment(ahead, LUNCH, 50, cut_off=False).day == 20260902
    far = replace(SOME, day=20260903)
    assert is_ahead(far, LUNCH)
    assert standing(far, LUNCH) == Spent(day=20260901), "a terminal had a wrong clock: the card starts anew"


def test_offline_payments_add_up_until_the_card_meets_a_terminal_that_is_not_cut_off() -> None:
    spent = after_payment(Spent(), LUNCH, 700, cut_off=True)
    spent = after_payment(spent, moment("2026-09-05 12:00"), 300, cut_off=True)
    assert spent.offline_fen == 1_000
    assert after_payment(spent, LUNCH, 5, cut_off=False).offline_fen == 0


def test_steps_of_a_session_are_one_payment_and_water_is_no_meal() -> None:
    spent = after_payment(Spent(), LUNCH, 10, cut_off=False, in_meal=False)
    for _ in range(5):
        spent = after_payment(spent, LUNCH, 10, cut_off=False, counts=False, in_meal=False)
    assert (spent.day_fen, spent.payments, spent.meals) == (60, 1, (0,) * 8)


def test_counts_and_sums_stay_at_their_end_and_never_begin_again() -> None:
    full = replace(SOME, day_fen=SUM_MAX_FEN, month_fen=2**32 - 1, payments=255, meals=(255,) * 8, carried=0)
    after = after_payment(full, LUNCH, 100, cut_off=True)
    assert (after.day_fen, after.month_fen, after.payments, after.meals) == (
        SUM_MAX_FEN,
        2**32 - 1,
        255,
        (255,) * 8,
    )
    assert read(whole_record(after)) == after


@dataclass(frozen=True)
class Paid:
    local_minute: int
    amount_fen: int


@pytest.mark.parametrize("ends", [DEFAULT_ENDS, LATE_ENDS], ids=["midnight", "late"])
@pytest.mark.parametrize("calendar", [MIDNIGHT, NIGHT_OWL], ids=["00:00", "03:00"])
@settings(deadline=None)
@given(st.lists(st.builds(Paid, st.integers(0, 60 * 24 * 70), st.integers(1, 5_000)), max_size=40))
def test_after_any_payments_the_card_says_what_a_list_of_them_says(
    calendar: object, ends: tuple[int, ...], payments: list[Paid]
) -> None:
    assert calendar in (MIDNIGHT, NIGHT_OWL)
    first_ms = unix_ms("2026-08-20 00:00")
    spent = Spent()
    past: list[tuple[Moment, int]] = []
    for each in sorted(payments, key=lambda paid: paid.local_minute):
        now = moment_at(first_ms + each.local_minute * 60_000, calendar, ends)  # type: ignore[arg-type]  # of two
        before = standing(spent, now)
        assert before.day_fen == sum(fen for then, fen in past if then.day == now.day)
        assert before.month_fen == sum(fen for then, fen in past if then.month == now.month)
        assert before.payments == sum(then.day == now.day for then, _ in past)
        assert before.meals[now.meal.number - 1] == sum(then.meal == now.meal for then, _ in past)
        found = read(whole_record(after_payment(spent, now, each.amount_fen, cut_off=True)))
        assert found is not None
        spent = found
        past.append((now, each.amount_fen))
    assert spent.offline_fen == sum(fen for _, fen in past)
