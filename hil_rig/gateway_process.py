"""`campus gateway run` as a process of its own: started, awaited, asked, killed."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from federation.clock import Clock, SystemClock
from hil_rig.processes import CAMPUS, ProcessFailed, process_environment

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
LOG_TAIL_BYTES: Final = 6_000


class GatewayProcess:
    """One gateway. A context manager: whatever happens inside, the process ends with it.

    Args:
        directory: as `campus gateway init` made it.
        environment: settings beside those in its file.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str] | None = None, clock: Clock | None = None
    ) -> None:
        self.directory = directory
        self.environment = dict(environment or {})
        self.log_path = directory / "log" / "process.log"
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it and wait until it takes records. Raise ProcessFailed: it ended, or was not in time."""
        assert not self.running, "already running"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*CAMPUS, "gateway", "run", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=process_environment({"CAMPUS_GATEWAY_STATUS__LISTEN": "127.0.0.1:0", **self.environment}),
                start_new_session=True,  # Ctrl-C is for the rig; the rig ends its processes itself
            )
        self.starts += 1
        self.wait_until(lambda: self._ports() is not None, timeout_s)

    def ports(self) -> dict[str, Any]:
        """Return run/ports.json of this very process."""
        found = self._ports()
        assert found is not None, "not ready yet"
        return found

    def status(self) -> dict[str, Any]:
        """Return what GET /status says."""
        url = f"http://127.0.0.1:{self.ports()['status']}/status"
        with urllib.request.urlopen(url, timeout=5) as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until something holds. Raise ProcessFailed: it ended, or it never did."""
        until_s = self._clock.monotonic_s() + timeout_s
        while not reached():
            if not self.running or self._clock.monotonic_s() > until_s:
                raise ProcessFailed(f"gateway {self.directory}:\n{self.log_tail()}")
            self._clock.sleep(POLL_S)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()
        self._process = None

    def terminate(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to drain and end; return its exit code. Raise ProcessFailed: it did not end in time."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"{self.directory} does not end:\n{self.log_tail()}") from error
        self._process = None
        return code

    def log_tail(self) -> str:
        """Return the end of what it wrote about itself."""
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _ports(self) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads((self.directory / "run" / "ports.json").read_text())
        except (OSError, ValueError):
            return None
        return content if self._process is not None and content["pid"] == self._process.pid else None
