"""Looks for terminals: that should be there, that fell silent, anybody; at any rate (B4.2, A12).

What is looked for in vain costs a small share of a busy line, more of a quiet one, and all of one on which
nobody answers.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from campus_node.lines.events import Event, What
from campus_node.lines.serial.schedule import Contact, Schedule, Standing
from campus_node.lines.serial.search import Pattern, Rota, Singling
from campus_node.lines.serial.watch import WireWatch

SHARE: Final = 0.05  # of a busy line
SHARE_QUIET: Final = 0.25  # of one that carries next to no messages: all addresses within half a minute
BUSY: Final = 0.3  # share of the time that messages take on a busy line
REMEMBERED_S: Final = 5.0  # so far back messages count, falling off by e
SLOW_S: Final = 2.0  # a silent terminal is looked for so often at most
ATTEMPTS: Final = 3
RETRY_S: Final = 0.02
BROKEN_MAX: Final = 2  # answers in a row that nobody understood, before two are suspected
SINGLE_AGAIN_S: Final = 5.0
NEVER_S: Final = float("inf")
_AWAY: Final = (Standing.EXPECTED, Standing.SILENT)


class Probe(NamedTuple):
    """One DISCOVER: to an address, at a rate (0: the line's), for those of a pattern or for all there."""

    address: int
    baud: int = 0
    pattern: Pattern | None = None


class Found(NamedTuple):
    """A terminal that a scan found."""

    address: int
    baud: int
    serial: bytes


class Prober:
    """What is to be looked for on one line.

    Args:
        schedule, watch: of the same line.
        addresses: who should be there.
        discover: where somebody may turn up.
        rates: at which a silent terminal is looked for, too.
    """

    def __init__(
        self,
        schedule: Schedule,
        watch: WireWatch,
        addresses: Iterable[int],
        discover: Iterable[int],
        rates: Sequence[int],
    ) -> None:
        self._schedule = schedule
        self._watch = watch
        self._discover = frozenset(discover)
        self._others = Rota(sorted(self._discover))
        self.expect(addresses)
        self._rates = rates
        self._elsewhere: deque[Probe] = deque()
        self._singling: tuple[int, Singling] | None = None
        self._singled_s: dict[int, float] = {}
        self._conflicts: dict[int, frozenset[bytes]] = {}
        self._scan: deque[Probe] = deque()
        self.found: list[Found] = []
        self._next_s = 0.0
        self._turn = 0
        self._message_s = 0.0  # that messages took of late
        self._counted_s = 0.0

    def expect(self, addresses: Iterable[int]) -> None:
        """Learn who should be there from now on: they are asked first, and missed if they are not there.

        Who was expected before, never came and should be there no more is looked for among all others.
        """
        wanted = set(addresses)
        contacts = self._schedule.contacts
        for address in wanted:
            self._others.remove(address)
            self._schedule.of(address)
        never_came = [a for a, c in contacts.items() if not c.serial and c.standing in _AWAY]
        for address in set(never_came) - wanted:
            del contacts[address]
            if address in self._discover:
                self._others.add(address)

    def carried(self, began_s: float, until_s: float) -> None:
        """Learn how long the line carried a message."""
        self._message_s = self._message_time(until_s) + until_s - began_s
        self._counted_s = until_s

    @property
    def scanning(self) -> int:
        """How many questions of a scan are left."""
        return len(self._scan)

    def scan(self, addresses: Iterable[int], rates: Sequence[int]) -> None:
        """Begin a scan: every address at every rate."""
        self.found = []
        self._scan = deque(Probe(address, baud) for baud in rates for address in addresses)

    def next(self, now_s: float) -> Probe | None:
        """Return what to ask now, None if nothing is due."""
        if self._singling is not None:
            address, singling = self._singling
            if singling.question is not None:
                return Probe(address, pattern=singling.question)
        expected = [c for c in self._ready(now_s) if c.standing is Standing.EXPECTED]
        if expected:
            return Probe(min(expected, key=lambda c: c.visited_s).address)
        if now_s < self._next_s:
            return None
        if self._scan:
            return self._scan[0]
        self._turn += 1
        slow = None if self._turn % 2 and len(self._others) else self._silent(now_s)
        other = self._others.next() if slow is None else None
        return slow if other is None else Probe(other)

    def due_s(self, now_s: float) -> float:
        """Return when something may be due."""
        if self._singling is not None:
            return now_s
        slow = [c for c in self._schedule.contacts.values() if c.standing is not Standing.HERE]
        due_s = min((c.retry_s for c in slow if c.standing is Standing.EXPECTED), default=NEVER_S)
        if self._scan or self._elsewhere or len(self._others):
            return min(due_s, self._next_s)
        return min(due_s, max(self._next_s, min((c.retry_s for c in slow), default=NEVER_S)))

    def took(self, began_s: float, until_s: float) -> None:
        """Learn how long a question took; others have the line so much longer, if there are any."""
        share = self._share(until_s) if self._schedule.here() and not self._scan else 1.0
        self._next_s = began_s + (until_s - began_s) / share

    def _share(self, now_s: float) -> float:
        idle = max(0.0, 1 - self._message_time(now_s) / REMEMBERED_S / BUSY)
        return SHARE + (SHARE_QUIET - SHARE) * idle

    def _message_time(self, now_s: float) -> float:
        return self._message_s * math.exp(min(0.0, self._counted_s - now_s) / REMEMBERED_S)

    def suspect_two(self, address: int, now_s: float) -> None:
        """Learn that nobody understood what came from an address, again and again."""
        last_s = self._singled_s.get(address, float("-inf"))
        if self._singling is None and now_s - last_s >= SINGLE_AGAIN_S:
            self._singled_s[address] = now_s
            self._singling = address, Singling()

    def came(self, probe: Probe, serial: bytes | None, broken: bool, now_s: float) -> list[Event]:
        """Take what came of a question."""
        if self._scan and probe is self._scan[0]:
            self._scan.popleft()
            if serial is not None:
                self.found.append(Found(probe.address, probe.baud, serial))
            return []
        if probe.pattern is not None:
            return self._single(serial, broken, now_s)
        if probe.baud:
            return self._at_other_rate(probe, serial, now_s)
        contact = self._schedule.contacts.get(probe.address)
        if serial is not None:
            return self._begin(self._schedule.of(probe.address), serial, now_s)
        if contact is None:
            if broken:
                self.suspect_two(probe.address, now_s)
            return []
        return self._in_vain(contact, broken, now_s)

    def _ready(self, now_s: float) -> list[Contact]:
        return [c for c in self._schedule.contacts.values() if c.retry_s <= now_s]

    def _silent(self, now_s: float) -> Probe | None:
        if self._elsewhere:
            return self._elsewhere.popleft()
        silent = [c for c in self._ready(now_s) if c.standing in (Standing.SILENT, Standing.CONFLICT)]
        if not silent:
            return None
        contact = min(silent, key=lambda c: c.retry_s)
        contact.retry_s = now_s + SLOW_S
        if contact.standing is Standing.CONFLICT:
            self._singling = contact.address, Singling()
            return Probe(contact.address, pattern=self._singling[1].question)
        if self._rates:
            self._turn += 1
            baud = contact.other_rate or self._rates[self._turn // 2 % len(self._rates)]
            self._elsewhere.append(Probe(contact.address, baud))
        return Probe(contact.address)

    def _begin(self, contact: Contact, serial: bytes, now_s: float) -> list[Event]:
        self._others.remove(contact.address)
        missed = contact.missed
        contact.begin(serial)
        events = self._watch.answered(contact.address, now_s)
        return [*events, Event(now_s, What.PEER_BACK, contact.address)] if missed else events

    def _in_vain(self, contact: Contact, broken: bool, now_s: float) -> list[Event]:
        contact.failures += 1
        contact.broken = contact.broken + 1 if broken else 0
        if contact.broken >= BROKEN_MAX:
            self.suspect_two(contact.address, now_s)
        if contact.standing is Standing.EXPECTED:
            contact.retry_s = now_s + RETRY_S
            if contact.failures == 1:
                contact.failing_since_s = now_s
            if contact.failures < ATTEMPTS:
                return []
            contact.standing = Standing.SILENT
            contact.outgoing.give_up()
        events = self._watch.failed(contact.address, broken, now_s)
        if contact.missed:
            return events
        told = self._watch.missing(contact.address, contact.failing_since_s, now_s)
        contact.missed = bool(told)
        return events + told

    def _at_other_rate(self, probe: Probe, serial: bytes | None, now_s: float) -> list[Event]:
        contact = self._schedule.of(probe.address)
        if serial is None:
            contact.other_rate = 0 if contact.other_rate == probe.baud else contact.other_rate
            return []
        told, contact.other_rate = contact.other_rate == probe.baud, probe.baud
        return [] if told else [Event(now_s, What.WRONG_RATE, probe.address, probe.baud)]

    def _single(self, serial: bytes | None, broken: bool, now_s: float) -> list[Event]:
        assert self._singling is not None, "a pattern is asked for while singling only"
        address, singling = self._singling
        singling.answered(serial, broken)
        if singling.question is not None:
            return []
        self._singling = None
        serials, before = frozenset(singling.serials), self._conflicts.get(address, frozenset())
        contact = self._schedule.contacts.get(address)
        if len(serials) > 1:
            contact = self._schedule.of(address)
            contact.standing, contact.retry_s = Standing.CONFLICT, now_s + SINGLE_AGAIN_S
            contact.outgoing.give_up()
            self._others.remove(address)
            self._conflicts[address] = serials
            return [
                Event(now_s, What.ADDRESS_CONFLICT, address, int.from_bytes(one[-6:]), hint=True)
                for one in sorted(serials - before)
            ]
        if contact is None or contact.standing is not Standing.CONFLICT:
            return []
        contact.standing, contact.failures, contact.retry_s = Standing.EXPECTED, 0, 0.0
        self._conflicts.pop(address, None)
        return [Event(now_s, What.RELEASED, address)]
