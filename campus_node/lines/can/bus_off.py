"""When a controller that left its bus may come back (B4.3).

At once would be how a broken node takes its bus down for good.
"""

from typing import Final

BACK_OFF_FIRST_S: Final = 0.1
BACK_OFF_MAX_S: Final = 60.0
STEPS_MAX: Final = 10
STEADY_S: Final = 60.0  # on the bus for so long: the next time counts as the first


class BackOff:
    """Waits of one controller: 0.1 s, doubled each time up to 60 s. Pure.

    Args:
        spread: 0 to 1, another one in each device: two that threw each other off do not come back together.
    """

    def __init__(self, spread: float = 0.0) -> None:
        self._stretch = 1 + spread
        self.count = 0  # since the start; a terminal says it in its heartbeat
        self._step = 0  # how often in a row it left or could not come back
        self._due_s: float | None = None
        self._tries = 0
        self._on_since_s = 0.0

    @property
    def off(self) -> bool:
        return self._due_s is not None

    def went_off(self, now_s: float) -> None:
        """Note that the controller left its bus."""
        self.count += 1
        if now_s - self._on_since_s >= STEADY_S:
            self._step = 0
        self._tries = 0
        self._wait(now_s)

    def due(self, now_s: float) -> bool:
        """Return whether to start the controller now; if that does not help, it is time again later."""
        if self._due_s is None or now_s < self._due_s:
            return False
        self._tries += 1
        self._wait(now_s)
        return True

    def came_back(self, now_s: float) -> None:
        """Note that the controller is on the bus again."""
        if self._tries:
            self._step -= 1  # the wait that was not needed
        self._due_s = None
        self._on_since_s = now_s

    @property
    def due_s(self) -> float:
        """When to try next; infinity while nothing is wrong."""
        return float("inf") if self._due_s is None else self._due_s

    def _wait(self, now_s: float) -> None:
        wait_s = min(BACK_OFF_FIRST_S * 2 ** min(self._step, STEPS_MAX), BACK_OFF_MAX_S)
        self._due_s = now_s + wait_s * self._stretch
        self._step += 1
