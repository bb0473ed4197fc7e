"""One select loop that lets a model in virtual time keep pace with a clock: for CAN broker and serial hub."""

import contextlib
import json
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from federation.clock import Clock, SystemClock

SECOND_NS: Final = 1_000_000_000
STOP_TIMEOUT_S: Final = 10.0


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class PacedLoop:
    """Waits for whatever is readable and for the model's next instant.

    Args:
        step: called with the time in ns after every wait; lets the model catch up.
        due_ns: tells when `step` wants to be called next; None = only when something is readable.
    """

    def __init__(
        self,
        step: Callable[[int], None],
        due_ns: Callable[[], int | None],
        *,
        clock: Clock | None = None,
        name: str = "paced loop",
    ) -> None:
        self._step = step
        self._due_ns = due_ns
        self._clock = clock or SystemClock()
        self._name = name
        self._selector = selectors.DefaultSelector()
        self._bell, self._push = socket.socketpair()
        self._push.setblocking(False)
        self._bell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, self._hush)
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def now_ns(self) -> int:
        """The clock's time in ns: the same for all processes of this machine."""
        return int(self._clock.monotonic_s() * SECOND_NS)

    def watch(self, source: HasFileno | int, readable: Callable[[], None]) -> None:
        """Call `readable` whenever there is something to read."""
        self._selector.register(source, selectors.EVENT_READ, readable)

    def forget(self, source: HasFileno | int) -> None:
        """Watch it no longer."""
        self._selector.unregister(source)

    def run(self) -> None:
        """Go on until `stop`."""
        while not self._stopped:
            due_ns = self._due_ns()
            wait_s = None if due_ns is None else max(0.0, (due_ns - self.now_ns()) / SECOND_NS)
            for key, _ in self._selector.select(wait_s):
                key.data()
            self._step(self.now_ns())

    def stop(self) -> None:
        """End it, from any thread or from a signal."""
        self._stopped = True
        self.wake()

    def wake(self) -> None:
        """Have it look at the model again: something changed there."""
        with contextlib.suppress(BlockingIOError):  # it is being woken already
            self._push.send(b"\0")

    def start(self) -> None:
        """Run in a thread of its own until `end`."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop the thread, close what the loop holds, raise what went wrong in it."""
        self.stop()
        if self._thread:
            self._thread.join(STOP_TIMEOUT_S)
            assert not self._thread.is_alive(), f"{self._name} does not end"
            self._thread = None
        self._selector.close()
        self._bell.close()
        self._push.close()
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as failure:  # shown by `end`
            self._failure = failure


def run_until_terminated(loop: PacedLoop, ready: dict[str, object]) -> None:
    """Run in this process: say that it is ready, as one JSON line, and end on SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    loop.run()
