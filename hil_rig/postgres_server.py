"""A private PostgreSQL server: started for one run, on a free port, in a directory of its own.

It shares nothing with the machine's own servers but the programs, so that it can be killed on purpose.
Durability is PostgreSQL's default (fsync and synchronous_commit on) unless the settings say otherwise.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from federation.clock import Clock, SystemClock
from federation.errors import Misconfigured, StoreDown

ADVICE: Final = "run `scripts/services postgresql`, or set CAMPUS_TEST_POSTGRES_DSN to a server of yours"
ACCOUNT: Final = "postgres"  # whose rights the server gets when we are root: initdb refuses root
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05


def find_programs() -> Path | None:
    """Return the directory of the newest PostgreSQL server's programs here, None if there is none."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    versions = [path for path in debian if path.parts[4].isdigit()]
    if versions:
        return max(versions, key=lambda path: int(path.parts[4])).parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """One server. A context manager: it runs inside and is stopped at the end.

    Args:
        directory: new and its own; /dev/shm is fast, a disk is honest. When we are root it is given to the
            account `postgres`, which must be able to reach it.
        settings: lines for postgresql.conf beside ours.

    Raises:
        Misconfigured: no PostgreSQL programs here; says how to get them.
    """

    def __init__(
        self, directory: Path, settings: Mapping[str, str] | None = None, clock: Clock | None = None
    ) -> None:
        programs = find_programs()
        if programs is None:
            raise Misconfigured(f"no PostgreSQL server on this machine: {ADVICE}")
        self._programs = programs
        self._directory = directory
        self._settings = dict(settings or {})
        self._clock = clock or SystemClock()
        self._password = secrets.token_hex(16)
        self._account = ACCOUNT if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._launches = 0
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the server; it must be running."""
        assert self._process is not None, "not started"
        return self._process.pid

    def dsn(self, database: str = "postgres") -> str:
        """Return a libpq address of one database, with the rights of a superuser."""
        return f"postgresql://{ACCOUNT}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, on the same port as before if there was one, and wait until it answers.

        Raises:
            StoreDown: it ended or stayed silent for START_TIMEOUT_S; quotes its log.
        """
        assert self._process is None, "already running"
        if not self._cluster.exists():
            self._make_cluster()
        if self.port == 0:
            self.port = _free_port()
        deadline_s = self._clock.monotonic_s() + START_TIMEOUT_S
        while True:
            self._process, log = self._launch()
            if self._wait_until_ready(deadline_s):
                return
            status = self._process.poll()
            ended = "silent" if status is None else f"exit status {status}"
            self.stop()
            # Children of a killed server let go of its memory a moment after it; the next try finds it free.
            complaint = log.read_text(errors="replace")
            if "pre-existing shared memory" not in complaint or self._clock.monotonic_s() > deadline_s:
                raise StoreDown(f"PostgreSQL did not start ({ended}):\n{complaint[-2000:]}")

    def kill(self) -> None:
        """End the server as a power cut would: SIGKILL, no checkpoint, no goodbye. `start` recovers it."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Stop the server in order (a fast shutdown); does nothing where none runs."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def _cluster(self) -> Path:
        return self._directory / "cluster"

    def _make_cluster(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        password_file = self._directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._account is not None:
            shutil.chown(self._directory, self._account, self._account)
            shutil.chown(password_file, self._account, self._account)
        initdb: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            self._cluster,
            "-U",
            ACCOUNT,
            "-E",
            "UTF8",
            "--locale=C",
        ]
        made = subprocess.run(
            [*self._step_down(), *initdb, "--auth=scram-sha-256", f"--pwfile={password_file}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._directory,
        )
        if made.returncode != 0:
            raise StoreDown(f"initdb failed: {made.stderr.strip()}")

    def _step_down(self) -> list[str]:
        """Return the words before a command that give up root's rights for the account's.

        Not Popen's `user`: that one forks where it could vfork, and the copied process runs the handlers of
        gRPC for a fork, which may crash it before the program starts when other threads are inside gRPC.
        """
        if self._account is None:
            return []
        return ["setpriv", f"--reuid={self._account}", f"--regid={self._account}", "--clear-groups", "--"]

    def _launch(self) -> tuple[subprocess.Popen[bytes], Path]:
        self._launches += 1
        log = self._directory / f"server-{self._launches}.log"
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",  # TCP alone: no limit on the directory's length
            **self._settings,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *self._step_down(),
                    self._programs / "postgres",
                    "-D",
                    self._cluster,
                    *(f"--{k}={v}" for k, v in options.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._directory,
            )
        return process, log

    def _wait_until_ready(self, deadline_s: float) -> bool:
        assert self._process is not None
        probe = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while self._process.poll() is None and self._clock.monotonic_s() < deadline_s:
            if subprocess.run(probe, check=False).returncode == 0:
                return True
            self._clock.sleep(POLL_S)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
