"""When people eat: nothing is distributed then unless somebody insists. Pure (B4.4)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from federation.errors import Misconfigured

_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DAY: Final = timedelta(days=1)


class Meal(NamedTuple):
    """Whether it is a meal now, and when that changes; 0 = never."""

    now: bool
    changes_at_unix_ms: int


@dataclass(frozen=True, slots=True)
class MealTimes:
    """The meals of a campus, every day the same.

    Args:
        text: windows of local time, `HH:MM-HH:MM`, by commas; one may cross midnight; empty = no meals.
        timezone: IANA name.

    Raises:
        Misconfigured: it cannot be read.
    """

    text: str
    timezone: str = "Asia/Shanghai"

    def __post_init__(self) -> None:
        self._windows()
        self._zone()

    def at(self, unix_ms: int) -> Meal:
        """Return whether it is a meal at an instant, and when that changes."""
        local = datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone(self._zone())
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        spans = sorted(
            (self._instant(day + begin), self._instant(day + end))
            for day in (midnight - _DAY, midnight, midnight + _DAY)
            for begin, end in self._windows()
        )
        now = False
        for begin_unix_ms, end_unix_ms in spans:
            if begin_unix_ms <= unix_ms < end_unix_ms:
                now, unix_ms = True, end_unix_ms  # another window may begin before this one ends
            elif begin_unix_ms > unix_ms and not now:
                return Meal(now=False, changes_at_unix_ms=begin_unix_ms)
        return Meal(now, unix_ms if now else 0)

    def _instant(self, local: datetime) -> int:
        return round(local.replace(tzinfo=self._zone()).timestamp() * 1000)

    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise Misconfigured(f"timezone {self.timezone!r} is unknown") from error

    def _windows(self) -> list[tuple[timedelta, timedelta]]:
        windows = []
        for text in filter(None, (part.strip() for part in self.text.split(","))):
            found = _WINDOW.fullmatch(text)
            if found is None:
                raise Misconfigured(f"{text!r} is no meal: write HH:MM-HH:MM, for example 11:00-13:30")
            hour, minute, end_hour, end_minute = map(int, found.groups())
            begin, end = timedelta(hours=hour, minutes=minute), timedelta(hours=end_hour, minutes=end_minute)
            if begin == end:
                raise Misconfigured(f"the meal {text!r} has no length")
            windows.append((begin, end if end > begin else end + _DAY))
        return windows
