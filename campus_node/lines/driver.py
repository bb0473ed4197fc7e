"""A thread that drives lines in real time: one loop for one line, or for several (B4.1)."""

import os
import select
import threading
from collections.abc import Callable
from typing import Final, Protocol

from federation.clock import Clock, SystemClock

WAIT_S_MAX: Final = 0.5
BLIND_WAIT_S: Final = 0.002  # for wires that select() cannot wait on


class Driven(Protocol):
    """What a drive needs of a line. Lines that are sent to by other threads have `wake`, too; see `Drive`."""

    @property
    def name(self) -> str: ...

    def step(self, now_s: float) -> float: ...

    def descriptor(self) -> int | None:
        """Return what select() can wait on; None where there is nothing, -1 while nothing can come."""

    def close(self) -> None: ...


class Drive:
    """Drives lines until it is closed. The lines stay open.

    A line with an attribute `wake` gets there what ends the drive's waiting.

    Args:
        lines: at least one; each belongs to one drive.
        clock: gives the monotonic seconds.
        gap_s: between two steps at least: what arrives meanwhile is taken together, which costs a busy wire
            less; 0 = none.
    """

    def __init__(self, *lines: Driven, clock: Clock | None = None, gap_s: float = 0.0) -> None:
        self._lines = lines
        self._gap_s = gap_s
        self._clock = clock or SystemClock()
        self._awake, self._alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"drive {lines[0].name}", daemon=True)
        self._set_wake(self.wake)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the lines are driven."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Let the lines be stepped at once."""
        try:
            os.write(self._alarm, b"!")
        except BlockingIOError:
            return  # it is awake already

    def close(self) -> None:
        """Stop driving. May be called twice, before or after the lines are closed."""
        if self._ending:
            return
        self._ending = True
        self.wake()
        self._thread.join()
        self._set_wake(_asleep)
        os.close(self._awake)
        os.close(self._alarm)

    def __enter__(self) -> "Drive":
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    def _set_wake(self, wake: Callable[[], None]) -> None:
        for line in self._lines:
            if hasattr(line, "wake"):
                line.wake = wake

    def _run(self) -> None:
        try:
            self._turn()
        except BaseException:  # nobody would hear of it otherwise: who waits on a line learns that it is down
            for line in self._lines:
                line.close()
            raise

    def _turn(self) -> None:
        while not self._ending:
            stepped_s = self._clock.monotonic_s()
            due_s = min([line.step(self._clock.monotonic_s()) for line in self._lines])
            wait_s = min(max(due_s - self._clock.monotonic_s(), 0.0), WAIT_S_MAX)
            descriptors = [line.descriptor() for line in self._lines]
            waited_on = [one for one in descriptors if one is not None and one >= 0]
            if None in descriptors:
                wait_s = min(wait_s, BLIND_WAIT_S)
            self._wait(waited_on, wait_s)
            early_s = stepped_s + self._gap_s - self._clock.monotonic_s()
            if early_s > 0:
                self._clock.sleep(early_s)
            self._drain()

    def _wait(self, waited_on: list[int], wait_s: float) -> None:
        poll = select.poll()
        for descriptor in (self._awake, *waited_on):
            poll.register(descriptor, select.POLLIN)
        poll.poll(wait_s * 1000)

    def _drain(self) -> None:
        try:
            os.read(self._awake, 4096)
        except BlockingIOError:
            return


def _asleep() -> None:
    """No thread drives this line any more."""
