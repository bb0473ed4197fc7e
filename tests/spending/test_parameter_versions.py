"""The latest version wins, as a whole, from its instant on."""

import pytest

from campus_node.spending.parameter_values import DEFAULTS, read_parameters
from campus_node.spending.parameter_versions import Schedule, Version

ONE = Version(1, 0, read_parameters([("day_max_fen", "1")]))
TWO = Version(2, 500, read_parameters([("day_max_fen", "2")]))
THREE = Version(3, 400, read_parameters([("day_max_fen", "3")]))
AT_ONCE = Version(4, 0, DEFAULTS)


def test_a_new_terminal_goes_by_the_defaults() -> None:
    assert (Schedule().current.values, Schedule().latest) == (DEFAULTS, 0)


@pytest.mark.parametrize(
    ("taken", "now", "current", "coming"),
    [
        ([ONE], 0, ONE, None),
        ([ONE, TWO], 499, ONE, TWO),
        ([ONE, TWO], 500, TWO, None),
        ([ONE, TWO, ONE], 499, ONE, TWO),
        ([TWO, ONE], 499, Schedule().current, TWO),
        ([ONE, TWO, THREE], 400, THREE, None),
        ([ONE, TWO, THREE], 399, ONE, THREE),
        ([ONE, TWO, AT_ONCE], 0, AT_ONCE, None),
        ([AT_ONCE, TWO], 900, AT_ONCE, None),
    ],
)
def test_the_latest_version_is_in_force_from_its_instant(
    taken: list[Version], now: int, current: Version, coming: Version | None
) -> None:
    schedule = Schedule()
    for version in taken:
        schedule = schedule.take(version, 0)
    assert schedule.at(now) == Schedule(current, coming)
    assert schedule.latest == max(version.number for version in taken)


def test_a_clock_that_goes_back_brings_no_old_version_back() -> None:
    there = Schedule().take(ONE, 0).take(TWO, 0).at(500)
    assert there.at(100).current is TWO
