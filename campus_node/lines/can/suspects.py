"""Who disturbs a bus, by what the head saw itself; repeat offenders are heard no more for a while (A12, B7).

What a heartbeat or an emergency says can be faked and does not count here. What counts is what the head
received under an address that it had not let send, that made no sense, or that stopped half-way. A stranger
can send under an honest terminal's address, too: quarantine ends by itself, and a repeat makes it longer.
"""

from dataclasses import dataclass, field
from typing import Final

from campus_node.lines.events import Event, What

WINDOW_S: Final = 1.0
UNINVITED_MAX: Final = 300  # frames a window: more than a tenth of a bus of 250 kbit/s
BROKEN_MAX: Final = 30
FORGED_MAX: Final = 20
STALLED_MAX: Final = 4  # a minute
STALL_WINDOW_S: Final = 60.0
QUARANTINE_FIRST_S: Final = 10.0
QUARANTINE_MAX_S: Final = 600.0
FORGIVEN_AFTER_S: Final = 3600.0
NEVER_S: Final = float("inf")


@dataclass(slots=True)
class _Count:
    limit: int
    window_s: float
    began_s: float = 0.0
    seen: int = 0

    def add(self, times: int, now_s: float) -> bool:
        """Return whether this made it too many in one window."""
        if now_s - self.began_s >= self.window_s:
            self.began_s, self.seen = now_s, 0
        self.seen += times
        return self.seen > self.limit


def _counts() -> dict[What, _Count]:
    return {
        What.BABBLING: _Count(UNINVITED_MAX, WINDOW_S),
        What.BROKEN: _Count(BROKEN_MAX, WINDOW_S),
        What.FORGING: _Count(FORGED_MAX, WINDOW_S),
        What.STALLING: _Count(STALLED_MAX, STALL_WINDOW_S),
    }


@dataclass(slots=True)
class _Suspect:
    counts: dict[What, _Count] = field(default_factory=_counts)
    until_s: float = 0.0
    held: bool = False
    offences: int = 0


class Suspects:
    """The evidence of one bus. Pure."""

    def __init__(self) -> None:
        self._suspects: dict[int, _Suspect] = {}
        self._release_s = NEVER_S  # not before then is anything over

    def held(self, address: int) -> bool:
        """Return whether this address is in quarantine."""
        suspect = self._suspects.get(address)
        return suspect is not None and suspect.held

    def saw(self, address: int, what: What, now_s: float, times: int = 1) -> Event | None:
        """Count evidence against an address; return the event if that puts it into quarantine."""
        suspect = self._suspects.setdefault(address, _Suspect())
        count = suspect.counts[what]
        if not count.add(times, now_s):
            return None
        if now_s - suspect.until_s > FORGIVEN_AFTER_S:
            suspect.offences = 0
        seen, count.seen = count.seen, 0
        if suspect.held:  # still at it: no new alarm, but no end either
            suspect.until_s = max(suspect.until_s, now_s + QUARANTINE_FIRST_S)
            return None
        lasts_s = min(QUARANTINE_FIRST_S * 2**suspect.offences, QUARANTINE_MAX_S)
        suspect.offences = min(suspect.offences + 1, 16)
        suspect.held, suspect.until_s = True, now_s + lasts_s
        self._release_s = min(self._release_s, suspect.until_s)
        return Event(now_s, what, address, seen)

    def release(self, now_s: float) -> list[Event]:
        """End what is over."""
        if now_s < self._release_s:
            return []
        over = [address for address, s in self._suspects.items() if s.held and now_s >= s.until_s]
        for address in over:
            self._suspects[address].held = False
            self._suspects[address].counts = _counts()
        self._release_s = min((s.until_s for s in self._suspects.values() if s.held), default=NEVER_S)
        return [Event(now_s, What.RELEASED, address) for address in over]

    @property
    def all_held(self) -> tuple[int, ...]:
        return tuple(sorted(address for address, s in self._suspects.items() if s.held))
