"""Where people pay: a terminal with a certificate of its own, or one of many behind a gateway."""

import asyncio
from typing import Final, Protocol

from campus_node.ledger.client import LedgerClient, PostAnswer, PostingStream, Transfer
from federation.errors import CampusCardError

BATCH_ITEMS_MAX: Final = 256
BATCHES_MAX: Final = 3  # of one gateway, under way at the same time


class Till(Protocol):
    """Takes a question to the node, once."""

    originator: str

    async def ask(self, transfer: Transfer) -> PostAnswer:
        """Raise Unavailable when there is no answer."""


class Terminal:
    """A terminal with a certificate and a channel of its own: one question a call."""

    def __init__(self, originator: str, client: LedgerClient) -> None:
        self.originator = originator
        self._client = client

    async def ask(self, transfer: Transfer) -> PostAnswer:
        return await self._client.post(transfer)


class Gateway:
    """Carries its terminals' questions: what is asked while BATCHES_MAX are under way goes with the next."""

    def __init__(self, stream: PostingStream) -> None:
        self._stream = stream
        self._asked: list[tuple[Transfer, asyncio.Future[PostAnswer]]] = []
        self._carriers: set[asyncio.Task[None]] = set()

    async def ask(self, transfer: Transfer) -> PostAnswer:
        answer: asyncio.Future[PostAnswer] = asyncio.get_running_loop().create_future()
        self._asked.append((transfer, answer))
        if len(self._carriers) < BATCHES_MAX:
            carrier = asyncio.create_task(self._carry())
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)
        return await answer

    async def _carry(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:BATCH_ITEMS_MAX], self._asked[BATCH_ITEMS_MAX:]
            try:
                answers = await self._stream.post([transfer for transfer, _ in batch])
            except CampusCardError as error:
                for _, waiting in batch:
                    waiting.set_exception(error)
            else:
                for (_, waiting), answer in zip(batch, answers, strict=True):
                    waiting.set_result(answer)


class GatewayTerminal:
    """A terminal that is known to its gateway only: it has a name of its own and no certificate."""

    def __init__(self, originator: str, gateway: Gateway) -> None:
        self.originator = originator
        self._gateway = gateway

    async def ask(self, transfer: Transfer) -> PostAnswer:
        return await self._gateway.ask(transfer._replace(originator=self.originator))
