"""`campus node run`: one campus's node, from its directory to its last answer.

It starts in an order in which nothing is promised too early: settings, certificates, schema, ports, the lease
on the ledger, and only then callers. It stops the other way round: no new calls, answers for all that was
accepted, then the lease is let go.
"""

import asyncio
import os
import random
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import sqlalchemy
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # ships no types

from campus_node.campus_directory import CampusDirectory, Ports
from campus_node.database import migrate
from campus_node.database.connect import connect
from campus_node.devices.front import DeviceFront
from campus_node.ledger.engine import Engine, EngineLimits, EngineState
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import Store
from campus_node.outbox.relay import OutboxRelay
from campus_node.outbox.relay_thread import RelayThread
from campus_node.pki import files
from campus_node.pki.trust import CampusTrust, make_trust
from campus_node.serving import log
from campus_node.serving.alarm_recorder import AlarmRecorder
from campus_node.serving.bridge import LoopDelivery
from campus_node.serving.callers import Callers
from campus_node.serving.gateway_front import GatewayFront
from campus_node.serving.grpc_server import NodeCertificate, bind, make_server
from campus_node.serving.health import LEDGER_SERVICE, Health
from campus_node.serving.ledger_service import LedgerService
from campus_node.serving.limits import ServingLimits
from campus_node.serving.metrics import NodeMetrics
from campus_node.serving.metrics_server import MetricsServer
from campus_node.serving.observer import NodeObserver
from campus_node.serving.posting import Posting
from campus_node.serving.supervision import watch_engine, watch_trust
from campus_node.settings import Settings
from campus_node.watch.alarms import TOPIC as ALARM_TOPIC
from campus_node.watch.receiver import AlarmReceiver, raise_dead_letter
from campuscard.v1.ledger_pb2_grpc import add_LedgerServicer_to_server
from federation.business_date import BusinessCalendar
from federation.clock import Clock, SteadyClock, SystemClock

GATEWAYS: Final = "campuscard.v1.Gateways"
SQLITE_PREFIX: Final = "sqlite:///"
LAST_WORDS_S: Final = 2.0  # for threads that only finish what they are at
ENDED_BY_ITSELF: Final = {
    EngineState.LEASE_LOST: "another process has taken over this ledger, and only one may write. If that "
    "was a mistake, stop the other one and start this one again",
    EngineState.STOPPED: "the ledger has ended by a mistake of ours: the log above says why. Start again",
}

_log = structlog.get_logger(__name__)


def run(directory: Path, clock: Clock | None = None) -> int:
    """Run a node until it is told to stop (SIGTERM, SIGINT) or may not post any more.

    Returns:
        0 = it was told to stop; 1 = another writer took over its ledger, or its ledger ended.

    Raises:
        Misconfigured: it cannot start as things are; says what to change.
        StoreDown: its database does not answer at the start.
    """
    return asyncio.run(_run_until_stopped(directory, clock or SystemClock()))


async def _run_until_stopped(directory: Path, clock: Clock) -> int:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    campus = CampusDirectory(directory)
    settings = campus.settings()
    log.configure(settings.log.level, settings.log.format)
    with ExitStack() as closing:
        node = Node(campus, settings, clock, closing)
        await node.start()
        ended = asyncio.create_task(node.until_ended())
        await asyncio.wait({asyncio.create_task(asked.wait()), ended}, return_when=asyncio.FIRST_COMPLETED)
        why = ENDED_BY_ITSELF[ended.result()] if ended.done() else ""
        if why:
            _log.critical("node.ends", why=why)
        ended.cancel()
        await node.stop()
        _log.info("node.stopped")
        return 1 if why else 0


class Node:
    """The parts of one node, put together by hand.

    Args:
        campus: its directory.
        settings: of it.
        clock: of everything in it.
        closing: gets what must be closed in the end, also after a failed start.
        limits: of its API.

    Raises:
        Misconfigured: settings, certificates, schema or the metrics' port are wrong.
        StoreDown: its database does not answer.
    """

    def __init__(
        self,
        campus: CampusDirectory,
        settings: Settings,
        clock: Clock,
        closing: ExitStack,
        limits: ServingLimits | None = None,
    ) -> None:
        self._campus = campus
        self._clock = clock
        self._closing = closing
        self._settings = settings
        self._certificate = NodeCertificate(campus.path, settings, clock)
        self._callers = Callers(lambda: _load_trust(campus.path, settings), clock)
        url = campus.database_url(settings)
        migrate.require_current(url)
        self._db = connect(url)
        closing.callback(self._db.dispose)
        self._metrics = NodeMetrics()
        self._alarms = AlarmRecorder(self._db, clock)
        self._engine = _make_engine(
            settings, url, clock, NodeObserver(self._metrics, self._alarms), asyncio.get_running_loop()
        )
        self._limits = limits or ServingLimits(items_per_batch_max=min(1024, settings.ledger.batch_items_max))
        self._posting = Posting(
            self._engine, SteadyClock(clock), self._limits.items_per_batch_max, self._metrics
        )
        self._service = LedgerService(
            self._engine, self._posting, self._db, self._callers, clock, self._limits
        )
        self._health = Health()
        self._relay = _make_relay(self._db, clock)
        self._devices = DeviceFront(campus.path, settings, self._db, clock)
        closing.callback(self._devices.close)
        self._gateways = GatewayFront(
            campus.path,
            settings,
            self._db,
            self._callers,
            self._engine,
            self._posting,
            self._devices.board,
            NodeObserver(self._metrics, self._alarms),
            self._metrics,
            clock,
            self._limits,
        )
        closing.callback(self._gateways.close)
        self._server = make_server(settings)
        host, _, port = settings.metrics.listen.rpartition(":")
        self._metrics_server = MetricsServer(
            host.strip("[]"), int(port), self._metrics.registry, lambda: self._health.serving
        )
        closing.callback(self._metrics_server.stop)

    async def start(self) -> None:
        """Begin to serve, and say so in run/ports.json."""
        grpc_port = self._add_services()
        await asyncio.to_thread(self._engine.start)
        self._closing.callback(self._engine.stop, 0)
        self._show_figures()
        self._metrics_server.start()
        self._alarms.start()
        self._relay.start()
        await self._server.start()
        self._gateways.start()
        web_port, devices_port = await self._devices.start()
        await self._health.tell(serving=True)
        metrics_port = self._metrics_server.port
        self._campus.write_ports(Ports(os.getpid(), grpc_port, metrics_port, web_port, devices_port))
        self._closing.callback(self._campus.remove_ports)
        _log.info(
            "node.ready",
            campus=self._settings.campus.name,
            grpc_port=grpc_port,
            metrics_port=metrics_port,
            web_port=web_port,
            devices_port=devices_port,
        )

    async def until_ended(self) -> EngineState:
        """Watch over everything; return when the engine ended by itself."""
        pki = self._settings.pki
        trust = asyncio.create_task(
            watch_trust(
                self._callers,
                [self._service, self._gateways.service],
                [self._campus.path / path for path in (pki.crl, pki.campus_ca)],
                self._limits.trust_poll_s,
                NodeObserver(self._metrics, self._alarms).alarm,
            )
        )
        try:
            return await watch_engine(self._engine, self._health)
        finally:
            trust.cancel()

    async def stop(self) -> None:
        """Take no more, answer what was taken, at most for drain_s, and let the ledger go."""
        drain_s = self._settings.grpc.drain_s
        stop_by_s = self._clock.monotonic_s() + drain_s
        _log.info("node.drains", queued_items=self._engine.queued_items, streams=self._service.streams)
        await self._health.stop()
        self._service.stop()
        await self._gateways.stop()
        await asyncio.gather(self._devices.stop(), self._server.stop(drain_s))
        left_s = max(0.0, stop_by_s - self._clock.monotonic_s())
        await asyncio.to_thread(self._engine.stop, left_s)
        self._service.close()
        await asyncio.to_thread(self._relay.stop, LAST_WORDS_S)
        await asyncio.to_thread(self._alarms.stop, LAST_WORDS_S)

    def _add_services(self) -> int:
        add_LedgerServicer_to_server(self._service, self._server)
        self._gateways.join(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._settings.grpc.reflection:
            names = (LEDGER_SERVICE, GATEWAYS, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        return bind(self._server, self._settings.grpc.listen, self._certificate.credentials())

    def _show_figures(self) -> None:
        watch = self._metrics.watch
        watch("campus_ledger_queued_items", "Items that wait", lambda: self._engine.queued_items)
        watch("campus_ledger_serving", "1 = the ledger can post", lambda: float(self._health.serving))
        watch("campus_posting_streams", "Open streams", lambda: self._service.streams)


def _load_trust(directory: Path, settings: Settings) -> CampusTrust:
    authority = files.read_certificate(directory / settings.pki.campus_ca)
    return make_trust(settings.campus.name, authority, files.read_crl(directory / settings.pki.crl))


def _make_engine(
    settings: Settings, url: str, clock: Clock, observer: NodeObserver, loop: asyncio.AbstractEventLoop
) -> Engine:
    store: Store = (
        SqliteStore(Path(url.removeprefix(SQLITE_PREFIX)))
        if url.startswith(SQLITE_PREFIX)
        else PostgresStore(url)
    )
    return Engine(
        store,
        clock,
        BusinessCalendar(settings.campus.timezone, settings.campus.cut_off),
        holder=f"{settings.campus.name} on {socket.gethostname()}, process {os.getpid()}",
        limits=EngineLimits(
            queue_items_max=settings.ledger.queue_items_max,
            batch_items_max=settings.ledger.batch_items_max,
            outage_hold_s=settings.ledger.outage_hold_s,
        ),
        deliver=LoopDelivery(loop),
        observer=observer,
    )


def _make_relay(db: sqlalchemy.Engine, clock: Clock) -> RelayThread:
    jitter = random.Random()  # noqa: S311 - spreads repeats, keeps no secret
    deliverers = {ALARM_TOPIC: AlarmReceiver(db, clock)}
    return RelayThread(OutboxRelay(db, clock, deliverers, raise_dead_letter, jitter))
