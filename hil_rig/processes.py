"""Real node processes: started, watched until they are ready, killed, restarted, and ended whatever happens.

Nothing here sleeps to hope: waiting ends with what was waited for, with the process's own end, or with an
error that quotes its log.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2

from campus_node.ledger.client import ServerAddress, TlsFiles
from federation.clock import Clock, SystemClock

SOURCE: Final = Path(__file__).parent.parent  # where our packages lie
PYTHON: Final = (sys.executable, "-P")  # -P: the directory we happen to stand in is no place for packages
CAMPUS: Final = (*PYTHON, "-m", "campus_node.cli")
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02
LOG_TAIL_BYTES: Final = 3_000

Found = TypeVar("Found")


class ProcessFailed(RuntimeError):
    """A process ended, or stayed silent, where it should not. The message quotes its log."""


def process_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with additions; a copy of our packages in PYTHONPATH wins over these."""
    environment = {**os.environ, **additions}
    places = [environment.get("PYTHONPATH", ""), str(SOURCE)]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, places))}


class NodeProcess:
    """`campus node run DIRECTORY`. A context manager: whatever happens inside, the process ends with it.

    Args:
        directory: of the campus.
        server_name: the DNS name in the node's certificate.
        tls: who asks for its health.
        environment: added to this process's own; settings as CAMPUS_<SECTION>__<KEY>.
        program: what runs the command line; another one to run a copy of the package.
    """

    def __init__(
        self,
        directory: Path,
        server_name: str,
        tls: TlsFiles,
        *,
        environment: Mapping[str, str] | None = None,
        program: tuple[str, ...] = CAMPUS,
        clock: Clock | None = None,
    ) -> None:
        self._directory = directory
        self._server_name = server_name
        self._tls = tls
        self.environment = dict(environment or {})
        self._program = program
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._grpc_port = 0
        self.log_path = directory / "log" / "process.log"
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

    @property
    def address(self) -> ServerAddress:
        """Where it serves; the same after every restart."""
        assert self._grpc_port, "not ready yet"
        return ServerAddress(f"127.0.0.1:{self._grpc_port}", self._server_name)

    def launch(self) -> None:
        """Start the process without waiting for it."""
        assert not self.running, "already running"
        self.log_path.parent.mkdir(exist_ok=True)
        listen = {
            "CAMPUS_GRPC__LISTEN": f"127.0.0.1:{self._grpc_port}",
            "CAMPUS_METRICS__LISTEN": "127.0.0.1:0",
            "CAMPUS_WEB__LISTEN": "127.0.0.1:0",
            "CAMPUS_DEVICES__LISTEN": "127.0.0.1:0",
        }
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, "node", "run", str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=process_environment({**listen, **self.environment}),
                start_new_session=True,  # Ctrl-C is for the rig; the rig ends its processes itself
            )
        self.starts += 1

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the process and wait until it serves.

        Raises:
            ProcessFailed: it ended, or was not ready in time.
        """
        self.launch()
        self.wait_until_ready(timeout_s)

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait for `run/ports.json` and a healthy answer over mTLS.

        Raises:
            ProcessFailed: the process ended, or was not ready in time.
        """
        ports = self._wait_for(self._read_ports, timeout_s)
        self._grpc_port = ports["grpc"]
        self._wait_for(self._serves, timeout_s)

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP), so that its killer can see whom the kill will hit."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()
        self._process = None

    def terminate(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to drain and end; return its exit code.

        Raises:
            ProcessFailed: it did not end in time.
        """
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(
                f"{self._directory} did not drain in {timeout_s} s:\n{self.log_tail()}"
            ) from error
        self._process = None
        return code

    def wait_until_ended(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for an end that nobody asked for; return the exit code."""
        assert self._process is not None, "not started"
        code = self._process.wait(timeout_s)
        self._process = None
        return code

    def log_tail(self) -> str:
        """Return the end of what the process wrote about itself."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def healthy(self) -> bool:
        """Tell whether it answers a health check with SERVING, asked once."""
        credentials = grpc.ssl_channel_credentials(self._tls.trusted, self._tls.key, self._tls.chain)
        options = [("grpc.ssl_target_name_override", self._server_name)]
        with grpc.secure_channel(self.address.target, credentials, options) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )
            try:
                answer = check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.RpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    @property
    def _ports_path(self) -> Path:
        return self._directory / "run" / "ports.json"

    def _read_ports(self) -> dict[str, int] | None:
        try:
            ports: dict[str, int] = json.loads(self._ports_path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return ports if ports["pid"] == self.pid else None  # a killed node leaves its own behind

    def _serves(self) -> bool | None:
        return self.healthy() or None

    def _wait_for(self, look: Callable[[], Found | None], timeout_s: float) -> Found:
        assert self._process is not None, "not started"
        deadline_s = self._clock.monotonic_s() + timeout_s
        while (found := look()) is None:
            code = self._process.poll()
            if code is not None:
                raise ProcessFailed(f"{self._directory} ended with {code}:\n{self.log_tail()}")
            if self._clock.monotonic_s() > deadline_s:
                raise ProcessFailed(f"{self._directory} is not ready after {timeout_s} s:\n{self.log_tail()}")
            self._clock.sleep(POLL_S)
        return found
