"""Meals and days at an instant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.spending.moments import DAY_S, Meal, meal_under_way, moment_at
from tests.spending.tills import DEFAULT_ENDS, LATE_ENDS, MIDNIGHT, NIGHT_OWL, moment


@pytest.mark.parametrize(
    ("time", "number"),
    [
        ("00:00:00", 1), ("09:59:59", 1), ("10:00:00", 1), ("10:00:01", 2), ("14:00:00", 2), ("14:00:01", 3),
        ("20:00:00", 3), ("20:00:01", 4), ("23:59:59", 4),
    ],
)  # fmt: skip
def test_the_second_in_which_a_meal_ends_still_belongs_to_it(time: str, number: int) -> None:
    assert moment(f"2026-09-01 {time}").meal == Meal(number, 20260901)


@pytest.mark.parametrize(
    ("local", "meal"),
    [
        ("2026-09-01 20:00:01", Meal(4, 20260901)),
        ("2026-09-01 23:59:59", Meal(4, 20260901)),
        ("2026-09-02 00:00:00", Meal(4, 20260901)),
        ("2026-09-02 02:00:00", Meal(4, 20260901)),
        ("2026-09-02 02:00:01", Meal(1, 20260902)),
    ],
)
def test_a_meal_may_cross_midnight_and_stays_of_the_day_on_which_it_began(local: str, meal: Meal) -> None:
    assert moment(local, MIDNIGHT, LATE_ENDS).meal == meal


def test_a_meal_that_crosses_the_cut_off_stays_of_the_business_day_on_which_it_began() -> None:
    before = moment("2026-09-02 02:59", NIGHT_OWL)
    after = moment("2026-09-02 03:00", NIGHT_OWL)
    assert (before.day, after.day) == (20260901, 20260902)
    assert before.meal == after.meal == Meal(1, 20260901)


@settings(deadline=None)
@given(st.integers(0, DAY_S - 1), st.sets(st.integers(0, DAY_S - 1), min_size=1, max_size=8), st.data())
def test_each_second_belongs_to_the_meal_whose_end_comes_next(
    second: int, ends: set[int], drawn: st.DataObject
) -> None:
    order = sorted(ends)
    turn = drawn.draw(st.integers(0, len(order) - 1))
    order = order[turn:] + order[:turn]
    number, elapsed_s = meal_under_way(second, order)
    waited = next(later for later in range(DAY_S) if (second + later) % DAY_S in ends)
    assert order[number - 1] == (second + waited) % DAY_S
    begins = (second - elapsed_s) % DAY_S
    assert (begins - 1) % DAY_S == order[number - 2]


def test_a_clock_that_is_not_believed_says_so() -> None:
    assert not moment_at(0, MIDNIGHT, DEFAULT_ENDS, valid=False).valid
