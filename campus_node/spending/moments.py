"""When something is sold: the business day, the clock on the wall, and the meal (B1.1). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from federation.business_date import BusinessCalendar

DAY_S: Final = 86_400
MEALS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Meal:
    """A meal of a certain day.

    Args:
        number: which of the campus's meals, from 1.
        day: the business day on which it began, yyyymmdd: one that goes on past midnight, or past the
            cut-off, stays the same meal.
    """

    number: int
    day: int


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as the rules see it.

    Args:
        unix_ms: ms since 1970.
        day: business day, yyyymmdd.
        meal: the meal that is under way.
        valid: whether the terminal believes its clock.
    """

    unix_ms: int
    day: int
    meal: Meal
    valid: bool = True

    @property
    def month(self) -> int:
        """The business day's month, yyyymm."""
        return self.day // 100


def moment_at(
    unix_ms: int, calendar: BusinessCalendar, meal_ends_s: Sequence[int], *, valid: bool = True
) -> Moment:
    """Return what an instant means on this campus.

    Args:
        calendar: with the campus's time zone and cut-off.
        meal_ends_s: the last second of each meal, 0 to 86399, in the order of a day; the first meal begins
            where the last one ended, and the last one may end after midnight.
        valid: whether the terminal believes its clock.
    """
    second = calendar.second_of_day(unix_ms)
    number, elapsed_s = meal_under_way(second, meal_ends_s)
    meal = Meal(number, calendar.date_of(unix_ms - elapsed_s * 1000))
    return Moment(unix_ms, calendar.date_of(unix_ms), meal, valid)


def meal_under_way(second: int, meal_ends_s: Sequence[int]) -> tuple[int, int]:
    """Return which meal it is, from 1, and for how many seconds it has been so.

    The second in which a meal ends still belongs to it.
    """
    ahead = [(end - second) % DAY_S for end in meal_ends_s]
    at = ahead.index(min(ahead))
    begins = (meal_ends_s[at - 1] + 1) % DAY_S
    return at + 1, (second - begins) % DAY_S


def days_after(later: int, earlier: int) -> int:
    """Return how many days one date, yyyymmdd, is after another. Raise ValueError for what is no date."""
    return (_date(later) - _date(earlier)).days


def is_date(day: int) -> bool:
    """Tell whether a number is a date, yyyymmdd."""
    try:
        _date(day)
    except ValueError:
        return False
    return True


def _date(day: int) -> date:
    return date(day // 10_000, day // 100 % 100, day % 100)
