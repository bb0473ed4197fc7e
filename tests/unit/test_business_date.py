"""Business dates: cut-off, time zone, and the two nights a year when local clocks jump."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from federation.business_date import BusinessCalendar
from federation.errors import Misconfigured


def at(text: str, zone: str = "Asia/Shanghai", *, second_time: bool = False) -> int:
    """Return a local time as milliseconds; `second_time` is the repeated hour in autumn."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=int(second_time))
    return round(local.timestamp() * 1000)


@pytest.mark.parametrize(
    ("local", "date"),
    [
        ("2026-09-01T00:00", 20260901),
        ("2026-09-01T23:59:59.999", 20260901),
        ("2026-09-02T00:00", 20260902),
        ("2027-01-01T00:00", 20270101),
        ("2028-02-29T12:00", 20280229),
    ],
)
def test_with_the_cut_off_at_midnight_it_is_the_local_date(local: str, date: int) -> None:
    assert BusinessCalendar().date_of(at(local)) == date


@pytest.mark.parametrize(
    ("local", "date"),
    [
        ("2026-09-02T02:59:59.999", 20260901),
        ("2026-09-02T03:00", 20260902),
        ("2027-01-01T02:59", 20261231),
        ("2028-03-01T00:00", 20280229),
    ],
)
def test_before_the_cut_off_it_is_still_the_day_before(local: str, date: int) -> None:
    assert BusinessCalendar("Asia/Shanghai", "03:00").date_of(at(local)) == date


def test_the_date_is_the_campuss_own_and_not_that_of_utc() -> None:
    instant = at("2026-09-02T00:30")
    assert BusinessCalendar("Asia/Shanghai").date_of(instant) == 20260902
    assert BusinessCalendar("UTC").date_of(instant) == 20260901
    assert BusinessCalendar("Asia/Urumqi").date_of(instant) == 20260901


def test_the_last_millisecond_of_a_day_is_of_that_day() -> None:
    calendar = BusinessCalendar()
    midnight = at("2026-09-02T00:00")
    assert [calendar.date_of(midnight - 1), calendar.date_of(midnight)] == [20260901, 20260902]


def test_a_cut_off_inside_the_hour_that_is_left_out_in_spring_still_ends_the_day_once() -> None:
    calendar = BusinessCalendar("Europe/Berlin", "02:30")  # 29 March 2026: 02:00 becomes 03:00
    before = at("2026-03-29T01:59:59.999", "Europe/Berlin")
    assert calendar.date_of(before) == 20260328
    assert calendar.date_of(before + 1) == 20260329


def test_a_cut_off_outside_the_repeated_hour_in_autumn_ends_the_day_once() -> None:
    calendar = BusinessCalendar("Europe/Berlin", "03:00")  # 25 October 2026: 03:00 becomes 02:00
    start = at("2026-10-25T01:00", "Europe/Berlin")
    dates = [calendar.date_of(start + minutes * 60_000) for minutes in range(300)]
    assert dates == sorted(dates)
    assert dates.count(20261024) == 180, "from 01:00 to 03:00 three hours pass that night"


def test_the_repeated_hour_tells_an_earlier_date_again_if_the_cut_off_is_inside_it() -> None:
    calendar = BusinessCalendar("Europe/Berlin", "02:30")  # the books must not follow: see the ledger's tests
    first = calendar.date_of(at("2026-10-25T02:30", "Europe/Berlin"))
    again = calendar.date_of(at("2026-10-25T02:00", "Europe/Berlin", second_time=True))
    assert (first, again) == (20261025, 20261024)


@pytest.mark.parametrize(
    ("local", "second"),
    [("2026-09-02T00:00", 0), ("2026-09-02T10:00:01.999", 36_001), ("2026-09-02T23:59:59", 86_399)],
)
def test_the_second_of_the_day_is_that_of_the_wall_whatever_the_cut_off(local: str, second: int) -> None:
    assert BusinessCalendar("Asia/Shanghai", "03:00").second_of_day(at(local)) == second


@pytest.mark.parametrize("timezone", ["Asia/Beijing", "", "../etc/passwd", "Asia/Shanghai "])
def test_an_unknown_time_zone_is_refused_with_an_example(timezone: str) -> None:
    with pytest.raises(Misconfigured, match="IANA name such as Asia/Shanghai"):
        BusinessCalendar(timezone)


@pytest.mark.parametrize("cut_off", ["", "3", "24:00", "03:60", "noon", "-01:00"])
def test_a_cut_off_that_is_no_time_of_day_is_refused_with_an_example(cut_off: str) -> None:
    with pytest.raises(Misconfigured, match="HH:MM"):
        BusinessCalendar("Asia/Shanghai", cut_off)


@pytest.mark.parametrize("cut_off", ["03:00:30", "03:00+08:00", "03:00Z", "T03:00", "03:00\n", "٠٣:٠٠"])
def test_a_cut_off_of_which_something_would_be_ignored_is_refused(cut_off: str) -> None:
    with pytest.raises(Misconfigured, match="HH:MM"):
        BusinessCalendar("Asia/Shanghai", cut_off)
