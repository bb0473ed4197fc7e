"""What other threads tell the till's loop: a queue with a bell that select() can wait on."""

import os
import threading
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Any thread puts, one thread takes."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._listening, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing = threading.Lock()
        self._open = True

    @property
    def descriptor(self) -> int:
        """Readable while something may be inside."""
        return self._listening

    def put(self, item: Item) -> None:
        """Put something in; nothing happens when the mailbox is closed."""
        self._items.append(item)
        self.ring()

    def ring(self) -> None:
        """Wake whoever waits, without a word."""
        with self._closing:
            if not self._open:
                return
            try:
                os.write(self._bell, b"!")
            except BlockingIOError:
                return  # it rings already

    def take(self) -> list[Item]:
        """Return what is inside, oldest first, and silence the bell."""
        with suppress(BlockingIOError):
            os.read(self._listening, 4096)
        taken = []
        while self._items:
            taken.append(self._items.popleft())
        return taken

    def close(self) -> None:
        """Let the bell go. May be called twice."""
        with self._closing:
            if self._open:
                self._open = False
                os.close(self._listening)
                os.close(self._bell)
