"""When a terminal says that something was sold: its own clock's bytes as an instant, and the meal. Pure."""

from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from campus_node.spending.moments import meal_under_way
from federation.business_date import BusinessCalendar

MEAL_ENDS_S: Final = (
    36_000,
    50_400,
    72_000,
    86_399,
)  # 10:00, 14:00, 20:00, 23:59:59 (rules of the field, 20)
_KEPT: Final = 4_096


class TerminalTime:
    """Reads the times that terminals write down.

    Args:
        timezone: of the campus, IANA name.
        meal_ends_s: see `campus_node.spending.moments`.
    """

    def __init__(self, timezone: str, meal_ends_s: tuple[int, ...] = MEAL_ENDS_S) -> None:
        self._zone = ZoneInfo(timezone)
        self._calendar = BusinessCalendar(timezone)
        self._meal_ends_s = meal_ends_s
        self._hour_unix_ms = lru_cache(_KEPT)(self._first_of_hour)
        self._meal = lru_cache(_KEPT)(self._meal_of_second)

    def unix_ms(self, made_at: bytes) -> int:
        """Return the instant of 7 bytes BCD YYYYMMDDhhmmss; 0 where they name none."""
        text = made_at.hex()
        try:
            minute, second = int(text[10:12]), int(text[12:14])
            hour_unix_ms = self._hour_unix_ms(text[:10])
        except ValueError:
            return 0
        if minute > 59 or second > 59:
            return 0
        return hour_unix_ms + (minute * 60 + second) * 1000

    def meal(self, unix_ms: int) -> int:
        """Return which meal it was then, from 1; 0 where nobody knows when it was."""
        return self._meal(unix_ms // 1000) if unix_ms > 0 else 0

    def _meal_of_second(self, unix_s: int) -> int:
        return meal_under_way(self._calendar.second_of_day(unix_s * 1000), self._meal_ends_s)[0]

    def _first_of_hour(self, digits: str) -> int:
        local = datetime.strptime(digits, "%Y%m%d%H").replace(tzinfo=self._zone)
        return max(0, round(local.timestamp() * 1000))
