"""Whose turn it is: first the lines, then the terminals of each, one message a turn (B4.1). Pure.

A terminal with much to say waits behind itself only, and a line with many terminals does not outweigh one
with few. What one terminal may have waiting is bounded; a terminal sends again what found no place.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

WAITING_MAX: Final = 64  # messages of one terminal: what it may send before it is answered

L = TypeVar("L", bound=Hashable)
T = TypeVar("T", bound=Hashable)
M = TypeVar("M")


class FairQueue(Generic[L, T, M]):
    """Messages by line and terminal. Not for several threads at once.

    Args:
        waiting_max: how many messages of one terminal may wait.
    """

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._lines: OrderedDict[L, OrderedDict[T, deque[M]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, line: L, terminal: T, message: M) -> bool:
        """Queue a message; False if the terminal has enough waiting."""
        terminals = self._lines.setdefault(line, OrderedDict())
        waiting = terminals.setdefault(terminal, deque())
        if len(waiting) >= self._waiting_max:
            return False
        waiting.append(message)
        self._count += 1
        return True

    def take(self) -> Iterator[M]:
        """Yield messages in turn and remove them, until the caller stops or none is left."""
        while self._lines:
            line, terminals = next(iter(self._lines.items()))
            terminal, waiting = next(iter(terminals.items()))
            message = waiting.popleft()
            self._count -= 1
            if waiting:
                terminals.move_to_end(terminal)
            else:
                del terminals[terminal]
            if terminals:
                self._lines.move_to_end(line)
            else:
                del self._lines[line]
            yield message
