"""How a terminal finds its bit rate: it tries until it understands the head (B4.2). Pure."""

from collections.abc import Sequence
from typing import Final

DEAF_S: Final = 3.0  # so long without a frame that makes sense, and the next rate is tried
NOISE_S: Final = 0.3  # sooner, if what is heard makes no sense
NOISE_MIN: Final = 3  # arrivals of bytes that make none


class RateSearch:
    """Which rate to hear at.

    Args:
        baud: the rate to begin with.
        rates: all that may be tried; with fewer than two nothing is ever tried.
    """

    def __init__(self, baud: int, rates: Sequence[int]) -> None:
        self._rates = tuple(dict.fromkeys((baud, *rates))) if rates else (baud,)
        self._good = baud
        self._untried: list[int] = []
        self._since_s = 0.0
        self._noises = 0

    def begin(self, now_s: float) -> None:
        """Learn when listening begins."""
        self._since_s = now_s

    @property
    def due_s(self) -> float:
        """When to ask for another rate, if nothing is heard until then."""
        return self._since_s + DEAF_S if len(self._rates) > 1 else float("inf")

    def understood(self, baud: int, now_s: float) -> None:
        """Learn that a frame made sense at this rate."""
        self._good, self._since_s, self._noises = baud, now_s, 0
        self._untried = []

    def may_be(self, baud: int) -> bool:
        """Tell whether this rate may be changed to, because the head says so."""
        return baud in self._rates

    def noise(self) -> None:
        """Learn that bytes came that made no sense."""
        self._noises += 1

    def next_rate(self, baud: int, now_s: float) -> int | None:
        """Return the rate to change to now, None to stay."""
        if len(self._rates) == 1:
            return None
        deaf_s = now_s - self._since_s
        if deaf_s < DEAF_S and (deaf_s < NOISE_S or self._noises < NOISE_MIN):
            return None
        if not self._untried:
            self._untried = [self._good, *(rate for rate in self._rates if rate != self._good)]
        chosen = next((rate for rate in self._untried if rate != baud), self._good)
        self._untried = self._untried[self._untried.index(chosen) + 1 :]
        self._since_s, self._noises = now_s, 0
        return chosen
