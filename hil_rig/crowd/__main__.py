"""The client process: `python -m hil_rig.crowd ORDER.json`.

Tells its progress on standard output, one JSON object a line, TELLS_PER_S times; the last has `"done": true`.
A line on standard input, or its end, is the order to stop: what is under way is still asked to its end.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from campus_node.ledger.client import LedgerClient, RetryPolicy, ServerAddress
from federation.clock import SystemClock
from federation.ids import TransferIds
from hil_rig.crowd.crowd import Crowd, Progress
from hil_rig.crowd.order import Order, read_order
from hil_rig.crowd.outing import Shopper
from hil_rig.crowd.receipts import Receipts
from hil_rig.crowd.tills import Gateway, GatewayTerminal, Terminal, Till

TELLS_PER_S = 100  # a parent that picks its moment by it is at most a few requests late
ONCE = RetryPolicy(attempts_max=1, deadline_s=20.0)  # the crowd itself repeats, and notes each attempt


def tell(progress: Progress, *, done: bool) -> None:
    """Tell the parent process how far we are."""
    sys.stdout.write(json.dumps({**asdict(progress), "done": done}) + "\n")
    sys.stdout.flush()


async def pay(order: Order) -> None:
    """Let everybody pay; return when every question is answered or given up."""
    clock = SystemClock()
    receipts = Receipts(Path(order.receipts))
    crowd = Crowd(receipts, clock, order.seed, order.patience_s)
    ids = TransferIds(clock)
    listener = asyncio.create_task(_stop_when_told(crowd))
    teller = asyncio.create_task(_tell_on(crowd))
    address = ServerAddress(order.target, order.server_name)
    async with AsyncExitStack() as stack:
        gateway_client = await stack.enter_async_context(LedgerClient(address, order.gateway.load(), ONCE))
        gateway = Gateway(await stack.enter_async_context(gateway_client.stream()))
        async with asyncio.TaskGroup() as people:
            for number, person in enumerate(order.people):
                till: Till
                if number < len(order.terminals):
                    files = order.terminals[number]
                    client = LedgerClient(address, files.load(), ONCE)
                    till = Terminal(files.originator, await stack.enter_async_context(client))
                else:
                    till = GatewayTerminal(f"terminal/{order.gateway.name}-{person.number:04d}", gateway)
                shopper = Shopper(person, order.seed, ids.next, clock.unix_ms)
                people.create_task(crowd.visit(shopper, till, order.payments_each))
    listener.cancel()
    teller.cancel()
    receipts.close()
    tell(crowd.progress, done=True)


async def _tell_on(crowd: Crowd) -> None:
    while True:
        tell(crowd.progress, done=False)
        await asyncio.sleep(1 / TELLS_PER_S)


async def _stop_when_told(crowd: Crowd) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.readline()
    crowd.stop()


if __name__ == "__main__":
    asyncio.run(pay(read_order(Path(sys.argv[1]))))
