"""Whose turn it is to send: the head answers first frames in the order in which they came (B4.1).

The lowest address wins every arbitration of its class. If all terminals sent at once, the highest would
starve; as a first frame must be answered before more follows, the head decides who sends, few at a time, and
everybody waits for the same number of others.
"""

from collections import deque
from typing import Final

UPLOADS_OPEN_MAX: Final = 3  # enough that the bus never waits for a terminal that thinks
BEGIN_WITHIN_S: Final = 0.05  # who does not go on by then lets the next one go as well
NEVER_S: Final = float("inf")


class Uploads:
    """The turns of one bus. Pure.

    One answer at a time is on its way: of several, the controller would send the one to the lowest address
    first, again and again.

    Args:
        open_max: how many terminals may send at once, from 1.
    """

    def __init__(self, open_max: int = UPLOADS_OPEN_MAX) -> None:
        assert open_max >= 1, "nobody could ever send"
        self._open_max = open_max
        self._open: set[int] = set()
        self._asked: deque[int] = deque()
        self._beginning: int | None = None
        self._begins_by_s = NEVER_S

    def ask(self, peer: int) -> None:
        """Note that a terminal wants to send; one that waits already keeps its place."""
        if peer not in self._asked:
            self._asked.append(peer)

    def grant(self, now_s: float) -> int | None:
        """Return who may send now, or None while nobody asks, enough do, or the last one has not begun."""
        if self._beginning is not None and now_s < self._begins_by_s:
            return None
        if not self._asked or len(self._open) >= self._open_max:
            self._beginning = None
            return None
        peer = self._asked.popleft()
        self._open.add(peer)
        self._beginning, self._begins_by_s = peer, now_s + BEGIN_WITHIN_S
        return peer

    def due_s(self) -> float:
        """Return when `grant` is worth to be asked again although nothing arrived."""
        return self._begins_by_s if self._beginning is not None and self._asked else NEVER_S

    def began(self, peer: int) -> None:
        """Note that a terminal goes on."""
        if self._beginning == peer:
            self._beginning = None

    def is_open(self, peer: int) -> bool:
        """Return whether this terminal has been let."""
        return peer in self._open

    def opened(self) -> tuple[int, ...]:
        """Return who may send now."""
        return tuple(self._open)

    def close(self, peer: int) -> None:
        """Take the turn back: the message is whole, or given up."""
        self._open.discard(peer)
        self.began(peer)

    def forget(self, peer: int) -> None:
        """Take the terminal out altogether."""
        self.close(peer)
        if peer in self._asked:
            self._asked.remove(peer)
