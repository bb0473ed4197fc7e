"""Business dates: the clearing day a record belongs to, with its own cut-off time."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from federation.errors import Misconfigured


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
        try:
            at = time.fromisoformat(cut_off)
        except ValueError as error:
            raise Misconfigured(
                f"cut_off {cut_off!r} is no time of day: write HH:MM, for example 03:00"
            ) from error
        self._cut_off = timedelta(hours=at.hour, minutes=at.minute)

    def date_of(self, unix_ms: int) -> int:
        """Return the business date of an instant as yyyymmdd."""
        local = datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone(self._zone).replace(tzinfo=None)
        day = (local - self._cut_off).date()
        return day.year * 10_000 + day.month * 100 + day.day
