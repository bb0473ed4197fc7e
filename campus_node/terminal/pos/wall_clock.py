"""The terminal's clock: what only an authenticated TimeTold sets, and whether it may be believed (A15)."""

from typing import Final

from campus_node.terminal.questions import ToldTime
from federation.clock import Clock

BELIEVED_DAYS: Final = 31  # how long a battery clock counts after the last record, or after it was told
UNCERTAINTY_MS_MAX: Final = 30_000
BEHIND_MS_MAX: Final = 600_000  # a battery clock so little behind the journal is slow, and goes on from there
_DAY_MS: Final = 86_400_000


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
        behind_ms = not_before_unix_ms - own.unix_ms()
        self._offset_ms = behind_ms if 0 < behind_ms <= BEHIND_MS_MAX else 0
        self._floor_ms = not_before_unix_ms
        self._trusted = trusted
        self._told_at_s: float | None = None

    @property
    def valid(self) -> bool:
        """Whether the clock may be believed. An invalid one sells nothing."""
        if self._trusted:
            return self._own.unix_ms() + self._offset_ms >= self._floor_ms
        if self._told_at_s is not None:
            return self._own.monotonic_s() - self._told_at_s <= BELIEVED_DAYS * _DAY_MS / 1000
        since_ms = self._own.unix_ms() + self._offset_ms - self._floor_ms
        return self._floor_ms > 0 and 0 <= since_ms <= BELIEVED_DAYS * _DAY_MS

    def told(self, time: ToldTime) -> None:
        """Set the clock by what the gateway said; what is vague, or behind the journal, changes nothing."""
        now_ms = time.unix_ms + round((self._own.monotonic_s() - time.at_s) * 1000)
        if time.uncertainty_ms > UNCERTAINTY_MS_MAX or now_ms < self._floor_ms:
            return
        self._offset_ms = now_ms - self._own.unix_ms()
        self._told_at_s = self._own.monotonic_s()

    def unix_ms(self) -> int:
        now_ms = max(self._own.unix_ms() + self._offset_ms, self._floor_ms)
        if self.valid:
            self._floor_ms = now_ms
        return now_ms

    def monotonic_s(self) -> float:
        return self._own.monotonic_s()

    def sleep(self, seconds: float) -> None:
        self._own.sleep(seconds)
