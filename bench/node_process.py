"""A real node beside the benchmark, and the client process that talks to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

from bench.harness import BenchBroken
from campus_node.campus_directory import CampusDirectory, NewCampus
from federation.clock import SystemClock
from federation.errors import Unavailable
from federation.identity import Identity, Role

CAMPUS: Final = "bench"
_CHECKOUT: Final = Path(__file__).parents[1]
_READY_TIMEOUT_S: Final = 120.0
_STOP_TIMEOUT_S: Final = 60.0
_CLIENT_TIMEOUT_S: Final = 900.0
_POLL_S: Final = 0.1
# Ports are free ones; everything else is as `campus init` leaves it.
_FREE_PORTS: Final = {
    f"CAMPUS_{section}__LISTEN": "127.0.0.1:0" for section in ("GRPC", "METRICS", "WEB", "DEVICES")
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a client finds a server, and what it needs to be let in.

    Args:
        address: host:port.
        name: DNS name in the server's certificate.
        pki: directory of the campus's certificates.
    """

    address: str
    name: str
    pki: Path


class NodeProcess:
    """`campus node run` of a new campus; as a context it runs inside the block.

    Args:
        directory: where the campus goes; must not exist.
        database: URL of a PostgreSQL database; empty = the campus's own SQLite file.
    """

    def __init__(self, directory: Path, database: str = "") -> None:
        self.campus = CampusDirectory(directory)
        self._database = database
        self._clock = SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        now = self._clock.unix_ms()
        settings = self.campus.create(NewCampus(CAMPUS, database=self._database), now)
        self.database_url = self.campus.database_url(settings)
        self._name = settings.domain
        pki = self.campus.pki(settings)
        for role in (Role.NODE, Role.GATEWAY):
            pki.issue(Identity(CAMPUS, role, "bench"), now)
        with (self.campus.path / "log" / "bench.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "campus_node.cli", "node", "run", str(self.campus.path)],
                stdout=log, stderr=log, cwd=_CHECKOUT, env=os.environ | _FREE_PORTS,
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def target(self) -> Target:
        """How clients reach it."""
        return Target(f"127.0.0.1:{self.campus.ports().grpc}", self._name, self.campus.path / "pki")

    def memory_mb(self) -> float:
        """Return the resident memory of the process, in MB of 10^6 bytes."""
        assert self._process is not None, "the node is not started"
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    def _wait_until_ready(self) -> None:
        assert self._process is not None, "the node is not started"
        give_up_s = self._clock.monotonic_s() + _READY_TIMEOUT_S
        while True:
            try:
                self.campus.ports()
                return
            except Unavailable as error:
                if self._process.poll() is not None or self._clock.monotonic_s() > give_up_s:
                    raise BenchBroken(f"the node did not start:\n{self._log_tail()}") from error
            self._clock.sleep(_POLL_S)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log_tail(self) -> str:
        path = self.campus.path / "log" / "bench.log"
        return path.read_text(encoding="utf-8", errors="replace")[-2000:]


class EchoProcess:
    """The node's server stack with a service that answers at once: a unary call without a ledger.

    Args:
        directory: of the campus whose certificate and settings it takes.
        name: DNS name in that certificate.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.echo", str(self._directory)],
            stdout=subprocess.PIPE, text=True, cwd=_CHECKOUT,
        )  # fmt: skip
        assert self._process.stdout is not None, "it was asked for"
        said = self._process.stdout.readline()
        if not said.strip().isdigit():
            self.__exit__()
            raise BenchBroken("the echo server did not start")
        self._port = int(said)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    @property
    def target(self) -> Target:
        """How clients reach it."""
        return Target(f"127.0.0.1:{self._port}", self._name, self._directory / "pki")


def run_client(target: Target, task: str, **settings: float) -> Mapping[str, float]:
    """Run a task of `bench.grpc_client` in a process of its own and return what it measured.

    Raises:
        BenchBroken: it failed, or an item was refused.
    """
    order = {
        "task": task,
        "address": target.address,
        "name": target.name,
        "pki": str(target.pki),
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.grpc_client", json.dumps(order)],
        capture_output=True, text=True, check=False, cwd=_CHECKOUT, timeout=_CLIENT_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchBroken(f"client {task}: {done.stderr.strip()[-2000:]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def node_memory_mb(directory: Path, accounts: int) -> tuple[float, float]:
    """Return the memory of a default node (SQLite), empty and with so many accounts opened and funded."""
    with NodeProcess(directory) as node:
        empty_mb = node.memory_mb()
        run_client(node.target, "fill", cards=accounts)
        return empty_mb, node.memory_mb()
