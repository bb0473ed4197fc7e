"""The yardstick: a private PostgreSQL server on disk, and pgbench's TPC-B-like script on it.

The server lives for one benchmark and is stopped by its process id. Durability is as it comes: fsync and
synchronous_commit on. The product under test uses the same server, so no setting favours one side.
"""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Self

import psutil
import psycopg2

from bench.harness import BenchBroken
from federation.clock import SystemClock

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
_PGBENCH: Final = ("-n", "-M", "prepared", "-c", "16", "-j", "2", "-s", "50")
_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.1
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_SERVER_ACCOUNT: Final = "postgres"  # initdb refuses root


def work_directory() -> Path:
    """Return a new directory on a disk, below CAMPUS_BENCH_DIRECTORY or else /var/tmp.

    Raises:
        BenchBroken: it lies in memory, where a durable commit costs nothing.
    """
    parent = Path(
        os.environ.get("CAMPUS_BENCH_DIRECTORY", "/var/tmp")
    )  # unlike /tmp, by custom never in memory
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


class PostgresServer:
    """A private PostgreSQL server; as a context it runs inside the block and leaves nothing behind.

    Args:
        directory: where its cluster, socket and log go; must be on a disk.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "postgresql"
        self._programs = _programs()
        self._account = _SERVER_ACCOUNT if os.geteuid() == 0 else None
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def dsn(self, database: str = "postgres") -> str:
        """Return the libpq connection string of a database, over the same socket as pgbench."""
        return f"host={self._directory} port={self._port} dbname={database} user=postgres"

    def url(self, database: str) -> str:
        """Return the same as a URI."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._process is not None, "the server is not started"
        return self._process.pid

    @property
    def version(self) -> str:
        """Version of the server, for example 15.18."""
        said = self._run("postgres", "--version")
        return said.split()[2]

    def start(self) -> None:
        """Make a cluster, start the server and wait until it answers.

        Raises:
            BenchBroken: it did not; the message says why.
        """
        self._directory.mkdir()
        if self._account is not None:
            account = pwd.getpwnam(self._account)
            os.chown(self._directory, account.pw_uid, account.pw_gid)
        cluster = self._directory / "cluster"
        self._run("initdb", "-D", str(cluster), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        settings = SETTINGS | {
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._directory),
        }
        with (cluster / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", cluster],
                stdout=log, stderr=log, cwd=self._directory,
                user=self._account, group=self._account, extra_groups=self._extra_groups,
            )  # fmt: skip
        self._wait_until_ready()

    def stop(self) -> None:
        """Shut the server down and remove what it wrote."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def create_database(self, name: str) -> str:
        """Create an empty database and return its connection string."""
        self._run("createdb", *self._where(), name)
        return self.dsn(name)

    def vacuum(self, database: str) -> None:
        """Vacuum and analyze a database that was just filled, and let the disk catch up."""
        self._run("psql", *self._where(), "-q", "-c", "VACUUM ANALYZE", "-c", "CHECKPOINT", database)

    def fill_reference(self, scale: int) -> None:
        """Create the database `tpcb` with pgbench's tables: scale × 100,000 accounts."""
        self.create_database("tpcb")
        self._run("pgbench", *self._where(), "-q", "-i", "-s", str(scale), "tpcb")

    def tpcb_per_s(self, seconds: float) -> float:
        """Run the TPC-B-like script and return transactions a second."""
        said = self._run("pgbench", *self._where(), *_PGBENCH, "-T", str(max(1, round(seconds))), "tpcb")
        found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
        if found is None:
            raise BenchBroken(f"pgbench gave no figure:\n{said[-2000:]}")
        return float(found[1])

    def cpu_s(self) -> float:
        """Return the CPU time that all processes of the server have used so far, also those that ended."""
        postmaster = psutil.Process(self.pid)
        own = postmaster.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in postmaster.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue  # it ended just now; the postmaster counts it from the next call on
            total += times.user + times.system
        return total

    def _where(self) -> tuple[str, ...]:
        return "-h", str(self._directory), "-p", str(self._port), "-U", "postgres"

    def _run(self, program: str, *args: str) -> str:
        done = subprocess.run(
            [self._programs / program, *args],
            capture_output=True, text=True, check=False, cwd="/",
            user=self._account, group=self._account, extra_groups=self._extra_groups,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchBroken(f"{program} {' '.join(args)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    @property
    def _extra_groups(self) -> list[str] | None:
        return None if self._account is None else []

    def _wait_until_ready(self) -> None:
        clock = SystemClock()
        give_up_s = clock.monotonic_s() + _START_TIMEOUT_S
        while True:
            try:
                psycopg2.connect(self.dsn()).close()
                return
            except psycopg2.OperationalError as error:
                assert self._process is not None, "start() made it"
                if self._process.poll() is not None or clock.monotonic_s() > give_up_s:
                    log = (self._directory / "log").read_text(encoding="utf-8", errors="replace")
                    raise BenchBroken(f"PostgreSQL did not start:\n{log[-2000:]}") from error
            clock.sleep(_POLL_S)


def _programs() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    usable = [path for path in debian if (path / "initdb").exists() and (path / "pgbench").exists()]
    if usable:
        return usable[-1]
    on_path = shutil.which("initdb")
    if on_path is None:
        raise BenchBroken("no PostgreSQL programs: apt-get install --no-install-recommends postgresql")
    return Path(on_path).resolve().parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
