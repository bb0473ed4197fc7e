"""The thread that drives a line whose wire is real."""

import threading
from typing import Final, Protocol

from federation.clock import Clock

WAIT_S_MAX: Final = 1.0


class Waiting(Protocol):
    """A line that is stepped, and that knows what to wait for in between."""

    @property
    def name(self) -> str: ...

    def step(self, now_s: float) -> float: ...

    def wait(self, seconds: float) -> None: ...


class LineThread:
    """Steps a line when it is due or something arrived, until `stop`.

    Args:
        line: stays the caller's: close it after `stop`.
        clock: tells the time.
    """

    def __init__(self, line: Waiting, clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"line {line.name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the line is driven."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Return when the line is driven no more. May be called twice, before or after the line is closed."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            due_s = self._line.step(self._clock.monotonic_s())
            self._line.wait(min(due_s - self._clock.monotonic_s(), WAIT_S_MAX))
