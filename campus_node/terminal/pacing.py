"""When a terminal repeats what nobody answered: later and later, never all terminals at once. Pure."""

from collections.abc import Callable
from typing import Final

WAIT_S_MIN: Final = 2.0
WAIT_S_MAX: Final = 60.0
JITTER: Final = 0.25  # of a wait, either way: terminals that lost the same answer do not repeat together
NEVER_S: Final = float("inf")

Random = Callable[[int], bytes]


class Patience:
    """How long an answer is waited for: doubling with each that did not come, learning from those that did.

    Args:
        random_bytes: of the jitter.
        first_s, most_s: the shortest and the longest wait, before jitter.
    """

    def __init__(self, random_bytes: Random, first_s: float = WAIT_S_MIN, most_s: float = WAIT_S_MAX) -> None:
        self._random = random_bytes
        self._first_s = first_s
        self._most_s = most_s
        self._wait_s = first_s
        self._usual_s = 0.0

    def due_s(self, now_s: float) -> float:
        """Return until when the answer to what is sent now is waited for."""
        return now_s + self._wait_s * (1 + JITTER * (self._random(1)[0] / 127.5 - 1))

    def lost(self) -> None:
        """Learn that no answer came: the next one is waited for twice as long."""
        self._wait_s = min(self._wait_s * 2, self._most_s)

    def answered(self, took_s: float) -> None:
        """Learn how long an answer took to something that was sent once.

        A bus that is full of the same terminals' backlog answers late without having lost anything: to repeat
        before twice the usual time would fill it more.
        """
        self._usual_s = took_s if not self._usual_s else self._usual_s + (took_s - self._usual_s) / 4
        self._wait_s = min(max(self._first_s, 2 * self._usual_s), self._most_s)

    def reset(self) -> None:
        """Begin anew: it is another peer, or the same one came back."""
        self._wait_s = self._first_s
        self._usual_s = 0.0
