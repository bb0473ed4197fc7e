"""A segment of senders, seen by its parent: started with an order, watched line by line, stopped, awaited."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hil_rig.processes import PYTHON, ProcessFailed, process_environment
from hil_rig.senders.order import SegmentOrder
from hil_rig.senders.progress import Progress

PROGRESS_TIMEOUT_S: Final = 120.0
END_TIMEOUT_S: Final = 60.0
LOG_TAIL_CHARACTERS: Final = 4_000


class SegmentProcess:
    """`python -m hil_rig.senders ORDER`. A context manager: whatever happens inside, all of it ends with it.

    Args:
        order: what it does; its directory is made.
        name: of the segment, for people and for files.
        told: called on a thread of its own with each progress.
    """

    def __init__(
        self, order: SegmentOrder, name: str, told: Callable[[Progress], None] = lambda _: None
    ) -> None:
        self.order = order
        self.name = name
        self.progress = Progress(senders=len(order.terminals))
        self._directory = Path(order.directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log_path = self._directory / "segment.log"
        self._told = told
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, name=f"segment {name}", daemon=True)
        self._over = False
        self._ended = False  # nothing more will be told
        self._moved = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # its senders end by themselves when it is gone
            self._process.wait()

    @property
    def files(self) -> list[Path]:
        """What its senders durably know."""
        return [self._directory / f"{who.name}.jsonl" for who in self.order.terminals]

    def start(self) -> None:
        """Start it; the senders begin at once."""
        order_path = self._directory / "segment.order.json"
        self.order.write(order_path)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*PYTHON, "-m", "hil_rig.senders", str(order_path)],
                env=process_environment({}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the rig, which then stops us in order
            )
        self._reader.start()

    def wait_until(
        self, reached: Callable[[Progress], bool], timeout_s: float = PROGRESS_TIMEOUT_S
    ) -> Progress:
        """Wait until the progress satisfies a condition, and return it.

        Raises:
            ProcessFailed: a sender broke, or it never got there.
        """
        with self._moved:
            found = self._moved.wait_for(
                lambda: reached(self.progress) or self._ended or self.progress.ended > 0, timeout_s
            )
            if not found or not reached(self.progress) or self.progress.ended:
                raise ProcessFailed(f"segment {self.name}: {self.progress}\n{self.log_tail()}")
            return self.progress

    def stop(self) -> None:
        """Stop all senders, and wait for them.

        Raises:
            ProcessFailed: one broke, or did not end in time.
        """
        assert self._process is not None, "not started"
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"segment {self.name} does not end\n{self.log_tail()}") from error
        self._reader.join(END_TIMEOUT_S)
        if code != 0 or not self._over:
            raise ProcessFailed(f"segment {self.name} ended with {code}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the end of what it wrote about itself."""
        return self._log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)  # numbers and one truth value, written by segment.py
            with self._moved:
                self._over = told.pop("over")
                self.progress = Progress(**told)
                self._moved.notify_all()
            self._told(self.progress)
        with self._moved:
            self._ended = True
            self._moved.notify_all()
