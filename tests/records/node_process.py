"""A real node process that a test may kill; started again, it listens where it did."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campus_node.campus_directory import CampusDirectory, Ports
from federation.clock import SystemClock
from federation.errors import Unavailable

START_WITHIN_S = 60
Process = subprocess.Popen[bytes]


@contextmanager
def running_node(directory: Path) -> Iterator[Process]:
    """Start the node of a campus, and stop it at the end if it still runs."""
    log_path = directory / "log" / "node.log"
    command = [sys.executable, "-m", "campus_node.cli", "node", "run", str(directory)]
    with log_path.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(process, directory, log_path)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(START_WITHIN_S)


def kill(process: Process) -> None:
    """Kill it, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.wait(START_WITHIN_S)


def ports_of(directory: Path) -> Ports:
    return CampusDirectory(directory).ports()


def _wait_until_ready(process: Process, directory: Path, log_path: Path) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + START_WITHIN_S
    while True:
        assert process.poll() is None, log_path.read_text()
        assert clock.monotonic_s() < give_up_at_s, log_path.read_text()
        try:
            if ports_of(directory).pid == process.pid:
                return
        except Unavailable:
            pass
        clock.sleep(0.02)  # another process tells its readiness by a file
