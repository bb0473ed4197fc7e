"""The terminal's clock: what only an authenticated TimeTold sets, and whether it may be believed (A15)."""

from typing import Final

from campus_node.terminal.questions import ToldTime
from federation.clock import Clock

BELIEVED_DAYS: Final = 31  # how long a battery clock counts after the last record, or after it was told
UNCERTAINTY_MS_MAX: Final = 30_000
BEHIND_MS_MAX: Final = 600_000  # a battery clock so little behind the journal is slow, and goes on from there
DAY_S: Final = 86_400
MS_PER_S: Final = 1000


class WallClock:
    """A clock over the terminal's own. It implements `Clock`; it never shows less than it has written.

    It is believed when it was told the time, or when its own clock goes on where the journal's last record
    stands: a battery clock that lost its battery does neither, and nothing is sold.

    Args:
        own: the terminal's battery clock.
        not_before_unix_ms: the last instant in the journal; 0 = there is none, so that only a told time
            makes it good.
        trusted: the machine keeps the time by itself (NTP): it is believed from the start.
    """

    def __init__(self, own: Clock, not_before_unix_ms: int = 0, *, trusted: bool = False) -> None:
        self._own = own
        self._journal_ms = not_before_unix_ms
        self._shown_ms = not_before_unix_ms
        self._trusted = trusted
        behind_ms = not_before_unix_ms - own.unix_ms()
        self._slow_ms = behind_ms if 0 < behind_ms <= BEHIND_MS_MAX else 0
        self._told: tuple[int, float] | None = None  # ms since 1970, and the steady clock then

    @property
    def valid(self) -> bool:
        """Whether the clock may be believed. An invalid one sells nothing."""
        if self._told is not None:
            return self._own.monotonic_s() - self._told[1] <= BELIEVED_DAYS * DAY_S
        since_ms = self._own.unix_ms() - self._journal_ms
        if since_ms < -BEHIND_MS_MAX:
            return False
        return self._trusted or (self._journal_ms > 0 and since_ms <= BELIEVED_DAYS * DAY_S * MS_PER_S)

    def told(self, time: ToldTime) -> None:
        """Set the clock by what the gateway said.

        What is vague, or further behind the journal than a clock may be wrong, changes nothing. A clock that
        was fast stands until the time has come.
        """
        if time.uncertainty_ms > UNCERTAINTY_MS_MAX or time.unix_ms < self._shown_ms - BEHIND_MS_MAX:
            return
        self._told = (time.unix_ms, time.at_s)

    def unix_ms(self) -> int:
        if self._told is None:
            now_ms = self._own.unix_ms() + self._slow_ms
        else:
            now_ms = self._told[0] + round((self._own.monotonic_s() - self._told[1]) * MS_PER_S)
        shown_ms = max(now_ms, self._shown_ms)
        if self.valid:
            self._shown_ms = shown_ms
        return shown_ms

    def monotonic_s(self) -> float:
        return self._own.monotonic_s()

    def sleep(self, seconds: float) -> None:
        self._own.sleep(seconds)
