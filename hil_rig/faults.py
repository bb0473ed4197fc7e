"""The one vocabulary of faults: what is broken on purpose is data, made from a seed, and must have happened.

A fault says where (place), when (the nth time something countable happens there) and what. A `FaultPlan` is
a seed and a tuple of faults: plain values, so that a failing plan can be printed, repeated and shrunk. A
`FaultRecord` counts while a scenario runs, hands out what falls due, and afterwards tells planned from fired.
A planned fault that never fired proves nothing, so it fails the run.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class What(StrEnum):
    """What is done to a place."""

    KILL = "kill -9"
    TERMINATE = "terminate"
    DROP_CONNECTION = "drop connection"
    CRASH_BEFORE_WRITE = "crash before write"
    DISK_FULL = "disk full"
    READ_ONLY = "read-only"
    DATABASE_GONE = "database gone"
    CLOCK_STEP = "clock step"
    BIT_ERROR = "bit error"
    FRAME_LOST = "frame lost"
    FRAME_TWICE = "frame twice"
    FRAME_LATE = "frame late"
    CARD_LEFT_BEFORE = "card left before the command"
    CARD_LEFT_AFTER = "card left before the answer"
    CARD_LEFT_WITHIN = "card left within the answer"


class Counted(StrEnum):
    """What is counted at a place to tell when."""

    WRITE = "write"
    COMMIT = "commit"
    SENT = "sent"
    ACKNOWLEDGEMENT = "acknowledgement"
    COMMAND = "command"
    FRAME = "frame"


class Fault(NamedTuple):
    """One thing that is broken on purpose.

    `size` belongs to the act: milliseconds of an outage or of a clock step (negative = back), pages left on a
    full disk, bytes of an answer that got out, the bit of a frame that is hit, milliseconds by which one is
    late; 0 where the act has no size.
    """

    place: str
    what: What
    counted: Counted
    nth: int  # 1 = the first time it happens
    size: int = 0
    must_fire: bool = True

    @property
    def name(self) -> str:
        """What a report calls it: several faults of one name are counted together."""
        return f"{self.what} {self.place}"


class FaultNotFired(AssertionError):
    """A fault that must fire did not: whatever the run showed, it did not show what it was for."""


class ReportedFault(NamedTuple):
    """A line of the report: how often a fault of this name was planned and how often it fired."""

    name: str
    planned: int
    fired: int


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults of one run and the seed that they were made from."""

    seed: int
    faults: tuple[Fault, ...]

    @classmethod
    def spread(
        cls, seed: int, places: Sequence[str], what: What, counted: Counted, *, total: int, count: int
    ) -> "FaultPlan":
        """Return `count` faults dealt over the places in turn, each at its own seeded point of the run.

        Args:
            total: how often what is counted will happen at each place, at least.
            count: how many faults; they fall between 15 % and 75 % of total, in equal slices.
        """
        rng = random.Random(f"faults {seed}")  # noqa: S311 - repeatable, not secret
        first = rng.randrange(len(places))
        rounds = -(-count // len(places))
        faults = []
        for number in range(count):
            low = 0.15 + 0.6 * (number // len(places)) / rounds
            nth = round(total * rng.uniform(low, low + 0.6 / rounds))
            faults.append(Fault(places[(first + number) % len(places)], what, counted, max(1, nth)))
        return cls(seed, tuple(faults))

    def without(self, index: int) -> "FaultPlan":
        """Return the plan less one fault: what a search for the smallest failing plan tries next."""
        return FaultPlan(self.seed, self.faults[:index] + self.faults[index + 1 :])

    def __str__(self) -> str:
        acts = "; ".join(f"{fault.name} at {fault.counted} {fault.nth}" for fault in self.faults)
        return f"seed {self.seed}: {acts or 'no faults'}"


class FaultRecord:
    """What was planned and what fired, in one run. Any thread may count."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Counted]] = Counter()
        self._waiting = list(plan.faults)
        self._fired: list[Fault] = []

    def count(self, place: str, counted: Counted, times: int = 1) -> Sequence[Fault]:
        """Count what happened at a place and return the faults that are due now, each handed out once."""
        with self._lock:
            self._counts[place, counted] += times
            reached = self._counts[place, counted]
            due = [f for f in self._waiting if (f.place, f.counted) == (place, counted) and f.nth <= reached]
            for fault in due:
                self._waiting.remove(fault)
            return due

    def fired(self, fault: Fault) -> None:
        """Note that a fault did what it was for. Call it on evidence, not on intent."""
        with self._lock:
            self._fired.append(fault)

    def due(self) -> list[Fault]:
        """Return what has fallen due so far."""
        with self._lock:
            return _less(self.plan.faults, self._waiting)

    def withdraw(self, skipped: Iterable[Fault] = ()) -> None:
        """Take back what has not fallen due: somebody stopped the run before its end.

        Args:
            skipped: what has fallen due afterwards, and was left out on purpose.
        """
        with self._lock:
            due = _less(self.plan.faults, [*self._waiting, *skipped])
            self.plan = FaultPlan(self.plan.seed, tuple(due))
            self._waiting.clear()

    def report(self) -> list[ReportedFault]:
        """Return planned and fired by name, in the plan's order."""
        with self._lock:
            planned = Counter(fault.name for fault in self.plan.faults)
            fired = Counter(fault.name for fault in self._fired)
        return [ReportedFault(name, times, fired[name]) for name, times in planned.items()]

    def missing(self) -> list[Fault]:
        """Return the faults that must fire and have not."""
        with self._lock:
            return _less((f for f in self.plan.faults if f.must_fire), self._fired)

    def demand_fired(self) -> None:
        """Raise FaultNotFired, with the seed, when a fault that must fire has not."""
        missing = self.missing()
        if missing:
            raise FaultNotFired(f"never fired: {FaultPlan(self.plan.seed, tuple(missing))}")


def _less(planned: Iterable[Fault], fired: Sequence[Fault]) -> list[Fault]:
    left = Counter(fired)
    missing = []
    for fault in planned:
        if left[fault]:
            left[fault] -= 1
        else:
            missing.append(fault)
    return missing
