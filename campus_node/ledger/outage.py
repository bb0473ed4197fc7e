"""Waiting for a database that is away, full or read-only, and saying so once."""

from collections.abc import Callable
from typing import Final

from campus_node.ledger.observer import EngineObserver
from federation.clock import Clock
from federation.errors import StoreDown, Unavailable

_RETRY_FIRST_S: Final = 0.05
_RETRY_MAX_S: Final = 1.0


class Outage:
    """What is known of the database's absence.

    Args:
        clock: for waiting.
        observer: gets one alarm an outage.
        hold_s: how long callers wait for the database before they are told; after that, at once.
    """

    def __init__(self, clock: Clock, observer: EngineObserver, hold_s: float) -> None:
        self._clock = clock
        self._observer = observer
        self._hold_s = hold_s
        self._since_s: float | None = None
        self.ongoing = False
        self.gave_up = False

    def note(self, error: Unavailable) -> float:
        """Remember that the database failed; return since when, by the monotonic clock, in seconds."""
        self.ongoing = True
        if self._since_s is None:
            self._since_s = self._clock.monotonic_s()
            self._observer.alarm("ledger.store_down", "critical", "ledger", {"why": str(error)})
        return self._since_s

    def wait(self, error: Unavailable, recover: Callable[[], bool]) -> None:
        """Return when recover succeeds.

        Raises:
            StoreDown: it did not within hold_s of the first failure.
        """
        since_s = self.note(error)
        retry_s = _RETRY_FIRST_S
        while True:
            if self.gave_up or self._clock.monotonic_s() - since_s >= self._hold_s:
                self.gave_up = True
                raise StoreDown(str(error)) from error
            self._clock.sleep(retry_s)
            retry_s = min(retry_s * 2, _RETRY_MAX_S)
            if recover():
                return

    def answers_again(self) -> None:
        """The database answers; it is over only when it has taken a batch."""
        self.ongoing = self.gave_up = False

    def is_over(self) -> None:
        """A batch was written."""
        self._since_s = None
