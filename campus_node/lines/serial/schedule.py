"""Whose turn it is: what waits goes first, who speaks often is asked often, nobody starves. Pure.

Between polls of equal length the mean wait is least when a terminal is asked in proportion to the square
root of how often it has something. That root is its weight here, 1 to WEIGHT_MAX, so that a quiet terminal
is asked at least once while a busy one is asked WEIGHT_MAX times."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from campus_node.lines.serial.contact import Incoming, Outgoing

WEIGHT_MAX: Final = 4.0
REMEMBERED_S: Final = 20.0  # so far back it counts how often a terminal had something, falling off by e
IDLE_S: Final = 0.05
PUSHES_MAX: Final = 4  # visits in a row to those who wait, before something else has the wire
NEVER_S: Final = float("inf")


class Standing(Enum):
    """How the head stands with an address."""

    EXPECTED = "not asked yet, or to be asked anew"
    HERE = "in contact"
    SILENT = "does not answer"
    CONFLICT = "two are there"


@dataclass(slots=True)
class Contact:
    """What the head knows of one address."""

    address: int
    standing: Standing = Standing.EXPECTED
    outgoing: Outgoing = field(default_factory=Outgoing)
    incoming: Incoming = field(default_factory=Incoming)
    serial: bytes = b""
    more: bool = False  # it said that more waits there
    last_sent: bool = False  # the last visit brought it something
    visited_s: float = 0.0
    retry_s: float = 0.0
    failures: int = 0  # in a row
    silences: int = 0  # among them
    failing_since_s: float = 0.0
    broken: int = 0  # answers in a row that nobody understood
    missed: bool = False  # its silence was told
    other_rate: int = 0  # where it answered, if not at the line's rate
    _messages: float = 0.0
    _counted_s: float = 0.0

    def count(self, now_s: float) -> None:
        """Note that it had something."""
        self._messages = self._decayed(now_s) + 1
        self._counted_s = now_s

    def weight(self, now_s: float) -> float:
        """Return how often it is to be asked, against one that has nothing."""
        return min(WEIGHT_MAX, math.sqrt(1 + self._decayed(now_s)))

    def sends(self) -> bool:
        """Tell whether the next visit brings something, or asks."""
        return self.outgoing.waits and not (self.more and self.last_sent)

    def begin(self, serial: bytes) -> None:
        """A new contact: sequences begin at 0."""
        self.standing, self.serial = Standing.HERE, serial
        self.outgoing.restart()
        self.incoming.restart()
        self.more, self.last_sent, self.missed, self.other_rate = True, False, False, 0
        self.well()

    def well(self) -> None:
        """It answered, and was understood."""
        self.failures = self.silences = self.broken = 0
        self.retry_s = 0.0

    def _decayed(self, now_s: float) -> float:
        if not self._messages:
            return 0.0
        return self._messages * math.exp((self._counted_s - now_s) / REMEMBERED_S)


class Schedule:
    """Chooses among those in contact.

    Args:
        idle_s: a terminal that has nothing is asked no sooner again.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self.contacts: dict[int, Contact] = {}
        self._idle_s = idle_s
        self._pushes = 0

    def of(self, address: int) -> Contact:
        """Return the contact of an address, a new one if there is none."""
        contact = self.contacts.get(address)
        if contact is None:
            contact = self.contacts[address] = Contact(address)
        return contact

    def here(self) -> list[Contact]:
        """Return those in contact."""
        return [contact for contact in self.contacts.values() if contact.standing is Standing.HERE]

    def urgent(self, now_s: float) -> Contact | None:
        """Return whom something urgent waits for."""
        hurried = [c for c in self._ready(now_s) if c.outgoing.hurries]
        return min(hurried, key=lambda c: c.visited_s, default=None)

    def push(self, now_s: float) -> Contact | None:
        """Return who waits for something, or has more; None so that others have their turn, too."""
        if self._pushes >= PUSHES_MAX:
            self._pushes = 0
            return None
        pushing = [c for c in self._ready(now_s) if c.outgoing.waits or c.more]
        if not pushing:
            return None
        self._pushes += 1
        return min(pushing, key=lambda c: c.visited_s)

    def poll(self, now_s: float) -> Contact | None:
        """Return who is to be asked now, None if everybody was asked just now."""
        ready = [
            c for c in self._ready(now_s) if c.outgoing.waits or c.more or now_s >= c.visited_s + self._idle_s
        ]
        return max(ready, key=lambda c: (now_s - c.visited_s) * c.weight(now_s), default=None)

    def due_s(self, now_s: float) -> float:
        """Return when somebody is to be asked."""
        due_s = NEVER_S
        for contact in self.here():
            at_s = now_s if contact.outgoing.waits or contact.more else contact.visited_s + self._idle_s
            due_s = min(due_s, max(at_s, contact.retry_s))
        return due_s

    def _ready(self, now_s: float) -> list[Contact]:
        return [c for c in self.here() if c.retry_s <= now_s]
