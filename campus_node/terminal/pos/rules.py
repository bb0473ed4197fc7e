"""Which parameters hold now, and what an instant means by them. Pure."""

from campus_node.spending import parameters as p
from campus_node.spending.moments import Moment, moment_at
from campus_node.spending.parameter_values import Values
from campus_node.spending.parameter_versions import Schedule, Version
from federation.business_date import BusinessCalendar


class Rules:
    """The versions of the parameters at one terminal. Args: schedule: as it was kept."""

    def __init__(self, schedule: Schedule = Schedule()) -> None:
        self.schedule = schedule
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
        calendar = self._calendar(str(values.of(p.TIMEZONE)), values.of(p.DAY_CUT_OFF))
        return moment_at(now_unix_ms, calendar, values.of(p.MEAL_ENDS), valid=valid)

    def _calendar(self, timezone: str, cut_off: object) -> BusinessCalendar:
        key = (timezone, str(cut_off))
        if key not in self._calendars:
            self._calendars[key] = BusinessCalendar(timezone, str(cut_off))
        return self._calendars[key]
