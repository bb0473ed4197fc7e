"""What becomes of a rollout next: ring by ring, the canary first, and it stops by itself. Pure (B4.4).

Ring 0 is the canary. A ring opens when the one before has had the image on enough of its terminals, for long
enough, and nothing failed beyond the limit. Terminals that stay silent count as not yet reached: they hold a
ring up only as far as the threshold says, and get the image when they come back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NO_RING: Final = -1


class State(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"  # by a person, who can let it go on
    FAILED = "failed"  # it stopped by itself: too much failed; a person can let it go on
    STOPPED = "stopped"  # by a person, for good
    DONE = "done"


STEPS: Final[dict[State, frozenset[State]]] = {
    State.RUNNING: frozenset({State.PAUSED, State.FAILED, State.STOPPED, State.DONE}),
    State.PAUSED: frozenset({State.RUNNING, State.STOPPED}),
    State.FAILED: frozenset({State.RUNNING, State.STOPPED}),
    State.STOPPED: frozenset(),
    State.DONE: frozenset(),
}


class Outcome(StrEnum):
    """What one terminal made of the image."""

    WAITING = "waiting"  # not begun, or nothing heard
    RECEIVING = "receiving"
    STORED = "stored"
    ACTIVE = "active"
    REFUSED = "refused"
    FAILED = "failed"


GOOD: Final = frozenset({Outcome.STORED, Outcome.ACTIVE})
BAD: Final = frozenset({Outcome.REFUSED, Outcome.FAILED})


@dataclass(frozen=True, slots=True)
class Policy:
    """By what a rollout goes on or stops.

    Args:
        threshold_percent: of a ring's terminals that must have the image, 1 to 100.
        hold_s: how long they must have had it before the next ring opens.
        failures_max_percent: of the terminals of the rings opened so far; more, and it stops.
        load_percent: of a bus that it may take, 0 = as the gateway is set.
        force: also during meals.
    """

    threshold_percent: int = 95
    hold_s: int = 3_600
    failures_max_percent: int = 2
    load_percent: int = 0
    force: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError where a figure is out of its range."""
        percentages = (self.failures_max_percent, self.load_percent)
        if not 1 <= self.threshold_percent <= 100 or not all(0 <= each <= 100 for each in percentages):
            raise ValueError("percentages are 0 to 100, the threshold at least 1")
        if self.hold_s < 0:
            raise ValueError("a ring is held for at least 0 s")


@dataclass(frozen=True, slots=True)
class Member:
    """One terminal of a rollout."""

    ring: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout stands.

    Args:
        state: see State.
        ring: the newest that is open; NO_RING before the first.
        good_since_unix_ms: since when enough of that ring has the image; None = not enough.
    """

    state: State
    ring: int = NO_RING
    good_since_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows.

    Args:
        standing: where it stands from now on.
        sending: whether anything may be sent now.
        reason: why it stopped, in English; empty if it did not.
    """

    standing: Standing
    sending: bool
    reason: str = ""


def decide(
    standing: Standing, members: Collection[Member], policy: Policy, now_unix_ms: int, *, at_meal: bool
) -> Decision:
    """Return what becomes of a rollout; asked again without anything new, the answer is the same."""
    if standing.state is not State.RUNNING:
        return Decision(standing, sending=False)
    rings = sorted({member.ring for member in members})
    opened = [member for member in members if member.ring <= standing.ring]
    bad = sum(1 for member in opened if member.outcome in BAD)
    if bad * 100 > policy.failures_max_percent * len(opened):
        failed = Standing(State.FAILED, standing.ring)
        return Decision(failed, sending=False, reason=f"{bad} of {len(opened)} terminals failed or refused")
    if _ended(standing, rings, members):
        return Decision(Standing(State.DONE, rings[-1] if rings else NO_RING), sending=False)
    may_send = policy.force or not at_meal
    newest = [member for member in members if member.ring == standing.ring]
    if not _enough(newest, policy):
        return Decision(_after(standing, rings, newest), sending=may_send)
    since_unix_ms = now_unix_ms if standing.good_since_unix_ms is None else standing.good_since_unix_ms
    following = [ring for ring in rings if ring > standing.ring]
    held = now_unix_ms - since_unix_ms >= policy.hold_s * 1000
    if following and held and may_send:
        return Decision(Standing(State.RUNNING, following[0]), sending=True)
    return Decision(Standing(State.RUNNING, standing.ring, since_unix_ms), sending=may_send)


def _ended(standing: Standing, rings: Sequence[int], members: Collection[Member]) -> bool:
    """Whether nobody is left: all rings are open, and every terminal has the image or refused it for good."""
    if all(member.outcome in GOOD for member in members):
        return True
    return standing.ring == rings[-1] and all(member.outcome in GOOD | BAD for member in members)


def _enough(newest: Sequence[Member], policy: Policy) -> bool:
    good = sum(1 for member in newest if member.outcome in GOOD)
    return bool(newest) and good * 100 >= policy.threshold_percent * len(newest)


def _after(standing: Standing, rings: Sequence[int], newest: Sequence[Member]) -> Standing:
    """Return a standing that is not good yet; at the very beginning the first ring opens."""
    if newest or not rings:
        return Standing(State.RUNNING, standing.ring)
    following = [ring for ring in rings if ring > standing.ring]
    return Standing(State.RUNNING, following[0] if following else standing.ring)
