"""Clocks: one that stands still, and one that never goes back."""

import random
from pathlib import Path

import pytest

from federation.clock import SteadyClock, SystemClock, VirtualClock

START_MS = 1_000_000


def test_the_system_clock_tells_the_time_of_the_machine(tmp_path: Path) -> None:
    clock = SystemClock()
    before_ms = clock.unix_ms()
    (tmp_path / "now").touch()
    written_ms = (tmp_path / "now").stat().st_mtime_ns / 1_000_000
    assert before_ms - 20 <= written_ms <= clock.unix_ms() + 1, "a file's time comes from a coarser clock"


def test_the_system_clock_sleeps_at_least_as_long_as_asked() -> None:
    clock = SystemClock()
    before_s = clock.monotonic_s()
    clock.sleep(0.01)
    assert clock.monotonic_s() - before_s >= 0.01


def test_a_virtual_clock_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(START_MS)
    assert [clock.unix_ms(), clock.unix_ms()] == [START_MS, START_MS]
    clock.advance(1_500)
    assert clock.unix_ms() == START_MS + 1_500
    assert clock.monotonic_s() == 1.5


def test_a_virtual_sleep_moves_the_clock_and_returns_at_once() -> None:
    clock = VirtualClock(START_MS)
    clock.sleep(86_400)
    assert clock.unix_ms() == START_MS + 86_400_000


def test_time_does_not_pass_backwards() -> None:
    with pytest.raises(AssertionError, match="forwards"):
        VirtualClock().advance(-1)


def test_setting_a_virtual_clock_lets_no_time_pass() -> None:
    clock = VirtualClock(START_MS)
    clock.step(-3_600_000)
    assert clock.unix_ms() == START_MS - 3_600_000
    assert clock.monotonic_s() == 0


def test_a_steady_clock_follows_the_wall_clock_forwards() -> None:
    wall = VirtualClock(START_MS)
    steady = SteadyClock(wall)
    wall.advance(10)
    assert steady.unix_ms() == START_MS + 10
    wall.step(5_000)
    assert steady.unix_ms() == START_MS + 5_010
    assert steady.behind_ms() == 0


def test_a_steady_clock_goes_on_by_itself_when_the_wall_clock_is_set_back() -> None:
    wall = VirtualClock(START_MS)
    steady = SteadyClock(wall)
    wall.step(-3_600_000)
    assert steady.unix_ms() == START_MS
    wall.advance(250)
    assert steady.unix_ms() == START_MS + 250
    assert steady.behind_ms() == 3_600_000


def test_a_steady_clock_follows_again_once_the_wall_clock_has_caught_up() -> None:
    wall = VirtualClock(START_MS)
    steady = SteadyClock(wall)
    wall.step(-1_000)
    wall.advance(100)
    wall.step(1_500)
    assert steady.unix_ms() == wall.unix_ms() == START_MS + 600


def test_a_steady_clock_does_not_begin_before_what_was_written_last() -> None:
    wall = VirtualClock(START_MS)
    steady = SteadyClock(wall, START_MS + 60_000)
    assert steady.unix_ms() == START_MS + 60_000
    wall.advance(1)
    assert steady.unix_ms() == START_MS + 60_001
    assert steady.behind_ms() == 60_000


def test_a_steady_clock_never_goes_back_whatever_is_done_to_the_wall_clock(seed: int) -> None:
    rng = random.Random(seed)
    wall = VirtualClock(START_MS)
    steady = SteadyClock(wall)
    last_ms = steady.unix_ms()
    for _ in range(2_000):
        wall.advance(rng.randrange(50))
        wall.step(rng.randrange(-100_000, 100_000))
        now_ms = steady.unix_ms()
        assert now_ms >= max(last_ms, wall.unix_ms())
        last_ms = now_ms
