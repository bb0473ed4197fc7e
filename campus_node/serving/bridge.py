"""From the engine's thread to the event loop: one hop a batch, however many wait for it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from campus_node.ledger.engine import Delivery
from federation.errors import Unavailable
from federation.transfer import Answer

T = TypeVar("T")
Reply = Callable[[Sequence[Answer] | Unavailable], None]


class LoopDelivery:
    """Hands a batch's answers to the event loop; what the engine's `deliver` wants.

    Args:
        loop: where the replies are called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __call__(self, deliveries: Sequence[Delivery]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(_reply_all, deliveries)


def _reply_all(deliveries: Sequence[Delivery]) -> None:
    for reply, outcome in deliveries:
        reply(outcome)


def answer_into(future: "asyncio.Future[T]") -> Callable[[T | Unavailable], None]:
    """Return a reply that settles a future, unless its caller has gone."""

    def reply(outcome: T | Unavailable) -> None:
        if future.done():
            return
        if isinstance(outcome, Unavailable):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return reply
