"""Heartbeats and emergencies: who seems to be there. Hints only; any node can send them (A12)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campus_node.lines.can.ids import Frame
from campus_node.lines.can.line import Post
from campus_node.lines.can.signals import Emergency, Heartbeat, frame_of, said_by
from campus_node.lines.events import Event, What

HEARTBEAT_EVERY_S: Final = 2.0
LOST_AFTER_S: Final = 7.0
CONFLICT_WITHIN_S: Final = 30.0
NEVER_S: Final = float("inf")


class HeartbeatSource:
    """A terminal's side: a service of its line.

    Args:
        state: gives the heartbeat of the moment.
    """

    def __init__(self, state: Callable[[], Heartbeat], every_s: float = HEARTBEAT_EVERY_S) -> None:
        self._state = state
        self._every_s = every_s
        self._next_s = 0.0
        self._calls: list[Emergency] = []

    def call(self, emergency: Emergency) -> None:
        """Send an emergency frame as soon as the bus lets it through."""
        self._calls.append(emergency)

    def take(self, _frame: Frame, _now_s: float) -> None:
        """Hear nothing."""

    def sent(self, _frame: Frame, _now_s: float) -> None:
        """Nothing to note."""

    def step(self, now_s: float, post: Post) -> float:
        """Send what is due."""
        for emergency in self._calls:
            post(frame_of(emergency))
        self._calls.clear()
        if now_s >= self._next_s:
            heartbeat = self._state()
            shift = (heartbeat.source * 37 + heartbeat.serial * 101) % 256 / 256  # not all at once
            self._next_s = now_s + self._every_s * (1 + (0.0 if self._next_s else shift))
            post(frame_of(heartbeat))
        return self._next_s


@dataclass(slots=True)
class Seen:
    """What the head knows of a terminal by its heartbeats."""

    heartbeat: Heartbeat
    at_s: float
    lost: bool = False
    other_serial: int | None = None
    other_s: float = 0.0


class Presence:
    """The head's side: a service of its line.

    Args:
        tell: takes events, for example `HeadLine.tell`.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.seen: dict[int, Seen] = {}
        self._tell = tell

    def take(self, frame: Frame, now_s: float) -> None:
        """Take a P3 frame."""
        match said_by(frame):
            case Heartbeat() as heartbeat:
                self._heard(heartbeat, now_s)
            case Emergency(source, distress):
                self._tell(Event(now_s, What.EMERGENCY, source, int(distress), hint=True))

    def sent(self, _frame: Frame, _now_s: float) -> None:
        """Nothing to note."""

    def step(self, now_s: float, _post: Post) -> float:
        """Tell whose heartbeat stopped."""
        due_s = NEVER_S
        for address, seen in self.seen.items():
            if seen.lost:
                continue
            if now_s - seen.at_s >= LOST_AFTER_S:
                seen.lost = True
                self._tell(Event(now_s, What.LOST, address, seen.heartbeat.serial, hint=True))
            else:
                due_s = min(due_s, seen.at_s + LOST_AFTER_S)
        return due_s

    def _heard(self, heartbeat: Heartbeat, now_s: float) -> None:
        seen = self.seen.get(heartbeat.source)
        if seen is None:
            self.seen[heartbeat.source] = Seen(heartbeat, now_s)
            return
        before = seen.heartbeat
        if heartbeat.serial != before.serial:  # once: exchanged; back and forth: two of them
            if heartbeat.serial == seen.other_serial and now_s - seen.other_s <= CONFLICT_WITHIN_S:
                self._tell(Event(now_s, What.ADDRESS_CONFLICT, heartbeat.source, heartbeat.serial, hint=True))
            seen.other_serial, seen.other_s = before.serial, now_s
        elif heartbeat.bus_offs > before.bus_offs:
            self._tell(Event(now_s, What.LEAVES_BUS, heartbeat.source, heartbeat.bus_offs, hint=True))
        seen.heartbeat, seen.at_s, seen.lost = heartbeat, now_s, False
