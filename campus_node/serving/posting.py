"""From a caller's messages to the engine's queue: permissions, names, numbers, the way back."""

import asyncio
from collections.abc import Collection, Sequence

from campus_node.ledger.engine import Engine
from campus_node.serving.bridge import Reply, answer_into
from campus_node.serving.callers import Caller
from campus_node.serving.gathering import Gathering
from campus_node.serving.metrics import NodeMetrics
from campus_node.serving.permissions import require_items, require_names
from campus_node.serving.wire import NamesUnknown, names_in, to_requests
from campuscard.v1 import ledger_pb2 as pb
from federation.clock import SteadyClock
from federation.errors import Overloaded, Unreadable
from federation.transfer import Answer, Request


class Posting:
    """The way into one engine.

    Args:
        engine: what posts.
        books_clock: the clock that reservations lapse by; never goes back.
        items_max: transfers in one message.
        metrics: counts what is asked and what is sent back.
    """

    def __init__(
        self, engine: Engine, books_clock: SteadyClock, items_max: int, metrics: NodeMetrics
    ) -> None:
        self._engine = engine
        self._books_clock = books_clock
        self._items_max = items_max
        self._metrics = metrics
        self._singles = Gathering(self.submit, items_max)

    def now_unix_ms(self) -> int:
        """The instant from which what is left of a reservation is counted."""
        return max(self._books_clock.unix_ms(), self._engine.recorded_at_unix_ms)

    async def requests(
        self, caller: Caller, transfers: Sequence[pb.Transfer], *, approved: bool = False
    ) -> list[Request]:
        """Return what is asked, checked against what the caller may ask.

        Raises:
            NotPermitted, Unreadable: the whole message is refused; nothing of it is posted.
            Unavailable: a name is new and the ledger cannot give it a number now.
        """
        if not 0 < len(transfers) <= self._items_max:
            raise Unreadable(
                f"a message has 1 to {self._items_max} transfers, this one {len(transfers)}: split it"
            )
        try:
            requests = to_requests(transfers, caller.numbers)
        except NamesUnknown:
            names = names_in(transfers)
            require_names(caller.identity, names)
            requests = to_requests(transfers, await self._learn(caller, names))
        require_items(caller.identity, requests, approved=approved)
        return requests

    def submit(self, requests: Sequence[Request], reply: Reply) -> None:
        """Enqueue; see `Engine.submit`."""
        try:
            self._engine.submit(requests, reply)
        except Overloaded:
            self._metrics.overloaded()
            raise
        self._metrics.asked([request.verb for request in requests])

    def ask(self, request: Request) -> "asyncio.Future[Answer]":
        """Enqueue one request with others of this moment, and return where its answer will be."""
        return self._singles.ask(request)

    async def _learn(self, caller: Caller, names: Collection[str]) -> dict[str, int]:
        own = caller.identity.originator_name
        found: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
        self._engine.originator_numbers({name or own for name in names}, answer_into(found))
        by_full_name = await found
        numbers = {name: by_full_name[name or own] for name in names}
        caller.learn(numbers)
        return numbers
