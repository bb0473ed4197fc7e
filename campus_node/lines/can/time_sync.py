"""The time of day on a bus in two steps: SYNC, then FOLLOW_UP that says when SYNC was sent (B4.3).

Neither is authenticated. So they only trim a clock that an authenticated message set, by TRIM_MAX_S in total
until the next such message, and a clock never shows less than the last record of the journal.
"""

from collections.abc import Callable
from typing import Final

from campus_node.lines.can.ids import Frame
from campus_node.lines.can.line import Post
from campus_node.lines.can.signals import UNIX_US_MODULUS, FollowUp, Sync, frame_of, said_by

SYNC_EVERY_S: Final = 10.0
FOLLOW_UP_AFTER_S: Final = 0.02  # by then the controller has said when SYNC was sent, if it says it
TRIM_MAX_S: Final = 2.0
STEP_MAX_S: Final = 0.1  # of one pair: a single false one shifts little
PAIR_WITHIN_S: Final = 1.0
_US: Final = 1_000_000


class TimeSource:
    """The head's side: a service of its line.

    Args:
        unix_us: gives the unix time in microseconds of a monotonic instant in seconds.
    """

    def __init__(self, unix_us: Callable[[float], int], every_s: float = SYNC_EVERY_S) -> None:
        self._unix_us = unix_us
        self._every_s = every_s
        self._next_s = 0.0
        self._sequence = 0
        self._sent_s: float | None = None
        self._follow_s: float | None = None

    def take(self, _frame: Frame, _now_s: float) -> None:
        """Hear nothing: nobody tells the head the time."""

    def sent(self, frame: Frame, now_s: float) -> None:
        """Note when SYNC was handed over, and better, when it was on the wire."""
        said = said_by(frame)
        if isinstance(said, Sync) and said.sequence == self._sequence:
            if self._sent_s is None:
                self._follow_s = now_s + FOLLOW_UP_AFTER_S
            self._sent_s = now_s

    def step(self, now_s: float, post: Post) -> float:
        """Send what is due."""
        if self._follow_s is not None and self._sent_s is not None and now_s >= self._follow_s:
            post(frame_of(FollowUp(self._sequence, self._unix_us(self._sent_s))))
            self._follow_s = None
        if now_s >= self._next_s:
            self._sequence = (self._sequence + 1) % 256
            self._sent_s = self._follow_s = None
            self._next_s = now_s + self._every_s
            post(frame_of(Sync(self._sequence)))
        return min(self._next_s, self._follow_s if self._follow_s is not None else self._next_s)


class TrimmedClock:
    """A terminal's wall clock, and a service of its line. It shows nothing before it was set.

    Args:
        not_before_unix_ms: the last instant in the journal.
    """

    def __init__(self, not_before_unix_ms: int = 0) -> None:
        self.refused_count = 0  # pairs that would have moved the clock too far
        self._not_before_us = not_before_unix_ms * 1000
        self._offset_us: int | None = None  # unix time less monotonic time
        self._trimmed_us = 0
        self._sync: tuple[int, float] | None = None

    def set(self, unix_ms: int, now_s: float) -> None:
        """Set the clock from an authenticated message; unix_ms was true at now_s."""
        self._offset_us = unix_ms * 1000 - round(now_s * _US)
        self._trimmed_us = 0

    def unix_ms(self, now_s: float) -> int | None:
        """Return milliseconds since 1970, never less than before; None until the clock was set."""
        if self._offset_us is None:
            return None
        self._not_before_us = max(self._not_before_us, self._offset_us + round(now_s * _US))
        return self._not_before_us // 1000

    @property
    def trimmed_ms(self) -> int:
        """How far SYNC has moved the clock since it was set."""
        return self._trimmed_us // 1000

    def take(self, frame: Frame, now_s: float) -> None:
        """Take a P3 frame; anything but a SYNC and its FOLLOW_UP is ignored."""
        match said_by(frame):
            case Sync(sequence):
                self._sync = (sequence, now_s)
            case FollowUp(sequence, unix_us) if self._sync is not None and self._sync[0] == sequence:
                received_s, self._sync = self._sync[1], None
                if self._offset_us is not None and now_s - received_s <= PAIR_WITHIN_S:
                    self._trim(unix_us, self._offset_us + round(received_s * _US))

    def sent(self, _frame: Frame, _now_s: float) -> None:
        """Nothing to note."""

    def step(self, now_s: float, _post: Post) -> float:
        """Send nothing."""
        return now_s + SYNC_EVERY_S

    def _trim(self, told_us: int, shown_us: int) -> None:
        ahead_us = (told_us - shown_us + UNIX_US_MODULUS // 2) % UNIX_US_MODULUS - UNIX_US_MODULUS // 2
        most_us = round(STEP_MAX_S * _US)
        step_us = max(-most_us, min(most_us, ahead_us))
        if abs(self._trimmed_us + step_us) > TRIM_MAX_S * _US:
            self.refused_count += 1
            return
        self._trimmed_us += step_us
        assert self._offset_us is not None, "only a clock that was set is trimmed"
        self._offset_us += step_us
