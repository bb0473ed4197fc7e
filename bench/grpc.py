"""Benchmark `grpc`: posting through a real node over mutual TLS, durable; all on the same machine."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final, Self

from bench.grpc_client import STREAM_BATCHES, UNARY_CALLERS
from bench.harness import Report, Row, Sample
from bench.load import GROUP_ITEMS, MERCHANTS
from bench.node_process import EchoProcess, NodeProcess, run_client
from bench.reference import Reference
from bench.soundness import require_sound
from campus_node.database.connect import connect

ROWS: Final = (
    Row("grpc.stream", "mTLS stream, 256 a message, durable ÷ TPC-B", "purchases/s", "higher", 6, 10),
    Row("grpc.unary", "unary durable ÷ unary echo of the same stack", "calls/s", "higher", 0.5, 0.75),
)


class GrpcBench:
    """A node with default settings on PostgreSQL, and the product's client in another process.

    Args:
        directory: an empty directory on a disk.
        quick: a smaller campus and shorter runs.
        report: is told of each step.
    """

    rows: Sequence[Row] = ROWS

    def __init__(self, directory: Path, *, quick: bool, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._run_s = 2.0 if quick else 10.0
        self._cards = 5_000 if quick else 100_000
        self._reference = Reference(directory, quick=quick)
        self._stack = ExitStack()
        self._acknowledged = 0
        self._latencies_ms: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        with self._stack:
            self._prepare()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        self._report.step(f"pgbench: scale {self._reference.scale}")
        self._stack.enter_context(self._reference)
        database = self._reference.create_database("campus")
        self._node = self._stack.enter_context(NodeProcess(self._directory / "campus", database))
        self._database = connect(self._node.database_url)
        self._stack.callback(self._database.dispose)
        self._report.step(f"node: {self._cards:,} cards opened and funded over the wire")
        self._acknowledged += int(run_client(self._node.target, "fill", cards=self._cards)["items"])
        self._reference.settle("campus")

    def run_round(self) -> Mapping[str, Sample]:
        """Run each row between its references."""
        self._report.step("pgbench TPC-B")
        tpcb = self._reference.tpcb_per_s(self._run_s)
        self._report.step("stream, 256 a message")
        stream = self._run("stream")
        with EchoProcess(self._node.campus.path, self._node.target.name) as echo:
            self._report.step("unary echo")
            echoed = run_client(echo.target, "unary", cards=self._cards, seconds=self._run_s)
        self._report.step("unary, durable")
        unary = self._run("unary")
        return {
            "grpc.stream": Sample(stream, tpcb),
            "grpc.unary": Sample(unary, echoed["items"] / echoed["seconds"]),
        }

    def _run(self, task: str) -> float:
        done = run_client(self._node.target, task, cards=self._cards, seconds=self._run_s)
        self._acknowledged += int(done["items"])
        for percentile in ("p50_ms", "p99_ms"):
            self._latencies_ms.setdefault(f"{task}_{percentile}", []).append(done[percentile])
        return done["items"] / done["seconds"]

    def check(self) -> None:
        """Every acknowledged purchase is one row, balances follow from rows, the chain holds."""
        self._report.step("ledger check, chain, row count")
        require_sound("the node's ledger", self._database, self._acknowledged)

    def describe(self) -> Mapping[str, object]:
        """Tell versions, settings and sizes."""
        return {
            **self._reference.describe(),
            "cards": self._cards,
            "merchants": MERCHANTS,
            "items_a_message": GROUP_ITEMS,
            "messages_in_flight": STREAM_BATCHES,
            "unary_callers": UNARY_CALLERS,
            "seconds_a_run": self._run_s,
            **{name: round(median(each), 1) for name, each in self._latencies_ms.items()},
        }
