"""What Prometheus may ask: how the ledger does, and the process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from federation.transfer import Refusal, Verb

_ITEMS: Final = (1, 4, 16, 64, 256, 512, 1024, 2048)
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class NodeMetrics:
    """The figures of one node; an engine's observer in part. All methods are safe from any thread."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines, and nobody asks
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._batch_items = Histogram(
            "campus_ledger_batch_items", "Items decided in one batch", buckets=_ITEMS, registry=registry
        )
        self._commit_s = Histogram(
            "campus_ledger_commit_seconds", "Duration of one commit", buckets=_SECONDS, registry=registry
        )
        self._rows = Counter("campus_ledger_rows", "Rows written to the journal", registry=registry)
        refusals = Counter("campus_ledger_refusals", "Items refused, by name", ["refusal"], registry=registry)
        self._refusals = {int(each): refusals.labels(each.name) for each in Refusal if each}
        asked = Counter(
            "campus_posting_asked", "Items handed to the ledger, by verb", ["verb"], registry=registry
        )
        self._asked = {int(verb): asked.labels(verb.name) for verb in Verb}
        self._asked_unknown = asked.labels("UNKNOWN")
        self._overloads = Counter(
            "campus_posting_overloads", "Messages sent back because too much waits", registry=registry
        )
        self._alarms = Counter(
            "campus_alarms", "Alarms raised, by name and severity", ["name", "severity"], registry=registry
        )

        self._records = Counter(
            "campus_records", "Records that came in, by what became of them", ["outcome"], registry=registry
        )
        self._intake_s = Histogram(
            "campus_intake_seconds", "Duration of taking one message", buckets=_SECONDS, registry=registry
        )
        self._answers = Counter(
            "campus_authorizations", "Questions of terminals, by answer", ["answer"], registry=registry
        )

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Show a figure that is read whenever somebody asks.

        Args:
            name: of the gauge.
            what: one line for people.
            read: returns the figure; called on the metrics' thread.
        """
        Gauge(name, what, registry=self.registry).set_function(read)

    def asked(self, verbs: Sequence[int]) -> None:
        """Count items that were handed to the ledger."""
        for verb in set(verbs):
            self._asked.get(verb, self._asked_unknown).inc(verbs.count(verb))

    def overloaded(self) -> None:
        """Count a message that was sent back."""
        self._overloads.inc()

    def batch_committed(self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float) -> None:
        """Count one batch."""
        self._batch_items.observe(items)
        if rows:
            self._rows.inc(rows)
            self._commit_s.observe(commit_s)
        for refusal, count in refusals.items():
            self._refusals[refusal].inc(count)

    def records_taken(self, outcomes: Sequence[str], seconds: float) -> None:
        """Count the records of one message, and how long it took."""
        self._intake_s.observe(seconds)
        for outcome in set(outcomes):
            self._records.labels(outcome).inc(outcomes.count(outcome))

    def authorization_answered(self, answer: str) -> None:
        """Count an answer: `approved`, `unable`, or the refusal's name."""
        self._answers.labels(answer).inc()

    def alarm_raised(self, name: str, severity: str) -> None:
        """Count one alarm."""
        self._alarms.labels(name, severity).inc()
