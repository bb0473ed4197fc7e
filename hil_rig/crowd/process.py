"""A client process, seen by its parent: started with an order, watched line by line, stopped, awaited."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hil_rig.crowd.crowd import Progress
from hil_rig.crowd.order import Order
from hil_rig.processes import PYTHON, ProcessFailed, process_environment

END_TIMEOUT_S: Final = 120.0
PROGRESS_TIMEOUT_S: Final = 60.0
LOG_TAIL_CHARACTERS: Final = 4_000


class CrowdProcess:
    """`python -m hil_rig.crowd ORDER`. A context manager: whatever happens inside, the process ends with it.

    Args:
        order: what it does.
        directory: for the order and what the process says about itself.
        told: called on a thread of its own with each progress.
    """

    def __init__(
        self, order: Order, directory: Path, name: str, told: Callable[[Progress], None] = lambda _: None
    ) -> None:
        self.order = order
        self.name = name
        self.progress = Progress()
        self._order_path = directory / f"{name}.order.json"
        self._log_path = directory / f"{name}.log"
        self._told = told
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, name=f"crowd {name}", daemon=True)
        self._done = False  # everybody came to an end
        self._ended = False  # nothing more will be told
        self._moved = threading.Condition()
        self._lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def receipts(self) -> Path:
        """What this client durably knows."""
        return Path(self.order.receipts)

    def start(self) -> None:
        self.order.write(self._order_path)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*PYTHON, "-m", "hil_rig.crowd", str(self._order_path)],
                env=process_environment({}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the rig; it then stops us in order
            )
        self._reader.start()

    def stop(self) -> None:
        """Tell it to begin nothing new."""
        assert self._process is not None, "not started"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("stop\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended already

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_until(
        self,
        reached: Callable[[Progress], bool],
        timeout_s: float = PROGRESS_TIMEOUT_S,
        *,
        fresh: bool = False,
    ) -> None:
        """Wait until the progress satisfies a condition.

        Args:
            fresh: what was told before this call does not count.

        Raises:
            ProcessFailed: it ended first, or never got there.
        """
        with self._moved:
            since = self._lines + 2 if fresh else 0  # one line may have been on its way
            found = self._moved.wait_for(
                lambda: (self._lines >= since and reached(self.progress)) or self._ended, timeout_s
            )
        if not found or not reached(self.progress):
            raise ProcessFailed(f"client {self.name} never got there: {self.progress}\n{self._log_tail()}")

    def wait_until_somebody_waits(self) -> None:
        """Wait until at least one question is under way now."""
        self.wait_until(lambda progress: progress.waiting > 0, fresh=True)

    def wait(self, timeout_s: float = END_TIMEOUT_S) -> Progress:
        """Wait until everybody is done, and return the last progress.

        Raises:
            ProcessFailed: it broke, or did not end in time.
        """
        assert self._process is not None, "not started"
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(
                f"client {self.name} is not done after {timeout_s} s: {self.progress}"
            ) from error
        self._reader.join(timeout_s)
        if code != 0 or not self._done:
            raise ProcessFailed(f"client {self.name} ended with {code}:\n{self._log_tail()}")
        return self.progress

    def _log_tail(self) -> str:
        return self._log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)  # numbers and one truth value, written by __main__
            with self._moved:
                self._done = told.pop("done")
                self.progress = Progress(**told)
                self._lines += 1
                self._moved.notify_all()
            self._told(self.progress)
        with self._moved:
            self._ended = True
            self._moved.notify_all()
