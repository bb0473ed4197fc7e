"""Many transfers a message, from the caller's side: pipelined, matched by number, repeated after a break."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from campus_node.ledger.client_messages import PostAnswer, Transfer, answer_from_wire, transfer_to_wire
from campuscard.v1 import ledger_pb2 as pb
from federation.errors import CampusCardError, Unavailable
from federation.grpc_status import error_of, error_of_number

if TYPE_CHECKING:  # types only: they cannot be named at run time
    from campuscard.v1.ledger_pb2_grpc import LedgerAsyncStub

    Call = grpc.aio.StreamStreamCall[pb.PostBatch, pb.PostBatchResult]

Answers = list[PostAnswer]
Repeat = Callable[[Callable[[], Awaitable[Answers]]], Awaitable[Answers]]


class _Connection:
    """One call of PostStream, with the batches that wait for their results."""

    def __init__(self, stub: "LedgerAsyncStub") -> None:
        self._call: Call = stub.PostStream()
        self._waiting: dict[int, asyncio.Future[pb.PostBatchResult]] = {}
        self._sending = asyncio.Lock()
        self._receiver = asyncio.create_task(self._receive())
        self.broken: CampusCardError | None = None

    async def ask(self, batch: pb.PostBatch) -> pb.PostBatchResult:
        """Send one batch and return its result; raise what broke the call."""
        if self.broken:
            raise self.broken
        answer: asyncio.Future[pb.PostBatchResult] = asyncio.get_running_loop().create_future()
        self._waiting[batch.batch] = answer
        try:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the receiver learns why
                async with self._sending:
                    await self._call.write(batch)
            return await answer
        finally:
            self._waiting.pop(batch.batch, None)

    async def _receive(self) -> None:
        error: CampusCardError = Unavailable("the stream was closed")
        try:
            async for result in self._call:
                answer = self._waiting.get(result.batch)
                if answer is not None and not answer.done():
                    answer.set_result(result)
            error = Unavailable("the node ended the stream")
        except grpc.aio.AioRpcError as cause:
            error = error_of(cause.code(), cause.details() or "", tuple(cause.trailing_metadata()))
        except asyncio.CancelledError:
            if not self._call.cancelled():  # somebody cancelled us, not the call
                raise
        finally:
            self.broken = error
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(error)

    async def end(self) -> None:
        """Take no more results."""
        self._call.cancel()
        self._receiver.cancel()
        with suppress(asyncio.CancelledError):
            await self._receiver


class PostingStream:
    """A stream for many transfers a message. Many tasks may `post` at once: batches are pipelined.

    Args:
        stub: of an open channel.
        repeat: repeats a question until it is answered, bounded.
        deadline_s: for one attempt at one batch; after it the call is given up and opened anew.
    """

    def __init__(self, stub: "LedgerAsyncStub", repeat: Repeat, deadline_s: float) -> None:
        self._stub = stub
        self._repeat = repeat
        self._deadline_s = deadline_s
        self._connection: _Connection | None = None
        self._batches = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection:
            await self._connection.end()

    async def post(self, transfers: Sequence[Transfer]) -> Answers:
        """Post 1 to 1024 transfers, in order, and return an answer for each.

        Raises:
            Unavailable: no attempt was answered. Repeat later with the same transfers.
            Refused: the node did not pass the batch to its ledger: not permitted, not readable. Nothing of it
                was posted.
        """
        wire = [transfer_to_wire(each) for each in transfers]
        return await self._repeat(lambda: self._ask_once(wire))

    async def _ask_once(self, wire: Sequence[pb.Transfer]) -> Answers:
        if self._connection is None or self._connection.broken:
            self._connection = _Connection(self._stub)
        connection = self._connection
        self._batches += 1
        batch = pb.PostBatch(batch=self._batches, transfers=wire)
        try:
            async with asyncio.timeout(self._deadline_s):
                result = await connection.ask(batch)
        except TimeoutError as cause:
            await connection.end()
            raise Unavailable(f"no answer within {self._deadline_s} s") from cause
        if result.HasField("error"):
            raise error_of_number(result.error.code, result.error.message, result.error.retry_after_ms)
        return [answer_from_wire(answer) for answer in result.answers]
