"""Whose turn it is to send: the head answers first frames in the order in which they came, few at a time (B4.1).

The lowest address wins every arbitration of its class. If all terminals sent at once, the highest would starve;
as a first frame must be answered before more follows, the head decides who sends, and everybody waits for the
same number of others.
"""

from collections import deque
from typing import Final

UPLOADS_OPEN_MAX: Final = 3  # enough that the bus never waits for a terminal that thinks


class Uploads:
    """The turns of one bus. Pure.

    Args:
        open_max: how many terminals may send at once, from 1.
    """

    def __init__(self, open_max: int = UPLOADS_OPEN_MAX) -> None:
        assert open_max >= 1, "nobody could ever send"
        self._open_max = open_max
        self._open: set[int] = set()
        self._asked: deque[int] = deque()

    def ask(self, peer: int) -> None:
        """Note that a terminal wants to send; one that waits already keeps its place."""
        if peer not in self._asked:
            self._asked.append(peer)

    def grant(self) -> int | None:
        """Return who may send now, or None while nobody asks or enough do. One that is open is asked again at once."""
        if self._asked and (len(self._open) < self._open_max or self._asked[0] in self._open):
            peer = self._asked.popleft()
            self._open.add(peer)
            return peer
        return None

    def is_open(self, peer: int) -> bool:
        """Return whether this terminal has been let."""
        return peer in self._open

    def close(self, peer: int) -> None:
        """Take the turn back: the message is whole, or given up."""
        self._open.discard(peer)

    def forget(self, peer: int) -> None:
        """Take the terminal out altogether."""
        self._open.discard(peer)
        if peer in self._asked:
            self._asked.remove(peer)

    def opened(self) -> tuple[int, ...]:
        """Return who may send now."""
        return tuple(self._open)
