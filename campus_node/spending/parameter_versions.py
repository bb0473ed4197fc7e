"""Which version of the parameters is in force: the latest, as a whole, from the instant it names. Pure."""

from dataclasses import dataclass, replace

from campus_node.spending.parameter_values import DEFAULTS, Values


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    Args:
        number: goes up with each change; 0 = the defaults.
        effective_at_unix_ms: from when it holds; 0 = at once.
        values: what it says.
    """

    number: int
    effective_at_unix_ms: int
    values: Values


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is in force, and what comes next.

    Args:
        current: in force.
        coming: waits for its instant; None = nothing does.
    """

    current: Version = Version(0, 0, DEFAULTS)
    coming: Version | None = None

    @property
    def latest(self) -> int:
        """The highest number that was taken: what a terminal reports."""
        return self.coming.number if self.coming else self.current.number

    def take(self, version: Version, now_unix_ms: int) -> "Schedule":
        """Return the schedule with a version; one that is not the latest changes nothing."""
        if version.number <= self.latest:
            return self.at(now_unix_ms)
        return replace(self.at(now_unix_ms), coming=version).at(now_unix_ms)

    def at(self, now_unix_ms: int) -> "Schedule":
        """Return the schedule at an instant: what came is in force, also when the clock goes back later."""
        if self.coming is None or now_unix_ms < self.coming.effective_at_unix_ms:
            return self
        return Schedule(self.coming)
