"""Revocations for a line that has just opened: who hangs there heard nothing of them yet (A16). Pure.

A revocation goes to a line once, when it comes. A line that was away then, or whose terminals were still
calling, is told again, some times, while it comes up: terminals know a notice that comes again.
"""

from collections import deque
from typing import Final, NamedTuple

AGAIN_AFTER_S: Final = (0.5, 4.0, 12.0, 30.0)  # of a line's opening: terminals on TCP call later and later
KEPT_MAX: Final = 16  # the newest ones; who lacks more is told in its session


class Kept(NamedTuple):
    """A revocation as it was signed, and until when it may be said."""

    notice: bytes
    expires_at_unix_ms: int


class Revocations:
    """What was said lately, and which lines are to hear it again."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque(maxlen=KEPT_MAX)
        self._due_s: dict[str, list[float]] = {}

    def keep(self, notice: bytes, expires_at_unix_ms: int) -> None:
        """Keep a revocation; the same one again is one."""
        kept = Kept(notice, expires_at_unix_ms)
        if kept not in self._kept:
            self._kept.append(kept)

    def opened(self, line: str, now_s: float) -> None:
        """Note that a line opens."""
        self._due_s[line] = [now_s + after_s for after_s in AGAIN_AFTER_S]

    def closed(self, line: str) -> None:
        """Note that a line is away."""
        self._due_s.pop(line, None)

    def due(self, now_s: float, now_unix_ms: int) -> dict[str, list[bytes]]:
        """Return what is to be said now, by line, in the order in which it came; each time once."""
        lines = [line for line, times in self._due_s.items() if times and times[0] <= now_s]
        for line in lines:
            self._due_s[line] = [at_s for at_s in self._due_s[line] if at_s > now_s]
        said = [each.notice for each in self._kept if each.expires_at_unix_ms > now_unix_ms]
        return dict.fromkeys(lines, said) if said else {}
