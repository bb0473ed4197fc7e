"""What the gateway's own evidence, and what lines tell, is called as an alarm and does to health. Pure (A12).

Named in docs/gateway.md. A hint could have been faked by any node on the wire: it is told, and nobody is
isolated because of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from campus_node.lines.events import What
from campus_node.watch.alarms import Severity
from campuscard.v1 import gateway_pb2 as pb

SAME_AGAIN_AFTER_S: Final = 60.0
SUBJECTS_MAX: Final = 4_096

Record = Callable[[str, Severity, str, Mapping[str, object]], None]
"""Takes name, severity, subject and evidence of an alarm."""


class Meaning(NamedTuple):
    """What an event of a line leads to.

    Args:
        alarm: its name; empty = none.
        severity: of the alarm.
        health: of the device that it names, or of the line where it names none; None = it is well again.
    """

    alarm: str
    severity: Severity
    health: pb.Health.ValueType | None


MEANINGS: Final[Mapping[What, Meaning]] = {
    What.BUS_OFF: Meaning("line.bus_off", Severity.SERIOUS, pb.HEALTH_FAILED),
    What.BUS_BACK: Meaning("", Severity.NOTICE, None),
    What.PORT_DOWN: Meaning("line.down", Severity.SERIOUS, pb.HEALTH_FAILED),
    What.HELD: Meaning("line.stuck_transmitter", Severity.SERIOUS, pb.HEALTH_FAILED),
    What.CLEAR: Meaning("", Severity.NOTICE, None),
    What.NOISE: Meaning("line.noise", Severity.WARNING, pb.HEALTH_DEGRADED),
    What.BABBLING: Meaning("line.babbling", Severity.SERIOUS, pb.HEALTH_ISOLATED),
    What.STALLING: Meaning("line.stalling", Severity.SERIOUS, pb.HEALTH_ISOLATED),
    What.BROKEN: Meaning("line.broken_frames", Severity.SERIOUS, pb.HEALTH_ISOLATED),
    What.FORGING: Meaning("line.forged", Severity.SERIOUS, pb.HEALTH_ISOLATED),
    What.RELEASED: Meaning("", Severity.NOTICE, None),
    What.ADDRESS_CONFLICT: Meaning("line.address_conflict", Severity.SERIOUS, pb.HEALTH_DEGRADED),
    What.FALSE_HEAD: Meaning("line.false_head", Severity.SERIOUS, pb.HEALTH_DEGRADED),
    What.FOREIGN: Meaning("line.foreign", Severity.NOTICE, None),
    What.LEAVES_BUS: Meaning("terminal.leaves_bus", Severity.WARNING, pb.HEALTH_DEGRADED),
    What.EMERGENCY: Meaning("terminal.emergency", Severity.WARNING, pb.HEALTH_DEGRADED),
    What.PEER_SILENT: Meaning("terminal.silent", Severity.WARNING, pb.HEALTH_SILENT),
    What.LOST: Meaning("terminal.silent", Severity.WARNING, pb.HEALTH_SILENT),
    What.PEER_BACK: Meaning("", Severity.NOTICE, None),
    What.WRONG_RATE: Meaning("terminal.wrong_rate", Severity.WARNING, pb.HEALTH_DEGRADED),
}


@dataclass(slots=True)
class _Said:
    at_s: float
    again: int = 0


class Alarms:
    """Lets the same alarm through once a minute, and counts what it kept back.

    Args:
        record: takes what is let through.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._said: dict[tuple[str, str], _Said] = {}

    def tell(
        self, name: str, severity: Severity, subject: str, evidence: Mapping[str, object], now_s: float
    ) -> bool:
        """Record an alarm unless the same one was recorded within a minute; tell whether it was.

        Args:
            subject: line, address, terminal: for example can0/17.
            now_s: monotonic seconds.
        """
        said = self._said.get((name, subject))
        if said is not None and now_s - said.at_s < SAME_AGAIN_AFTER_S:
            said.again += 1
            return False
        more = {"kept_back": said.again} if said is not None and said.again else {}
        if len(self._said) >= SUBJECTS_MAX:
            self._said.clear()
        self._said[name, subject] = _Said(now_s)
        self._record(name, severity, subject, {**evidence, **more})
        return True
