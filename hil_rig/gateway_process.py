"""A real gateway process, and the processes of the buses that it hangs on (B3, B4.1)."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import urlopen

from federation.clock import Clock, SystemClock
from hil_rig.processes import CAMPUS, LOG_TAIL_BYTES, POLL_S, PYTHON, ProcessFailed, process_environment

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0


class GatewayProcess:
    """`campus gateway run DIRECTORY`. A context manager: whatever happens inside, the process ends with it.

    Args:
        directory: of the gateway.
    """

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        self._directory = directory
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._status_port = 0
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

    def start(self) -> None:
        """Start it and wait until it is ready. Raise ProcessFailed."""
        assert self._process is None, "already running"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*CAMPUS, "gateway", "run", str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=process_environment({"CAMPUS_GATEWAY_STATUS__LISTEN": "127.0.0.1:0"}),
                start_new_session=True,  # Ctrl-C is for the rig; the rig ends its processes itself
            )
        self.starts += 1
        deadline_s = self._clock.monotonic_s() + START_TIMEOUT_S
        while (ports := self._ports()) is None:
            if self._process.poll() is not None:
                raise ProcessFailed(f"the gateway ended with {self._process.returncode}:\n{self.log_tail()}")
            if self._clock.monotonic_s() > deadline_s:
                raise ProcessFailed(f"the gateway is not ready:\n{self.log_tail()}")
            self._clock.sleep(POLL_S)
        self._status_port = ports["status"]

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

    def terminate(self) -> int:
        """Ask it to keep and answer what came in, and end; return its exit code. Raise ProcessFailed."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"the gateway does not end:\n{self.log_tail()}") from error
        self._process = None
        return code

    def status(self) -> dict[str, Any]:
        """Return what it says of itself, GET /status."""
        with urlopen(f"http://127.0.0.1:{self._status_port}/status", timeout=10) as answer:
            said: dict[str, Any] = json.load(answer)
        return said

    def log_tail(self) -> str:
        """Return the end of what it wrote about itself."""
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _ports(self) -> dict[str, Any] | None:
        try:
            ports: dict[str, Any] = json.loads((self._directory / "run" / "ports.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return ports if ports["pid"] == self.pid else None  # a killed one leaves its own behind


class BusProcess:
    """A bus of the rig in a process of its own: `hil_rig.virtual.can_broker`, `hil_rig.virtual.serial_hub`.

    A context manager. Args: program: module and arguments; its first line of output says that it is ready.
    """

    def __init__(self, *program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*PYTHON, "-m", *self._program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=process_environment({}),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise ProcessFailed(f"{self._program} ended with {self._process.wait()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def can_bus(socket_path: Path, bitrate: int) -> BusProcess:
    """Return a CAN bus behind a socket; see `CanBroker`."""
    return BusProcess("hil_rig.virtual.can_broker", "--socket", str(socket_path), "--bitrate", str(bitrate))


def serial_bus(directory: Path, names: Sequence[str]) -> BusProcess:
    """Return an RS-485 bus of pseudo-terminals, linked in a directory; see `PtyHub`."""
    nodes = [word for name in names for word in ("--node", name)]
    return BusProcess("hil_rig.virtual.serial_hub", "--directory", str(directory), *nodes)
