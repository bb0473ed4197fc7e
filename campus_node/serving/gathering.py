"""Single calls that came in the same turn of the event loop go to the engine as one group.

Handing over costs a lock and a wake-up of the engine's thread; a busy node has many calls a turn.
"""

import asyncio
from collections.abc import Callable, Sequence

from campus_node.serving.bridge import Reply
from federation.errors import CampusCardError, Unavailable
from federation.transfer import Answer, Request

Submit = Callable[[Sequence[Request], Reply], None]
_Asked = list["asyncio.Future[Answer]"]


class Gathering:
    """Takes single requests and submits them together, at the latest at the end of this turn of the loop.

    Args:
        submit: takes a group, or raises why it does not.
        items_max: in one group.
    """

    def __init__(self, submit: Submit, items_max: int) -> None:
        self._submit = submit
        self._items_max = items_max
        self._requests: list[Request] = []
        self._futures: _Asked = []

    def ask(self, request: Request) -> "asyncio.Future[Answer]":
        """Return where the answer will be, or why there is none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._requests:
            loop.call_soon(self._hand_over)
        self._requests.append(request)
        self._futures.append(future)
        if len(self._requests) == self._items_max:
            self._hand_over()
        return future

    def _hand_over(self) -> None:
        requests, futures = self._requests, self._futures
        if not requests:
            return
        self._requests, self._futures = [], []

        def reply(outcome: Sequence[Answer] | Unavailable) -> None:
            if isinstance(outcome, Unavailable):
                _fail(futures, outcome)
                return
            for future, answer in zip(futures, outcome, strict=True):
                if not future.done():  # its caller has gone
                    future.set_result(answer)

        try:
            self._submit(requests, reply)
        except CampusCardError as error:
            _fail(futures, error)


def _fail(futures: _Asked, error: CampusCardError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
