"""Nothing is distributed while people eat (B4.4)."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from campus_node.firmware.meals import Meal, MealTimes
from federation.errors import Misconfigured

DAY = "06:30-09:00, 11:00-13:30,17:00-19:30"


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "meal", "changes"),
    [
        ("2026-09-01T05:00", False, "2026-09-01T06:30"),
        ("2026-09-01T06:30", True, "2026-09-01T09:00"),
        ("2026-09-01T08:59", True, "2026-09-01T09:00"),
        ("2026-09-01T09:00", False, "2026-09-01T11:00"),
        ("2026-09-01T20:00", False, "2026-09-02T06:30"),
    ],
)
def test_a_day_has_its_meals(now: str, meal: bool, changes: str) -> None:
    assert MealTimes(DAY).at(at(now)) == Meal(meal, at(changes))


def test_a_meal_may_cross_midnight_and_meals_may_overlap() -> None:
    night = MealTimes("22:00-01:00")
    assert night.at(at("2026-09-01T23:30")) == Meal(True, at("2026-09-02T01:00"))
    assert night.at(at("2026-09-02T00:30")) == Meal(True, at("2026-09-02T01:00"))
    assert night.at(at("2026-09-02T01:00")) == Meal(False, at("2026-09-02T22:00"))
    both = MealTimes("11:00-12:00,11:30-13:00")
    assert both.at(at("2026-09-01T11:15")) == Meal(True, at("2026-09-01T13:00"))


def test_the_campus_has_its_own_zone() -> None:
    assert MealTimes("11:00-12:00", "Asia/Urumqi").at(at("2026-09-01T11:30", "Asia/Urumqi")).now
    assert not MealTimes("11:00-12:00", "Asia/Urumqi").at(at("2026-09-01T11:30")).now


def test_without_meals_nothing_ever_changes() -> None:
    assert MealTimes("").at(at("2026-09-01T12:00")) == Meal(False, 0)


@pytest.mark.parametrize("wrong", ["11-13", "11:00-24:30", "11:00-11:00", "noon", "11:00-13:00;17:00-18:00"])
def test_what_is_no_meal_is_refused(wrong: str) -> None:
    with pytest.raises(Misconfigured):
        MealTimes(wrong)
