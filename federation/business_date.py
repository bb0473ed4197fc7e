"""Business dates: the clearing day a record belongs to, with its own cut-off time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from federation.errors import Misconfigured

_TIME_OF_DAY: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class BusinessCalendar:
    """Tells the business date of an instant.

    Args:
        timezone: IANA name, for example Asia/Shanghai.
        cut_off: local time, HH:MM, at which a business day ends and the next begins. Before it, an instant
            belongs to the day before.

    Raises:
        Misconfigured: unknown timezone or malformed cut-off.
    """

    def __init__(self, timezone: str = "Asia/Shanghai", cut_off: str = "00:00") -> None:
        try:
            self._zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise Misconfigured(
                f"timezone {timezone!r} is unknown: use an IANA name such as Asia/Shanghai"
            ) from error
        at = _TIME_OF_DAY.fullmatch(cut_off)
        if at is None:
            raise Misconfigured(f"cut_off {cut_off!r} is no time of day: write HH:MM, for example 03:00")
        self._cut_off = timedelta(hours=int(at[1]), minutes=int(at[2]))

    def date_of(self, unix_ms: int) -> int:
        """Return the business date of an instant as yyyymmdd."""
        day = (self._local(unix_ms) - self._cut_off).date()
        return day.year * 10_000 + day.month * 100 + day.day

    def second_of_day(self, unix_ms: int) -> int:
        """Return what a clock on the wall shows at an instant, in seconds after midnight, 0 to 86399."""
        local = self._local(unix_ms)
        return local.hour * 3600 + local.minute * 60 + local.second

    def _local(self, unix_ms: int) -> datetime:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone(self._zone).replace(tzinfo=None)
