"""What waits for the writer: a bounded queue of groups of requests, and of errands."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from federation.transfer import Request

Reply = Callable[[Any], None]  # told one Answer a request, what an errand brings, or Unavailable


class Group(NamedTuple):
    """Requests that came together and are answered together."""

    requests: Sequence[Request]
    reply: Reply


class Errand(NamedTuple):
    """Something else that only the writer may do."""

    run: Callable[[], object]
    reply: Reply


Taken = list[Group] | Errand | None


class WaitingLine:
    """First come, first served; `ready` guards it.

    Args:
        batch_items_max: how many items are taken at once.
    """

    def __init__(self, batch_items_max: int) -> None:
        self._batch_items_max = batch_items_max
        self._queue: deque[Group | Errand] = deque()
        self.ready = threading.Condition()
        self.items = 0  # requests that wait

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, item: Group | Errand) -> None:
        """Append; `ready` is held."""
        self._queue.append(item)
        if isinstance(item, Group):
            self.items += len(item.requests)

    def take(self) -> Taken:
        """Take the groups that fit into one batch, or one errand; `ready` is held."""
        if not self._queue:
            return None
        groups: list[Group] = []
        items = 0
        while self._queue:
            first = self._queue[0]
            if isinstance(first, Errand):
                if not groups:
                    self._queue.popleft()
                    return first
                break
            items += len(first.requests)
            if items > self._batch_items_max:
                break
            self._queue.popleft()
            groups.append(first)
        self.items -= sum(len(group.requests) for group in groups)
        return groups

    def clear(self) -> list[Group | Errand]:
        """Take everything; `ready` is held."""
        left = list(self._queue)
        self._queue.clear()
        self.items = 0
        return left
