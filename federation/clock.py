"""The only module that reads a clock. Everything else is given one.

Pure modules take instants as arguments; what talks to the outside takes a `Clock`.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time.

    `unix_ms` is the wall clock in milliseconds since 1970-01-01T00:00Z and may step either way;
    `monotonic_s` never goes back and has no meaning between processes.
    """

    def unix_ms(self) -> int: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of this machine."""

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock:
    """A clock that stands still until it is moved: for tests and simulations.

    Args:
        unix_ms: where it starts; the default is 2026-09-01T00:00Z, the first day of a semester.
    """

    def __init__(self, unix_ms: int = 1_788_220_800_000) -> None:
        self._unix_ms = unix_ms
        self._monotonic_ms = 0

    def unix_ms(self) -> int:
        return self._unix_ms

    def monotonic_s(self) -> float:
        return self._monotonic_ms / 1000

    def sleep(self, seconds: float) -> None:
        self.advance(round(seconds * 1000))

    def advance(self, ms: int) -> None:
        """Let time pass, as seen by both clocks."""
        assert ms >= 0, "time passes forwards; use step() for a clock that is set"
        self._unix_ms += ms
        self._monotonic_ms += ms

    def step(self, ms: int) -> None:
        """Set the wall clock forwards or back by ms; no time passes."""
        self._unix_ms += ms


class SteadyClock:
    """A wall clock that never goes back, for what is written into books.

    It follows the given clock forwards; when that is set back, it goes on by the monotonic clock.

    Args:
        clock: what is followed.
        not_before_unix_ms: the last instant already written, for example by an earlier process.
    """

    def __init__(self, clock: Clock, not_before_unix_ms: int = 0) -> None:
        self._clock = clock
        self._anchor_unix_ms = max(clock.unix_ms(), not_before_unix_ms)
        self._anchor_monotonic_s = clock.monotonic_s()

    def unix_ms(self) -> int:
        elapsed_ms = int((self._clock.monotonic_s() - self._anchor_monotonic_s) * 1000)
        steady_unix_ms = self._anchor_unix_ms + elapsed_ms
        wall_unix_ms = self._clock.unix_ms()
        if wall_unix_ms > steady_unix_ms:
            self._anchor_unix_ms = wall_unix_ms
            self._anchor_monotonic_s = self._clock.monotonic_s()
            return wall_unix_ms
        return steady_unix_ms

    def behind_ms(self) -> int:
        """How far the wall clock is behind this one; large after it was set back."""
        return self.unix_ms() - self._clock.unix_ms()
