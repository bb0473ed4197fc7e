"""`campuscard.v1.Devices` on a port of its own: TLS of the node, and a device key instead of a certificate.

Machines of others have no certificate of this campus, and the posting API shall open to nobody without one.
So this port knows nothing but reports, with limits of its own: whatever comes there, it costs tills nothing.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import grpc

from campus_node.devices.desk import ReportDesk
from campus_node.devices.wire import reports_of
from campus_node.serving.calls import answering
from campus_node.serving.grpc_server import HANDSHAKE_MAX_MS, METADATA_BYTES_MAX, PING_INTERVAL_MIN_MS
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import DevicesServicer, add_DevicesServicer_to_server
from federation.errors import Overloaded

if TYPE_CHECKING:
    from campus_node.serving.calls import Context

T = TypeVar("T")

CALLS_MAX: Final = 64  # under way at once
THREADS: Final = 4
CONNECTION_AGE_MS: Final = 3_600_000
IDLE_MS: Final = 300_000
FULL_RETRY_MS: Final = 500


class DevicesService(DevicesServicer):
    """Takes reports by gRPC.

    Args:
        desk: what decides.
    """

    def __init__(self, desk: ReportDesk) -> None:
        self._desk = desk
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="device-reports")
        self._under_way = 0

    @answering
    async def Report(  # noqa: N802
        self, request: pb.ReportRequest, context: "Context"
    ) -> pb.ReportResponse:
        """Take reports under the key in the metadata `authorization`."""
        shown = [str(value) for key, value in context.invocation_metadata() or () if key == "authorization"]
        key = await self._apart(lambda: self._desk.admit(shown[0] if len(shown) == 1 else ""))
        reports = reports_of(request)
        return pb.ReportResponse(taken=await self._apart(lambda: self._desk.report(key, reports)))

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _apart(self, work: Callable[[], T]) -> T:
        if self._under_way >= CALLS_MAX:
            raise Overloaded(FULL_RETRY_MS)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def make_report_server(service: DevicesService, message_bytes_max: int) -> grpc.aio.Server:
    """Return a server with this service only, and tight limits."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", message_bytes_max),
            ("grpc.max_send_message_length", message_bytes_max),
            ("grpc.max_metadata_size", METADATA_BYTES_MAX),
            ("grpc.max_concurrent_streams", CALLS_MAX),
            ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
            ("grpc.max_connection_idle_ms", IDLE_MS),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MAX_MS),
            ("grpc.so_reuseport", 0),
        ],
        maximum_concurrent_rpcs=CALLS_MAX * 2,
    )
    add_DevicesServicer_to_server(service, server)
    return server
