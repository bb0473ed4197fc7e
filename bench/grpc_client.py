"""The client process of the benchmarks: `python -m bench.grpc_client JSON`, prints one JSON object.

It is the product's client, in a process of its own beside the node, as a gateway is.
"""

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bench.load import FUNDED_FEN, GROUP_ITEMS, Population
from campus_node.ledger.chart import FLOOR_NONE, Kind
from campus_node.ledger.client import LedgerClient, Opening, ServerAddress, TlsFiles, Transfer
from federation.clock import SystemClock
from federation.ids import TransferIds
from federation.transfer import Verb

UNARY_CALLERS: Final = 64
STREAM_BATCHES: Final = 8  # as many as a node reads ahead on one stream
_OPENINGS: Final = 1_024

CLOCK: Final = SystemClock()


class Work:
    """What the clients of one run share.

    Args:
        order: task, address, name, pki; cards and seconds where the task wants them.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._address = ServerAddress(order["address"], order["name"])
        self._pki = Path(order["pki"])
        self._population = Population(int(order["cards"]), seed=CLOCK.unix_ms())
        self._seconds = float(order.get("seconds", 0))
        self._ids = TransferIds()
        self._random = random.Random()
        self._items = 0
        self._latencies_s: list[float] = []

    async def fill(self) -> None:
        """Open all accounts and put money on every card."""
        async with self._client("node-bench") as client:
            openings = [
                Opening(o.account, o.holder, None if o.floor_fen != FLOOR_NONE else FLOOR_NONE)
                for some in self._population.openings()
                for o in some
            ]
            for start in range(0, len(openings), _OPENINGS):
                refusals = await client.open_accounts(openings[start : start + _OPENINGS])
                if any(refusals):
                    raise SystemExit(f"accounts were refused: {refusals}")
            cards = self._population.cards
            groups = (
                [self._load(card) for card in cards[start : start + GROUP_ITEMS]]
                for start in range(0, len(cards), GROUP_ITEMS)
            )
            async with client.stream() as stream:
                await self._all(STREAM_BATCHES, lambda: self._post_groups(stream.post, groups))

    async def stream(self) -> None:
        """Post purchases, 256 a message, pipelined on one stream."""
        async with self._client("gateway-bench") as client, client.stream() as stream:
            stop_at_s = CLOCK.monotonic_s() + self._seconds

            def groups() -> Iterator[list[Transfer]]:
                while CLOCK.monotonic_s() < stop_at_s:
                    yield self._purchases(GROUP_ITEMS)

            shared = groups()
            await self._all(STREAM_BATCHES, lambda: self._post_groups(stream.post, shared))

    async def unary(self) -> None:
        """Post purchases one a call, many callers at once."""
        async with self._client("gateway-bench") as client:
            stop_at_s = CLOCK.monotonic_s() + self._seconds

            async def call() -> None:
                while CLOCK.monotonic_s() < stop_at_s:
                    began_s = CLOCK.monotonic_s()
                    answer = await client.post(self._purchases(1)[0])
                    self._latencies_s.append(CLOCK.monotonic_s() - began_s)
                    if not answer.done:
                        raise SystemExit(f"refused: {answer.refusal_name}")
                    self._items += 1

            await self._all(UNARY_CALLERS, call)

    async def run(self, task: str) -> dict[str, float]:
        """Do it and return items, seconds and latencies in ms."""
        began_s = CLOCK.monotonic_s()
        await getattr(self, task)()
        seconds = CLOCK.monotonic_s() - began_s
        latencies = sorted(self._latencies_s) or [0.0]
        return {
            "items": self._items,
            "seconds": seconds,
            "p50_ms": latencies[len(latencies) // 2] * 1000,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        }

    def _client(self, leaf: str) -> LedgerClient:
        leaves = self._pki / "leaves"
        trusted = (self._pki / "campus.pem").read_bytes() + (self._pki / "root.pem").read_bytes()
        tls = TlsFiles(trusted, (leaves / f"{leaf}.pem").read_bytes(), (leaves / f"{leaf}.key").read_bytes())
        return LedgerClient(self._address, tls)

    async def _all(self, tasks: int, work: Callable[[], Awaitable[None]]) -> None:
        await asyncio.gather(*(work() for _ in range(tasks)))

    async def _post_groups(
        self, post: Callable[[list[Transfer]], Awaitable[Any]], groups: Iterator[list[Transfer]]
    ) -> None:
        for group in groups:
            began_s = CLOCK.monotonic_s()
            answers = await post(group)
            self._latencies_s.append(CLOCK.monotonic_s() - began_s)
            if any(answer.refusal for answer in answers):
                raise SystemExit("a transfer was refused")
            self._items += len(answers)

    def _purchases(self, count: int) -> list[Transfer]:
        made_at = CLOCK.unix_ms()
        draw, people = self._random.choices, self._population
        return [
            Transfer(self._ids.next(), Verb.POST, Kind.PURCHASE, card, merchant, 300 + card % 2_000, made_at)
            for card, merchant in zip(
                draw(people.cards, k=count), draw(people.merchants, k=count), strict=True
            )
        ]

    def _load(self, card: int) -> Transfer:
        made_at = CLOCK.unix_ms()
        return Transfer(
            self._ids.next(), Verb.POST, Kind.LOAD, self._population.bank, card, FUNDED_FEN, made_at
        )


if __name__ == "__main__":
    ORDER = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(Work(ORDER).run(ORDER["task"]))))
