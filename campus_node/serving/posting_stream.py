"""One open stream of batches: read ahead a little, post in order, write results as they come.

A batch is read only when one of the stream's places is free, and a place is free again when the result was
handed to gRPC. So a caller that does not take its results, or asks faster than the disk, is held back.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import grpc
import structlog

from campus_node.serving.callers import Caller, Callers
from campus_node.serving.calls import OUR_FAULT, abort
from campus_node.serving.posting import Posting
from campus_node.serving.wire import to_failed_result, to_result
from campuscard.v1 import ledger_pb2 as pb
from federation.errors import CampusCardError, NotIdentified, Unavailable
from federation.transfer import Answer

if TYPE_CHECKING:
    from campus_node.serving.calls import Context

_log = structlog.get_logger(__name__)


class ServingStream:
    """Serves one PostStream call.

    Args:
        context: the call.
        caller: who opened it; looked at again with every batch.
        callers: recognises callers.
        posting: the way to the engine.
        batches_in_flight_max: places.
    """

    def __init__(
        self,
        context: "Context",
        caller: Caller,
        callers: Callers,
        posting: Posting,
        batches_in_flight_max: int,
    ) -> None:
        self._context = context
        self._caller = caller
        self._callers = callers
        self._posting = posting
        self._places = asyncio.Semaphore(batches_in_flight_max)
        self._in_flight = 0
        self._results: asyncio.Queue[pb.PostBatchResult | None] = asyncio.Queue()  # None = look again
        self._reading: asyncio.Task[None] | None = None
        self._end: CampusCardError | None = None

    async def run(self) -> None:
        """Serve until the caller has sent and received everything, or until `end`."""
        reading = asyncio.create_task(self._read())
        self._reading = reading
        reading.add_done_callback(lambda _: self._results.put_nowait(None))
        try:
            while self._in_flight or not reading.done():
                result = await self._results.get()
                if result is not None:
                    await self._context.write(result)
                    self._in_flight -= 1
                    self._places.release()
        finally:
            reading.cancel()
        if self._end:
            await abort(self._context, self._end)
        if not reading.cancelled():
            reading.result()  # raises what ended it, if anything did

    def end(self, why: CampusCardError) -> None:
        """Read no more; what was read is posted and answered, then the call ends with this error."""
        self._end = self._end or why
        if self._reading:
            self._reading.cancel()

    def recheck(self) -> None:
        """End the call if its caller is not accepted any more."""
        try:
            self._caller = self._callers.renew(self._caller)
        except NotIdentified as error:
            self.end(error)

    async def _read(self) -> None:
        while self._end is None:
            await self._places.acquire()
            batch = await self._context.read()
            if batch is grpc.aio.EOF:
                return
            self._in_flight += 1
            try:
                await self._begin(batch)
            except BaseException:
                self._in_flight -= 1
                raise

    async def _begin(self, batch: pb.PostBatch) -> None:
        try:
            self._caller = self._callers.renew(self._caller)
            requests = await self._posting.requests(self._caller, batch.transfers)
            self._posting.submit(requests, partial(self._finish, batch.batch))
        except NotIdentified as error:
            self._end = error
            self._fail(batch.batch, error)
        except CampusCardError as error:
            self._fail(batch.batch, error)
        except Exception:  # a mistake of ours in one batch is no reason to leave the others without answers
            _log.exception("batch.failed", batch=batch.batch)
            self._fail(batch.batch, Unavailable(OUR_FAULT))

    def _finish(self, batch: int, outcome: Sequence[Answer] | Unavailable) -> None:
        if isinstance(outcome, Unavailable):
            self._fail(batch, outcome)
        else:
            self._results.put_nowait(to_result(batch, outcome, self._posting.now_unix_ms()))

    def _fail(self, batch: int, error: CampusCardError) -> None:
        self._results.put_nowait(to_failed_result(batch, error))
