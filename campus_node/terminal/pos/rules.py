"""Which parameters hold now, and what an instant means by them. Pure."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from campus_node.spending import parameters as p
from campus_node.spending.moments import Moment, moment_at
from campus_node.spending.parameter_values import Values
from campus_node.spending.parameter_versions import Schedule, Version
from federation.business_date import BusinessCalendar

MS_PER_S: Final = 1000
DEFAULT_ZONE: Final = "Asia/Shanghai"  # where the machine does not know the zone that was set


class Rules:
    """The versions of the parameters at one terminal. Args: schedule: as it was kept."""

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.schedule = schedule or Schedule()
        self._calendars: dict[tuple[str, str], BusinessCalendar] = {}

    def take(self, version: Version, now_unix_ms: int) -> None:
        """Take a version that came; one that is not the latest changes nothing."""
        self.schedule = self.schedule.take(version, now_unix_ms)

    def values_at(self, now_unix_ms: int) -> Values:
        """Return the values in force at an instant."""
        self.schedule = self.schedule.at(now_unix_ms)
        return self.schedule.current.values

    def moment_at(self, now_unix_ms: int, *, valid: bool) -> Moment:
        """Return what an instant means here: business day and meal."""
        values = self.values_at(now_unix_ms)
        calendar = self._calendar(values.of(p.TIMEZONE), values.of(p.DAY_CUT_OFF))
        ends: tuple[int, ...] = values.of(p.MEAL_ENDS)
        return moment_at(now_unix_ms, calendar, ends, valid=valid)

    def local_time(self, now_unix_ms: int) -> bytes:
        """Return what the campus's clocks show at an instant: 7 bytes BCD YYYYMMDDhhmmss."""
        zone = self._zone(self.values_at(now_unix_ms).of(p.TIMEZONE))
        local = datetime.fromtimestamp(now_unix_ms // MS_PER_S, UTC).astimezone(zone)
        return bytes.fromhex(f"{local:%Y%m%d%H%M%S}")

    def _zone(self, timezone: str) -> ZoneInfo:
        try:
            return ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo(DEFAULT_ZONE)

    def _calendar(self, timezone: str, cut_off: str) -> BusinessCalendar:
        key = (self._zone(timezone).key, cut_off)
        if key not in self._calendars:
            self._calendars[key] = BusinessCalendar(*key)
        return self._calendars[key]
