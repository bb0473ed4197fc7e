"""Who is told what the ledger does: metrics and alarms."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from federation.transfer import Answer


class EngineObserver(Protocol):
    """Called on the writer's thread; must not block or raise."""

    def batch_committed(
        self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float, queued_items: int
    ) -> None: ...

    def alarm(self, name: str, severity: str, subject: str, evidence: Mapping[str, object]) -> None: ...


class Unobserved:
    """Nobody is told."""

    def batch_committed(
        self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float, queued_items: int
    ) -> None:
        pass

    def alarm(self, name: str, severity: str, subject: str, evidence: Mapping[str, object]) -> None:
        pass


def refusals_of(answers: Sequence[Answer]) -> dict[int, int]:
    """Count answers by refusal."""
    return dict(Counter(answer.refusal for answer in answers if answer.refusal))
