"""A gateway reduced to its stream: says exactly what a test tells it to, hears everything."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc

from campus_node.records.spooled import Spooled
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import GatewaysStub
from tests.records.build import SPOOL
from tests.serving.node import Served

WAIT_S = 20.0


class RawGateway:
    """One open stream."""

    def __init__(self, call: Any) -> None:  # a call of the stub; its type has no name at run time
        self.call = call
        self.heard: list[pb.NodeToGateway] = []

    async def say(self, **body: Any) -> None:  # one field of the message
        await self.call.write(pb.GatewayToNode(**body))

    async def hello(self, last: int = 0, oldest: int = 0, spool_id: bytes = SPOOL) -> pb.NodeWelcome:
        """Say hello, and return the welcome."""
        hello = pb.GatewayHello(
            spool_id=spool_id, last_position=last, oldest_position=oldest, version="test", clock_unix_ms=1
        )
        await self.say(hello=hello)
        return (await self.hear("welcome")).welcome

    async def records(self, *records: Spooled) -> None:
        await self.say(records=pb.SpooledRecords(records=[wire_record(each) for each in records]))

    async def hear(
        self, body: str, wanted: Callable[[pb.NodeToGateway], bool] = lambda _: True
    ) -> pb.NodeToGateway:
        """Return the next message of a kind that is wanted; what comes before it is only remembered."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.call.read()
                assert isinstance(message, pb.NodeToGateway), f"it ended: {await self.call.details()}"
                self.heard.append(message)
                if message.WhichOneof("body") == body and wanted(message):
                    return message

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """Wait for the end of the stream; return its status."""
        async with asyncio.timeout(WAIT_S):
            with suppress(grpc.aio.AioRpcError):
                while (message := await self.call.read()) is not grpc.aio.EOF:
                    self.heard.append(message)
            code = await self.call.code()
            return code, await self.call.details()


@asynccontextmanager
async def attached(served: Served, name: str = "canteen") -> AsyncIterator[RawGateway]:
    """Open a stream as a gateway whose certificate exists."""
    async with served.channel(f"gateway/{name}") as channel:
        call = GatewaysStub(channel).Attach()
        yield RawGateway(call)
        call.cancel()


def wire_record(record: Spooled) -> pb.SpooledRecord:
    return pb.SpooledRecord(**record._asdict())
