"""A thread that drives lines in real time: one loop for one line, or for several (B4.1)."""

import os
import select
import threading
from typing import Final

from campus_node.lines.can.line import CanLine
from federation.clock import Clock, SystemClock

WAIT_S_MAX: Final = 0.5
BLIND_WAIT_S: Final = 0.002  # for controllers that select() cannot wait on


class Drive:
    """Drives lines until it is closed. The lines stay open.

    Args:
        lines: at least one; each belongs to one drive.
        clock: gives the monotonic seconds.
    """

    def __init__(self, *lines: CanLine, clock: Clock | None = None) -> None:
        self._lines = lines
        self._clock = clock or SystemClock()
        self._awake, self._alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"drive {lines[0].name}", daemon=True)
        for line in lines:
            line.wake = self._wake
        self._thread.start()

    def close(self) -> None:
        """Stop driving. May be called twice."""
        if self._ending:
            return
        self._ending = True
        self._wake()
        self._thread.join()
        for line in self._lines:
            line.wake = _asleep
        os.close(self._awake)
        os.close(self._alarm)

    def __enter__(self) -> "Drive":
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    def _wake(self) -> None:
        try:
            os.write(self._alarm, b"!")
        except BlockingIOError:
            return  # it is awake already

    def _run(self) -> None:
        try:
            self._turn()
        except BaseException:  # nobody would hear of it otherwise: who waits on a line learns that it is down
            for line in self._lines:
                line.close()
            raise

    def _turn(self) -> None:
        while not self._ending:
            due_s = min(line.step(self._clock.monotonic_s()) for line in self._lines)
            wait_s = min(max(due_s - self._clock.monotonic_s(), 0.0), WAIT_S_MAX)
            descriptors = [line.descriptor() for line in self._lines]
            waited_on = [one for one in descriptors if one is not None and one >= 0]
            if len(waited_on) < len(descriptors):
                wait_s = min(wait_s, BLIND_WAIT_S)
            select.select([self._awake, *waited_on], [], [], wait_s)
            self._drain()

    def _drain(self) -> None:
        try:
            os.read(self._awake, 4096)
        except BlockingIOError:
            return


def _asleep() -> None:
    """No thread drives this line any more."""
