"""Blocks to one terminal where a line has no multicast, in a window that fits the line. Pure (B4.4).

The terminal says which block is the first that it lacks. As long as it gets on, more blocks are on their way
at once; when it falls silent it is asked again, and the window closes to half.
"""

from collections.abc import Iterator
from typing import Final

from campus_node.gateway.order_files import Task
from campuscard.v1 import terminal_pb2 as wire

WINDOW_MAX: Final = 16
ANSWER_S_MIN: Final = 2.0
ANSWER_S_MAX: Final = 60.0


class Window:
    """One terminal and one image.

    Args:
        task: what is distributed.
        image: its bytes.
    """

    def __init__(self, task: Task, image: bytes) -> None:
        self.task = task
        self._image = image
        self._size = 1
        self._missing: int | None = None  # the first block that it lacks; None = it has said nothing yet
        self._next = 0
        self._asked_s: float | None = None
        self._answer_s = ANSWER_S_MIN
        self._silent_count = 0

    @property
    def silent_count(self) -> int:
        """How often in a row the terminal did not answer."""
        return self._silent_count

    def heard(self, report: wire.DistributionReport, now_s: float) -> None:
        """Take what the terminal said of this image."""
        if report.hash != self.task.announced.hash:
            return
        if self._asked_s is not None:
            took_s = now_s - self._asked_s
            self._answer_s = min(max(ANSWER_S_MIN, 4 * took_s), ANSWER_S_MAX)
        gained = self._missing is not None and report.first_missing > self._missing
        if gained:
            self._size = min(self._size * 2, WINDOW_MAX)
        if self._missing is None or self._asked_s is None:
            self._next = report.first_missing
        self._missing = report.first_missing
        self._next = max(self._next, self._missing)
        self._silent_count = 0
        on_the_way = self._next > self._missing
        self._asked_s = now_s if on_the_way else None

    def messages(self, now_s: float) -> Iterator[wire.FromGateway]:
        """Yield what is to be said now; call `said` after each that the line took."""
        if self._asked_s is not None and now_s - self._asked_s >= self._answer_s:
            self._lapse()
        if self._missing is None:
            if self._asked_s is None:
                yield wire.FromGateway(notice=self.task.order.notice)
            return
        blocks = self.task.manifest.blocks
        while self._next < min(self._missing + self._size, blocks):
            yield wire.FromGateway(block=self._block(self._next))

    def said(self, message: wire.FromGateway, now_s: float) -> None:
        """Note that the line took a message."""
        if message.HasField("block"):
            self._next = message.block.number + 1
        if self._asked_s is None:
            self._asked_s = now_s

    def due_s(self, now_s: float) -> float:
        """Return when there may be something to say again."""
        return now_s if self._asked_s is None else self._asked_s + self._answer_s

    def _lapse(self) -> None:
        """Nothing came back: ask where it stands, with the notice."""
        self._silent_count += 1
        self._size = max(self._size // 2, 1)
        self._answer_s = min(self._answer_s * 2, ANSWER_S_MAX)
        self._missing, self._asked_s, self._next = None, None, 0

    def _block(self, number: int) -> wire.DistributionBlock:
        size = self.task.manifest.block_bytes
        content = self._image[number * size : (number + 1) * size]
        return wire.DistributionBlock(hash=self.task.announced.hash, number=number, content=content)
