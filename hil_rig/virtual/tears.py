"""Tears at a reader: which command is torn, and where; planned as faults, counted, and demanded."""

import threading
from collections.abc import Sequence

from hil_rig.faults import Counted, Fault, FaultNotFired, What


class Tears:
    """The tears that are planned for one reader. Any thread may plan.

    Commands are counted from the last plan on: the first one after it is number 1. A tear with a later number
    waits; each falls once.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._commands = 0

    def plan(self, what: What, nth: int, size: int = 0) -> None:
        """Plan a tear at the nth command from now, 1 being the next.

        Args:
            size: bytes of the answer that still get out, where `what` is CARD_LEFT_WITHIN.
        """
        assert nth >= 1, "the first command is number 1"
        assert size >= 0
        with self._lock:
            at = self._commands + nth
            self._waiting.append(Fault(self._place, what, Counted.COMMAND, at, size))

    def next(self) -> Fault | None:
        """Count a command and return the tear that falls on it."""
        with self._lock:
            self._commands += 1
            for fault in self._waiting:
                if fault.nth == self._commands:
                    self._waiting.remove(fault)
                    return fault
            return None

    @property
    def pending(self) -> Sequence[Fault]:
        """Return the tears that have not fallen yet."""
        with self._lock:
            return tuple(self._waiting)

    def forget(self) -> None:
        """Take back what has not fallen yet."""
        with self._lock:
            self._waiting.clear()

    def demand_fired(self) -> None:
        """Raise FaultNotFired if a tear has not fallen: what was shown is not what was planned."""
        if waiting := self.pending:
            raise FaultNotFired("; ".join(f"{f.name}, {f.counted} {f.nth}" for f in waiting))
