"""What a node offers its gateways: `Gateways` of protos/campuscard/v1/gateway.proto (B3, A10).

A gateway has one stream; a newer one ends the older. It is told at once when something changes: the service
looks for that every second, for all streams.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from campus_node.serving.authorizing import Authorizing
from campus_node.serving.callers import Caller, Callers
from campus_node.serving.calls import OUR_FAULT, abort
from campus_node.serving.gateway_desk import GatewayDesk
from campus_node.serving.gateway_stream import GatewayStream
from campus_node.serving.limits import ServingLimits
from campus_node.serving.metrics import NodeMetrics
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import GatewaysServicer
from federation.errors import CampusCardError, NotPermitted, Overloaded, Refused, Stopping
from federation.identity import Role

if TYPE_CHECKING:
    from campus_node.serving.calls import Context

THREADS: Final = 8

_log = structlog.get_logger(__name__)


class GatewayService(GatewaysServicer):
    """Serves the gateways of one campus.

    Args:
        callers: recognises them.
        desk: does the work.
        authorizing: answers terminals' questions.
        threads: where the desk works.
        limits: how much may be under way.
        metrics: counts.
    """

    def __init__(
        self,
        callers: Callers,
        desk: GatewayDesk,
        authorizing: Authorizing,
        threads: ThreadPoolExecutor,
        limits: ServingLimits,
        metrics: NodeMetrics,
    ) -> None:
        self._callers = callers
        self._desk = desk
        self._authorizing = authorizing
        self._threads = threads
        self._limits = limits
        self._metrics = metrics
        self._streams: dict[str, GatewayStream] = {}
        self._stopping: CampusCardError | None = None

    async def Attach(  # type: ignore[override]  # noqa: N802  # gRPC takes coroutines too
        self, _messages: object, context: "Context"
    ) -> None:
        """The stream of one gateway."""
        try:
            stream = self._begin(context)
        except CampusCardError as error:
            await abort(context, error)
        try:
            await stream.run()
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except CampusCardError as error:
            _log.warning("gateway.stream_ends", gateway=stream.gateway, why=str(error))
            await abort(context, error)
        except Exception:  # this is the entry of a call: nothing above can answer the caller
            _log.exception("call.failed", call="Attach", gateway=stream.gateway)
            await context.abort(grpc.StatusCode.INTERNAL, OUR_FAULT)
        finally:
            if self._streams.get(stream.gateway) is stream:
                del self._streams[stream.gateway]
                self._note_gone(stream)

    async def FetchImage(  # noqa: N802
        self, request: pb.ImageAsked, context: "Context"
    ) -> AsyncIterator[pb.ImagePart]:
        """The bytes of an image from an offset on."""
        loop = asyncio.get_running_loop()
        try:
            self._gateway(context)
            offset = request.offset
            while content := await loop.run_in_executor(self._threads, self._desk.part, request.hash, offset):
                yield pb.ImagePart(offset=offset, content=content)
                offset += len(content)
        except CampusCardError as error:
            await abort(context, error)

    # The service's life

    @property
    def streams(self) -> int:
        """How many gateways are attached."""
        return len(self._streams)

    def recheck(self) -> None:
        """Cut the streams of gateways that are not accepted any more."""
        for stream in tuple(self._streams.values()):
            stream.recheck()

    async def spread_news(self) -> None:
        """Tell all gateways what changes, until cancelled."""
        while True:
            await asyncio.sleep(self._limits.gateway_poll_s)
            for stream in tuple(self._streams.values()):
                stream.look_for_news()

    def stop(self) -> None:
        """End all streams: what was taken is committed, gateways send the rest again."""
        self._stopping = Stopping("the node stops: attach again")
        for stream in tuple(self._streams.values()):
            stream.end(self._stopping)

    def _begin(self, context: "Context") -> GatewayStream:
        caller = self._gateway(context)
        if self._stopping:
            raise self._stopping
        name = caller.identity.name
        older = self._streams.get(name)
        if older is None and len(self._streams) >= self._limits.gateways_max:
            raise Overloaded(self._limits.overload_retry_ms)
        stream = GatewayStream(
            context,
            caller,
            self._callers,
            self._desk,
            self._authorizing,
            self._threads,
            self._limits,
            self._metrics,
        )
        self._streams[name] = stream
        if older is not None:
            older.end(Refused("a newer stream of this gateway has begun"))
        return stream

    def _gateway(self, context: "Context") -> Caller:
        caller = self._callers.of(context)
        if caller.identity.role is not Role.GATEWAY:
            raise NotPermitted(f"a {caller.identity.role} is no gateway")
        return caller

    def _note_gone(self, stream: GatewayStream) -> None:
        gone = asyncio.get_running_loop().run_in_executor(self._threads, self._desk.gone, stream.gateway)
        gone.add_done_callback(partial(_log_failure, stream.gateway))


def _log_failure(gateway: str, done: "asyncio.Future[None]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.warning("gateway.not_noted_as_gone", gateway=gateway, why=str(error))
