"""The stream to the node: mutual TLS, resumed by watermark, begun again when it breaks (B3, A10).

What is in the spool goes in its order, 64 to 256 records a message where so many wait, at most IN_FLIGHT_MAX
ahead of what the node has committed. Everything else that waits is small and goes first. Nothing here is
durable: what was on its way when the stream broke is sent again from the spool and the shelf.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import grpc
import structlog

from campus_node.gateway.spool import Spool
from campus_node.gateway.spool_turn import SpooledRow
from campus_node.pki import files
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import GatewaysStub
from federation.clock import Clock
from federation.errors import CampusCardError, NotFound, Unavailable
from federation.grpc_status import error_of

if TYPE_CHECKING:  # types only: they cannot be named at run time
    from campuscard.v1.gateway_pb2_grpc import GatewaysAsyncStub

    Call = grpc.aio.StreamStreamCall[pb.GatewayToNode, pb.NodeToGateway]

RECORDS_A_MESSAGE_MAX: Final = 256
RECORDS_A_MESSAGE_WANTED: Final = 64  # fewer only after LINGER_S, and while nothing is on its way
LINGER_S: Final = 0.1  # terminals have their answer already; the node is spared small messages
IN_FLIGHT_MAX: Final = 1_024
QUEUED_MAX: Final = 512
ALARMS_AT_ONCE: Final = 32
WELCOME_WITHIN_S: Final = 10.0
STALLED_AFTER_S: Final = 30.0
LOOK_EVERY_S: Final = 1.0
RETRY_S_MIN: Final = 0.2
RETRY_S_MAX: Final = 15.0
KEEPALIVE_MS: Final = 20_000
CONNECT_MAX_MS: Final = 5_000
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where the node is, and what the gateway shows it; files are read anew for every connection.

    Args:
        target: HOST:PORT.
        name: the DNS name that its certificate must carry.
        trusted: PEM files of authorities that may have issued it.
        certificate, key: the gateway's own.
    """

    target: str
    name: str
    trusted: tuple[Path, ...]
    certificate: Path
    key: Path


class LinkFloor(Protocol):
    """Whom the link tells; called on its loop, never waits."""

    def hello(self) -> pb.GatewayHello:
        """Return who calls."""

    def welcomed(self, welcome: pb.NodeWelcome) -> None:
        """Learn that the stream stands."""

    def parted(self) -> None:
        """Learn that it does not stand any more."""

    def told(self, message: pb.NodeToGateway) -> None:
        """Take what the node says, all but the welcome."""

    def alarms(self, after: int, most: int) -> list[pb.GatewayAlarm]:
        """Return alarms that the node may not have."""

    async def renumber(self) -> None:
        """Make the spool a new one: the node knows more of it than it does itself. Raise StoreDown."""


class NodeLink:
    """See the module.

    Args:
        place: the node's.
        spool: read only here.
        floor: whom it tells.
        clock: monotonic seconds.
        randomness: where jitter comes from.
    """

    def __init__(
        self, place: NodePlace, spool: Spool, floor: LinkFloor, clock: Clock, randomness: random.Random
    ) -> None:
        self._place = place
        self._spool = spool
        self._floor = floor
        self._clock = clock
        self._randomness = randomness
        self._queued: deque[pb.GatewayToNode] = deque()
        self._news = asyncio.Event()
        self._stub: GatewaysAsyncStub | None = None
        self._committed = self._sent = 0
        self._alarms_sent = 0
        self._heard_at_s = 0.0
        self._small_at_s: float | None = None  # when the few that wait are sent
        self.there = False
        self.connections = 0
        self.last_failure = ""

    def send(self, message: pb.GatewayToNode) -> bool:
        """Queue a message that is worth nothing after a break; False if the stream does not stand."""
        if not self.there or len(self._queued) >= QUEUED_MAX:
            return False
        self._queued.append(message)
        self._news.set()
        return True

    def wake(self) -> None:
        """Look at spool and alarms again; on the loop."""
        self._news.set()

    async def run(self) -> None:
        """Keep a stream to the node until cancelled."""
        wait_s = RETRY_S_MIN
        while True:
            began_s = self._clock.monotonic_s()
            try:
                await self._attach()
            except grpc.aio.AioRpcError as cause:
                error = error_of(cause.code(), cause.details() or "", tuple(cause.trailing_metadata() or ()))
                self.last_failure = str(error)
            except (CampusCardError, TimeoutError, OSError) as failure:
                self.last_failure = str(failure) or "the node does not answer"
            stood = self._part()
            if stood or self._clock.monotonic_s() - began_s > RETRY_S_MAX:
                wait_s = RETRY_S_MIN
            _log.info("link.down", why=self.last_failure, again_in_s=round(wait_s, 1))
            await asyncio.sleep(self._randomness.uniform(wait_s / 2, wait_s))
            wait_s = min(wait_s * 2, RETRY_S_MAX)

    async def fetch_image(self, digest: bytes, offset: int) -> AsyncIterator[pb.ImagePart]:
        """See `hooks.Images`."""
        stub = self._stub
        if stub is None:
            raise Unavailable(Sentence("the node is out of reach"))
        try:
            async for part in stub.FetchImage(pb.ImageAsked(hash=digest, offset=offset)):
                yield part
        except grpc.aio.AioRpcError as cause:
            if cause.code() is grpc.StatusCode.NOT_FOUND:
                raise NotFound(Sentence("the node has no such image")) from cause
            raise error_of(
                cause.code(), cause.details() or "", tuple(cause.trailing_metadata() or ())
            ) from cause

    def _part(self) -> bool:
        stood, self.there, self._stub = self.there, False, None
        self._queued.clear()
        if stood:
            self._floor.parted()
        return stood

    async def _attach(self) -> None:
        async with self._channel() as channel:
            stub: GatewaysAsyncStub = GatewaysStub(channel)
            call = stub.Attach()
            try:
                await self._begin(call)
                self._stub = stub
                await self._speak(call)
            finally:
                call.cancel()

    async def _begin(self, call: "Call") -> None:
        hello = self._floor.hello()
        await call.write(pb.GatewayToNode(hello=hello))
        async with asyncio.timeout(WELCOME_WITHIN_S):
            first = await call.read()
        if not isinstance(first, pb.NodeToGateway) or first.WhichOneof("body") != "welcome":
            raise Unavailable(Sentence("the node ended the stream"))
        welcome = first.welcome
        if welcome.committed_through > hello.last_position:
            _log.critical(
                "spool.older_than_the_node", node=welcome.committed_through, own=hello.last_position
            )
            await self._floor.renumber()
            raise Unavailable(Sentence("the spool was put back from a copy and begins anew"))
        self._committed = welcome.committed_through
        self._sent = max(welcome.committed_through, hello.oldest_position - 1, 0)
        self._alarms_sent = welcome.alarms_through
        self._heard_at_s = self._clock.monotonic_s()
        self.there = True
        self.connections += 1
        self._floor.welcomed(welcome)
        _log.info("link.up", node=self._place.target, committed_through=self._committed)

    async def _speak(self, call: "Call") -> None:
        tasks = [asyncio.create_task(self._listen(call)), asyncio.create_task(self._tell(call))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, call: "Call") -> None:
        while True:
            message = await call.read()
            if not isinstance(message, pb.NodeToGateway):  # the end
                status = await call.code()
                if status is grpc.StatusCode.OK:
                    raise Unavailable(Sentence("the node ended the stream"))
                raise error_of(
                    status, await call.details() or "", tuple(await call.trailing_metadata() or ())
                )
            self._heard_at_s = self._clock.monotonic_s()
            if message.WhichOneof("body") == "taken":
                self._note_marks(message.taken.committed_through)
            self._floor.told(message)

    def _note_marks(self, committed: int) -> None:
        if committed < self._committed:  # the node was restored: again what is above
            self._sent = max(committed, self._spool.state.oldest_position - 1, 0)
        self._committed = committed
        self._sent = max(self._sent, committed)
        self._news.set()

    async def _tell(self, call: "Call") -> None:
        while True:
            self._news.clear()
            while self._queued:
                await call.write(self._queued.popleft())
            for alarm in self._floor.alarms(self._alarms_sent, ALARMS_AT_ONCE):
                await call.write(pb.GatewayToNode(alarm=alarm))
                self._alarms_sent = alarm.number
            if await self._send_records(call):
                self._small_at_s = None
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S if self._small_at_s is None else LINGER_S):
                    await self._news.wait()
            if (
                self._sent > self._committed
                and self._clock.monotonic_s() - self._heard_at_s > STALLED_AFTER_S
            ):
                raise Unavailable(Sentence("the node takes nothing any more"))

    async def _send_records(self, call: "Call") -> bool:
        in_flight = self._sent - self._committed
        waiting = self._spool.state.last_position - self._sent
        if not waiting or in_flight >= IN_FLIGHT_MAX:
            return False
        if waiting < RECORDS_A_MESSAGE_WANTED and not self._linger_is_over(in_flight):
            return False
        after = self._sent
        rows = await asyncio.to_thread(self._spool.read, after, RECORDS_A_MESSAGE_MAX)
        if not rows or self._sent != after:  # the marks went back meanwhile
            return bool(rows)
        self._sent = rows[-1].position
        await call.write(pb.GatewayToNode(records=pb.SpooledRecords(records=map(_on_the_wire, rows))))
        return True

    def _linger_is_over(self, in_flight: int) -> bool:
        """Tell whether a few records go now; more may come meanwhile, or until the node has answered."""
        now_s = self._clock.monotonic_s()
        if self._small_at_s is None:
            self._small_at_s = now_s + LINGER_S
        return not in_flight and now_s >= self._small_at_s

    def _channel(self) -> grpc.aio.Channel:
        place = self._place
        credentials = grpc.ssl_channel_credentials(
            b"".join(files.read(path) for path in place.trusted),
            files.read(place.key),
            files.read(place.certificate),
        )
        options: list[tuple[str, str | int]] = [
            ("grpc.ssl_target_name_override", place.name),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.min_reconnect_backoff_ms", CONNECT_MAX_MS),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.use_local_subchannel_pool", 1),  # a new connection each time: a renewed certificate counts
        ]
        return grpc.aio.secure_channel(place.target, credentials, options=options)


def _on_the_wire(row: SpooledRow) -> pb.SpooledRecord:
    return pb.SpooledRecord(
        position=row.position,
        terminal_id=row.terminal_id,
        journal_id=row.journal_id,
        seq=row.seq,
        body=row.body,
        taken_at_unix_ms=row.taken_at_unix_ms,
        recollected=bool(row.recollected),
    )
