"""Who disturbs a polled line, by what the head hears itself. Pure (A12, B7).

A frame of a terminal that was not asked names it. Bytes that are no frame name nobody; if exactly one
terminal falls silent meanwhile, it is suspected. When nobody answers any more, the wire itself is held,
shorted or cut: who alone stays away when all others are back is suspected of it.
"""

from collections import deque
from typing import Final

from campus_node.lines.events import Event, What
from campus_node.lines.line import ALL

WINDOW_S: Final = 1.0
UNASKED_MAX: Final = 5  # frames of one terminal that was not asked, in a window
NOISES_MAX: Final = 2  # arrivals of bytes that nobody was asked for, in a window
QUIET_AFTER_S: Final = 5.0
RELEASED_AFTER_S: Final = 10.0
FAILURES_MIN: Final = 6  # of all in a row, and for so long, before the wire is suspected
FAILING_S: Final = 0.5
BROKEN_MAX: Final = 1  # answers in a window that nobody understood; after more of them the head listens
PAUSE_S: Final = 0.03
PAUSE_EVERY_S: Final = 0.3
SUSPECTED_BEFORE_S: Final = 2.0
SUSPECTED_AFTER_S: Final = 4.0  # whom noise hit by chance answers again by then


class WireWatch:
    """The evidence of one line."""

    def __init__(self) -> None:
        self.held = False
        self._alive: set[int] = set()
        self._failed: dict[int, int] = {}  # since anybody answered
        self._failing_since_s = 0.0
        self._ok_s = float("-inf")
        self._returning: set[int] = set()
        self._unasked: dict[int, deque[float]] = {}
        self._loud_s: dict[int, float] = {}
        self._noises: deque[float] = deque()
        self._noisy_since_s: float | None = None
        self._named = False
        self._went: dict[int, float] = {}  # who fell silent, and when
        self._broken: deque[float] = deque()
        self._pause_s = 0.0

    def answered(self, address: int, now_s: float) -> list[Event]:
        """Learn that a terminal answered and was understood."""
        self._alive.add(address)
        self._failed.clear()
        self._ok_s = now_s
        self._went.pop(address, None)
        self._returning.discard(address)
        if not self.held:
            return self._name_holder(now_s)
        self.held = False
        self._returning = self._alive - {address}
        return [Event(now_s, What.CLEAR, ALL)]

    def failed(self, address: int, broken: bool, now_s: float) -> list[Event]:
        """Learn that somebody did not answer, or was not understood."""
        if broken:
            _note(self._broken, now_s)
        if address not in self._alive:
            return []
        if not self._failed:
            self._failing_since_s = now_s
        self._failed[address] = self._failed.get(address, 0) + 1
        everybody = len(self._alive) > 1 and self._alive <= self._failed.keys()
        lasts = now_s - self._failing_since_s >= FAILING_S and sum(self._failed.values()) >= FAILURES_MIN
        if self.held or not everybody or not lasts:
            return []
        self.held = True
        return [Event(now_s, What.HELD, ALL, len(self._alive))]

    def missing(self, address: int, since_s: float, now_s: float) -> list[Event]:
        """Learn that a terminal is asked in vain; tell so if the wire is in order."""
        if address not in self._alive:
            return [Event(now_s, What.PEER_SILENT, address)]
        if self.held or not (self._ok_s > since_s or self._alive == {address}):
            return []
        self._alive.discard(address)
        self._went[address] = now_s
        return [Event(now_s, What.PEER_SILENT, address), *self._name_holder(now_s)]

    def _name_holder(self, now_s: float) -> list[Event]:
        """Suspect the only one that did not come back when the wire was let go."""
        if len(self._returning) != 1 or not self._returning <= self._went.keys():
            return []
        return [Event(now_s, What.HELD, self._returning.pop(), hint=True)]

    def unasked(self, source: int, now_s: float) -> list[Event]:
        """Learn of a frame of a terminal that was not asked."""
        seen = self._unasked.setdefault(source, deque())
        _note(seen, now_s)
        if len(seen) <= UNASKED_MAX:
            return []
        told = source in self._loud_s
        self._loud_s[source] = now_s
        return [] if told else [Event(now_s, What.BABBLING, source, len(seen))]

    def noise(self, now_s: float) -> list[Event]:
        """Learn of bytes that nobody was asked for."""
        _note(self._noises, now_s)
        _note(self._broken, now_s)
        if len(self._noises) <= NOISES_MAX or self._noisy_since_s is not None:
            return []
        self._noisy_since_s, self._named = now_s, False
        return [Event(now_s, What.NOISE, ALL, len(self._noises))]

    def step(self, now_s: float) -> list[Event]:
        """Name whom the noise can only come from; end what is over."""
        events: list[Event] = []
        if self._noisy_since_s is not None:
            if now_s - self._noises[-1] >= QUIET_AFTER_S:
                self._noisy_since_s = None
                events.append(Event(now_s, What.CLEAR, ALL))
            elif not self._named:
                since_s = self._noisy_since_s - SUSPECTED_BEFORE_S
                suspects = [address for address, at_s in self._went.items() if at_s >= since_s]
                lasts = all(now_s - self._went[address] >= SUSPECTED_AFTER_S for address in suspects)
                if len(suspects) == 1 and lasts and self._alive:
                    self._named = True
                    events.append(Event(now_s, What.BABBLING, suspects[0], hint=True))
        for address, at_s in list(self._loud_s.items()):
            if now_s - at_s >= RELEASED_AFTER_S:
                del self._loud_s[address]
                events.append(Event(now_s, What.RELEASED, address))
        return events

    def listen_until_s(self, now_s: float) -> float:
        """Return until when the head should only listen; a past instant if it need not."""
        _forget(self._broken, now_s)
        if len(self._broken) > BROKEN_MAX and now_s >= self._pause_s - PAUSE_S + PAUSE_EVERY_S:
            self._pause_s = now_s + PAUSE_S
        return self._pause_s


def _note(times: deque[float], now_s: float) -> None:
    _forget(times, now_s)
    times.append(now_s)


def _forget(times: deque[float], now_s: float) -> None:
    while times and now_s - times[0] >= WINDOW_S:
        times.popleft()
