"""Benchmark `ledger`: the posting engine on PostgreSQL and SQLite against pgbench's TPC-B-like script."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import psutil
from sqlalchemy import Engine as Database

from bench.harness import BenchBroken, Report, Row, Sample
from bench.load import GROUP_ITEMS, MERCHANTS, Books, Population, Posted, as_recollected
from bench.node_process import node_memory_mb
from bench.reference import Reference, cpu_s
from bench.soundness import require_sound
from campus_node.database.connect import connect
from campus_node.database.migrate import upgrade
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore

ROWS: Final = (
    Row("ledger.postgresql", "engine on PostgreSQL, 256 a commit ÷ TPC-B", "purchases/s", "higher", 6, 10),
    Row("ledger.sqlite", "engine on SQLite, 256 a commit ÷ TPC-B", "purchases/s", "higher", 8, 12),
    Row("ledger.hot_merchant", "one hot merchant ÷ uniform", "purchases/s", "higher", 0.9, 1.0),
    Row("ledger.duplicates", "re-collected duplicates ÷ fresh", "records/s", "higher", 0.5, 1.0),
    Row("ledger.cpu_postgresql", "CPU of PostgreSQL a purchase", "µs", "lower", 50, 30),
    Row("ledger.cpu_python", "CPU of Python a purchase", "µs", "lower", 25, 15),
    Row("ledger.node_memory", "memory of a node with 100,000 accounts", "MB", "lower", 300, 200),
)
NODE_ACCOUNTS: Final = 100_000


class LedgerBench:
    """The engine with 256 items a commit; callers always have more waiting.

    Args:
        directory: an empty directory on a disk.
        quick: a smaller campus and shorter runs.
        report: is told of each step.
    """

    rows: Sequence[Row] = ROWS

    def __init__(self, directory: Path, *, quick: bool, report: Report) -> None:
        self._directory = directory
        self._quick = quick
        self._report = report
        self._run_s = 2.0 if quick else 10.0
        self._cards = 20_000 if quick else 1_000_000
        self._cards_sqlite = 20_000 if quick else 100_000
        self._stack = ExitStack()
        self._reference = Reference(directory, quick=quick)
        self._nodes = 0
        self._seen: dict[str, float] = {}

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

        self._report.step(f"PostgreSQL: {self._cards:,} cards opened and funded through the engine")
        dsn = self._reference.create_database("campus")
        upgrade(dsn)
        self._postgres = Books(lambda: PostgresStore(dsn), Population(self._cards))
        self._stack.callback(self._postgres.close)
        self._postgres.fill()
        self._reference.settle("campus")

        self._report.step(f"SQLite: {self._cards_sqlite:,} cards opened and funded through the engine")
        path = self._sqlite_file = self._directory / "ledger.sqlite"
        upgrade(f"sqlite:///{path}")
        self._sqlite = Books(lambda: SqliteStore(path), Population(self._cards_sqlite))
        self._stack.callback(self._sqlite.close)
        self._sqlite.fill()
        self._ledgers: list[tuple[str, Books, Database]] = []
        for name, books, url in (
            ("PostgreSQL", self._postgres, dsn),
            ("SQLite", self._sqlite, f"sqlite:///{path}"),
        ):
            database = connect(url)
            self._stack.callback(database.dispose)
            self._ledgers.append((name, books, database))

    def run_round(self) -> Mapping[str, Sample]:
        """Run the reference, then every row beside it."""
        self._report.step("pgbench TPC-B")
        tpcb = self._reference.tpcb_per_s(self._run_s)

        self._report.step("PostgreSQL, uniform")
        ours_before_s, server_before_s = _engine_cpu_s(), self._reference.cpu_s()
        uniform = self._postgres.post_purchases(self._run_s)
        ours_s, server_s = _engine_cpu_s() - ours_before_s, self._reference.cpu_s() - server_before_s

        self._report.step("PostgreSQL, one hot merchant")
        hot = self._postgres.post_purchases(self._run_s, hot=True)
        self._report.step("PostgreSQL, all of it again after a restart")
        again = self._repeat(uniform)

        self._report.step("SQLite, uniform")
        sqlite = self._sqlite.post_purchases(self._run_s)

        self._seen["items_a_commit_postgresql"] = round(uniform.items / uniform.commits, 1)
        self._seen["items_a_commit_sqlite"] = round(sqlite.items / sqlite.commits, 1)
        samples = {
            "ledger.postgresql": Sample(uniform.per_s, tpcb),
            "ledger.sqlite": Sample(sqlite.per_s, tpcb),
            "ledger.hot_merchant": Sample(hot.per_s, uniform.per_s),
            "ledger.duplicates": Sample(again.per_s, uniform.per_s),
            "ledger.cpu_postgresql": Sample(server_s / uniform.items * 1e6),
            "ledger.cpu_python": Sample(ours_s / uniform.items * 1e6),
        }
        if not (self._quick and self._nodes):
            self._nodes += 1
            self._report.step(f"a node with {NODE_ACCOUNTS:,} accounts")
            directory = self._directory / f"node-{self._nodes}"
            empty_mb, full_mb = node_memory_mb(directory, NODE_ACCOUNTS)
            self._seen["node_memory_empty_mb"] = round(empty_mb, 1)
            samples["ledger.node_memory"] = Sample(full_mb)
        return samples

    def _repeat(self, posted: Posted) -> Posted:
        """Send all again to an engine that remembers nothing: the journal must give the first answers."""
        self._postgres.restart()
        again = self._postgres.post([as_recollected(group) for group in posted.groups], new=False)
        if [list(answers) for answers in again.answers] != [list(answers) for answers in posted.answers]:
            raise BenchBroken("a repeat was answered otherwise than the first time")
        return again

    def check(self) -> None:
        """Every purchase is one row, balances follow from rows, the chain holds."""
        for name, books, database in self._ledgers:
            self._report.step(f"{name}: ledger check, chain, row count")
            require_sound(name, database, books.rows)

    def describe(self) -> Mapping[str, object]:
        """Tell versions, settings and sizes."""
        rows = self._postgres.rows
        return {
            **self._reference.describe(),
            "cards_postgresql": self._cards,
            "cards_sqlite": self._cards_sqlite,
            "merchants": MERCHANTS,
            "items_a_group": GROUP_ITEMS,
            "bytes_a_row_postgresql": round(self._reference.table_bytes("campus", "transfers") / rows),
            "bytes_a_row_sqlite": round(self._sqlite_file.stat().st_size / self._sqlite.rows),
            **self._seen,
            "seconds_a_run": self._run_s,
        }


def _engine_cpu_s() -> float:
    """Return the CPU time of the engine's threads: of this process without this one, which plays callers."""
    return cpu_s(psutil.Process()) - time.thread_time()
