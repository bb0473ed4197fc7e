"""Keeps the terminal's line open: opens it, has it driven, and opens it again when it is lost, for ever."""

import random
import threading
from collections.abc import Callable
from typing import Final

import structlog

from campus_node.lines.driver import Drive
from campus_node.lines.errors import LineDown
from campus_node.lines.line import Peer, Received
from campus_node.terminal.line_ends import LineEnd
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import CampusCardError

LOOK_EVERY_S: Final = 1.0
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 30.0

_log = structlog.get_logger(__name__)


class KeptLine:
    """A line that is down until it can be opened; implements `Line`. Its thread opens and drives it.

    Args:
        name: what people call it.
        open_end: opens it, on the keeping thread; None = there is no line at all.
        clock: paces the drive.
    """

    def __init__(self, name: str, open_end: Callable[[], LineEnd] | None, clock: Clock) -> None:
        self._name = name
        self._open_end = open_end
        self._clock = clock
        self._end: LineEnd | None = None
        self._ending = threading.Event()
        self._jitter = random.Random()  # noqa: S311 - spreads retries
        self._thread = threading.Thread(target=self._run, name=f"line {name}", daemon=True)
        self.why_down = ""
        if open_end is not None:
            self._thread.start()

    @property
    def name(self) -> str:
        """See `Line.name`."""
        return self._name

    @property
    def is_open(self) -> bool:
        """Whether the wire is open."""
        return self._end is not None

    def has_contact(self, now_s: float) -> bool:
        """See `LineEnd.has_contact`."""
        end = self._end
        return end is not None and end.has_contact(now_s)

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`."""
        self._demand().send(peer, message, urgent=urgent)

    def receive(self, timeout_s: float) -> Received | None:
        """See `LineEnd.receive`; never waits."""
        return self._demand().receive(timeout_s)

    def close(self) -> None:
        """Let the wire go. May be called twice."""
        self._ending.set()
        if self._open_end is not None:
            self._thread.join()

    def _demand(self) -> LineEnd:
        end = self._end
        if end is None:
            raise LineDown(Sentence("the line {name} is closed", name=self._name))
        return end

    def _run(self) -> None:
        wait_s = RETRY_S_MIN
        while not self._ending.is_set():
            try:
                self._keep_open()
                wait_s = RETRY_S_MIN
            except (CampusCardError, OSError) as error:
                self.why_down = str(error)
            except ImportError as error:
                self.why_down = f"{error}: install campuscard[lines]"
            if self._ending.is_set():
                return
            _log.warning("line.down", line=self._name, why=self.why_down, again_in_s=wait_s)
            self._ending.wait(self._jitter.uniform(wait_s / 2, wait_s))
            wait_s = min(wait_s * 2, RETRY_S_MAX)

    def _keep_open(self) -> None:
        assert self._open_end is not None, "this thread runs"
        end = self._open_end()
        drive = Drive(end, clock=self._clock)
        self._end, self.why_down = end, ""
        _log.info("line.open", line=self._name)
        try:
            while not self._ending.wait(LOOK_EVERY_S):
                if not drive.alive:
                    raise LineDown(Sentence("the drive of {name} has ended", name=self._name))
                if end.failed:
                    raise LineDown(Sentence("the line {name} is closed", name=self._name))
        finally:
            self._end = None
            drive.close()
            end.close()
