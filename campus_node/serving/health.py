"""Health for those who route to this node: gRPC health checking and GET /healthz say the same."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from campuscard.v1 import ledger_pb2

if TYPE_CHECKING:
    from campus_node.serving.calls import Context

LEDGER_SERVICE: Final = ledger_pb2.DESCRIPTOR.services_by_name["Ledger"].full_name
_Status = health_pb2.HealthCheckResponse


class Health(health_aio.HealthServicer):
    """Serves grpc.health.v1.Health for the node as a whole and for its ledger; begins as NOT_SERVING."""

    def __init__(self) -> None:
        super().__init__()
        self.serving = False  # read by other threads
        self._watchers: set[asyncio.Task[None]] = set()
        self._server_status = dict.fromkeys(("", LEDGER_SERVICE), _Status.NOT_SERVING)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: "Context"
    ) -> None:
        """Tell every change until the watcher or the node goes away."""
        watcher = asyncio.current_task()
        assert watcher is not None, "calls run in tasks"
        self._watchers.add(watcher)
        try:
            with suppress(asyncio.CancelledError):
                await super().Watch(request, context)
        finally:
            self._watchers.discard(watcher)

    async def tell(self, *, serving: bool) -> None:
        """Say whether this node posts; told again after `stop`, nothing changes."""
        status = _Status.SERVING if serving else _Status.NOT_SERVING
        for service in ("", LEDGER_SERVICE):
            await self.set(service, status)
        self.serving = serving

    async def stop(self) -> None:
        """Say NOT_SERVING for good, and let the watchers go."""
        self.serving = False
        await self.enter_graceful_shutdown()
        await asyncio.sleep(0)  # watchers that were woken write their last word first
        for watcher in tuple(self._watchers):
            watcher.cancel()
