"""How well something is, and which alarm that is worth. Pure."""

from enum import IntEnum
from typing import Final

from campus_node.watch.alarms import Alarm, Severity
from campus_node.wording import Sentence


class Health(IntEnum):
    """As `campuscard.v1.Health` numbers it."""

    UNSPECIFIED = 0  # nobody has said yet
    WELL = 1
    DEGRADED = 2  # it works, and somebody ought to look
    FAILED = 3  # it does not do its work
    SILENT = 4  # nothing is heard of it
    ISOLATED = 5  # kept off its line

    @property
    def word(self) -> str:
        """As people and JSON read it."""
        return "unknown" if self is Health.UNSPECIFIED else self.name.lower()


SAID: Final = {
    Health.UNSPECIFIED: Sentence("unknown"),
    Health.WELL: Sentence("well"),
    Health.DEGRADED: Sentence("degraded"),
    Health.FAILED: Sentence("failed"),
    Health.SILENT: Sentence("silent"),
    Health.ISOLATED: Sentence("isolated"),
}


class Part(IntEnum):
    """What can be well or not; its name begins the alarm's."""

    GATEWAY = 1
    LINE = 2
    DEVICE = 3


# A gateway or line takes many tills with it; one till is one queue.
SEVERITIES: Final[dict[tuple[Part, Health], Severity]] = {
    (Part.GATEWAY, Health.SILENT): Severity.SERIOUS,
    (Part.LINE, Health.DEGRADED): Severity.WARNING,
    (Part.LINE, Health.FAILED): Severity.SERIOUS,
    (Part.LINE, Health.SILENT): Severity.SERIOUS,
    (Part.LINE, Health.ISOLATED): Severity.WARNING,
    (Part.DEVICE, Health.DEGRADED): Severity.NOTICE,
    (Part.DEVICE, Health.FAILED): Severity.SERIOUS,
    (Part.DEVICE, Health.SILENT): Severity.WARNING,
    (Part.DEVICE, Health.ISOLATED): Severity.WARNING,
}


def alarm_of(part: Part, health: Health, subject: str, evidence: dict[str, object]) -> Alarm | None:
    """Return the alarm that this health is worth, for example device.silent; None = none."""
    severity = SEVERITIES.get((part, health))
    if severity is None:
        return None
    return Alarm(f"{part.name.lower()}.{health.word}", severity, subject, evidence)


def alarm_keys(part: Part, subject: str) -> dict[Health, str]:
    """Return the keys of all alarms that its health may have raised."""
    return {
        health: Alarm(f"{part.name.lower()}.{health.word}", severity, subject).key
        for (its_part, health), severity in SEVERITIES.items()
        if its_part is part
    }
