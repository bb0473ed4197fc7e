"""The yardstick: pgbench's TPC-B-like script on a private PostgreSQL server on disk.

Durability is as it comes: fsync and synchronous_commit on. The product under test uses the same server over
the same kind of connection, so no setting favours one side.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Self

import psutil

from bench.harness import BenchBroken
from federation.clock import SystemClock
from hil_rig.postgres_server import PostgresServer, find_programs

SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",  # pgbench at scale 50 (750 MB) fits, a million accounts with their journal too
    "max_wal_size": "4GB",  # a checkpoint comes by time, not in the middle of every round
    "checkpoint_timeout": "15min",
}
SCALE: Final = 50
SCALE_QUICK: Final = 10
_TPCB: Final = ("-n", "-M", "prepared", "-c", "16", "-j", "2", "-s", "50")
_LEAVE_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.05
CLOCK: Final = SystemClock()
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def work_directory() -> Path:
    """Return a new directory on a disk, below CAMPUS_BENCH_DIRECTORY or else /var/tmp.

    Raises:
        BenchBroken: it lies in memory, where a durable commit costs nothing.
    """
    parent = Path(os.environ.get("CAMPUS_BENCH_DIRECTORY", "/var/tmp"))  # unlike /tmp, never in memory
    kind = filesystem_of(parent)
    if kind in _IN_MEMORY:
        raise BenchBroken(f"{parent} is on {kind}: set CAMPUS_BENCH_DIRECTORY to a directory on a disk")
    directory = Path(tempfile.mkdtemp(prefix="campus-bench-", dir=parent))
    directory.chmod(0o755)  # the server runs as another account
    return directory


def filesystem_of(path: Path) -> str:
    """Return the type of the file system that holds path, for example ext4."""
    resolved = path.resolve()
    holding = [part for part in psutil.disk_partitions(all=True) if resolved.is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype if holding else "unknown"


class Reference:
    """A private server with pgbench's tables; as a context it runs inside the block.

    Args:
        directory: an empty directory on a disk.
        quick: fill smaller tables.
    """

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.scale = SCALE_QUICK if quick else SCALE
        self._directory = directory
        self._programs = find_programs() or Path()
        self._server = PostgresServer(directory / "postgresql", SETTINGS)

    def __enter__(self) -> Self:
        self._server.__enter__()
        try:
            self._run("pgbench", "-q", "-i", "-s", str(self.scale), self.create_database("tpcb"))
        except BaseException:
            self._server.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def create_database(self, name: str) -> str:
        """Create an empty database and return its address."""
        self._sql("postgres", f"CREATE DATABASE {name}")
        return self._server.dsn(name)

    def settle(self, database: str) -> None:
        """Vacuum a database that was just filled, as pgbench does with its own, and let the disk catch up."""
        self._sql(database, "VACUUM ANALYZE", "CHECKPOINT")

    def tpcb_per_s(self, seconds: float) -> float:
        """Run the TPC-B-like script and return transactions a second."""
        said = self._run("pgbench", *_TPCB, "-T", str(max(1, round(seconds))), self._server.dsn("tpcb"))
        found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
        if found is None:
            raise BenchBroken(f"pgbench gave no figure:\n{said[-2000:]}")
        self._wait_until_left("tpcb")
        return float(found[1])

    def cpu_s(self) -> float:
        """Return the CPU time that all processes of the server have used so far, also those that ended."""
        postmaster = psutil.Process(self._server.pid)
        own = postmaster.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in postmaster.children(recursive=True):
            try:
                total += cpu_s(child)
            except psutil.NoSuchProcess:
                continue  # it ended just now; the postmaster counts it from the next call on
        return float(total)

    def describe(self) -> dict[str, object]:
        """Tell version, settings and sizes."""
        return {
            "postgresql": self._run("postgres", "--version").split()[2],
            "postgresql_settings": dict(SETTINGS),
            "filesystem": filesystem_of(self._directory),
            "tpcb_scale": self.scale,
        }

    def table_bytes(self, database: str, table: str) -> int:
        """Return what a table takes on disk with its indexes."""
        return int(self._run("psql", "-AtX", "-c", f"SELECT pg_total_relation_size('{table}')",
                             self._server.dsn(database)))  # fmt: skip

    def _wait_until_left(self, database: str) -> None:
        """Wait until nobody is connected: a server process that ends later would count as the next run's."""
        connected = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
        give_up_s = CLOCK.monotonic_s() + _LEAVE_TIMEOUT_S
        while int(self._run("psql", "-AtX", "-c", connected, self._server.dsn())) > 0:
            if CLOCK.monotonic_s() > give_up_s:
                raise BenchBroken(f"somebody stays connected to {database}")
            CLOCK.sleep(_POLL_S)

    def _sql(self, database: str, *statements: str) -> None:
        commands = [part for statement in statements for part in ("-c", statement)]
        self._run("psql", "-qX", "-v", "ON_ERROR_STOP=1", *commands, self._server.dsn(database))

    def _run(self, program: str, *args: str) -> str:
        done = subprocess.run(
            [self._programs / program, *args], capture_output=True, text=True, check=False, cwd="/"
        )
        if done.returncode != 0:
            raise BenchBroken(f"{program} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
