"""The tills of a line, seen by their parent: started with an order, told what to tap, awaited, stopped."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hil_rig.processes import PYTHON, ProcessFailed, process_environment
from hil_rig.tills.order import TillsOrder
from hil_rig.tills.standing import Standing
from hil_rig.tills.taps import Round

TIMEOUT_S: Final = 120.0
END_TIMEOUT_S: Final = 60.0
LOG_TAIL_CHARACTERS: Final = 4_000


class TillsProcess:
    """`python -m hil_rig.tills ORDER`. A context manager: whatever happens inside, it ends with it.

    Args:
        order: its tills and cards; its directory is made.
        name: of the line, for people.
    """

    def __init__(self, order: TillsOrder, name: str) -> None:
        self.order = order
        self.name = name
        self.standing = Standing(tills=len(order.terminals))
        self._directory = Path(order.directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log_path = self._directory / "tills.log"
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ended = False  # nothing more will be told
        self._moved = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def files(self) -> list[Path]:
        """What its tills durably know."""
        return [self._directory / f"{who.name}.jsonl" for who in self.order.terminals]

    @property
    def card_file(self) -> Path:
        """What its cards held first, and last."""
        return self._directory / "cards.jsonl"

    def start(self) -> None:
        """Start it; nothing is tapped before `tap`."""
        order_path = self._directory / "tills.order.json"
        self.order.write(order_path)
        self._ended, self.standing = False, Standing(tills=len(self.order.terminals))
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*PYTHON, "-m", "hil_rig.tills", str(order_path)],
                env=process_environment({}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the rig, which then stops us in order
            )
        self._reader = threading.Thread(target=self._read, name=f"tills {self.name}", daemon=True)
        self._reader.start()

    def tap(self, asked: Round) -> None:
        """Have cards laid on its tills."""
        assert self._process is not None, "not started"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(asked.line())
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ProcessFailed(f"the tills of {self.name} ended:\n{self.log_tail()}") from error

    def wait_until(self, reached: Callable[[Standing], bool], timeout_s: float = TIMEOUT_S) -> Standing:
        """Wait until they stand so, and return how. Raise ProcessFailed if they end, or never do."""
        with self._moved:
            self._moved.wait_for(lambda: reached(self.standing) or self._ended, timeout_s)
            if not reached(self.standing):
                raise ProcessFailed(f"the tills of {self.name}: {self.standing}\n{self.log_tail()}")
            return self.standing

    def demand_alive(self) -> None:
        """Raise ProcessFailed if it has ended."""
        if self._ended and not self.standing.over:
            raise ProcessFailed(f"the tills of {self.name} ended:\n{self.log_tail()}")

    def kill(self) -> None:
        """End all its tills at once as a power cut would: SIGKILL."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._let_go()

    def stop(self) -> Standing:
        """Stop it in order; the cards tell what they hold. Raise ProcessFailed."""
        assert self._process is not None, "not started"
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"the tills of {self.name} do not end\n{self.log_tail()}") from error
        self._let_go()
        if code != 0 or not self.standing.over:
            raise ProcessFailed(f"the tills of {self.name} ended with {code}:\n{self.log_tail()}")
        return self.standing

    def log_tail(self) -> str:
        """Return the end of what it wrote about itself."""
        return self._log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]

    def _let_go(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._reader is not None:
            self._reader.join(END_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._moved:
                self.standing = Standing(**json.loads(line))
                self._moved.notify_all()
        with self._moved:
            self._ended = True
            self._moved.notify_all()
