"""A node's part for its gateways, put together: whom they serve, what they bring, what tills may sell."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import grpc
import structlog
from sqlalchemy import Engine as Database

from campus_node.devices.board import DeviceBoard
from campus_node.firmware.conducting import conduct
from campus_node.firmware.conductor import Conductor
from campus_node.firmware.meals import MealTimes
from campus_node.ledger.engine import Engine
from campus_node.notices.desk import NoticeDesk
from campus_node.records.intake import Intake
from campus_node.serving.authorizing import Authorizing
from campus_node.serving.callers import Callers
from campus_node.serving.gateway_desk import GatewayDesk
from campus_node.serving.gateway_service import GatewayService
from campus_node.serving.limits import ServingLimits
from campus_node.serving.metrics import NodeMetrics
from campus_node.serving.observer import NodeObserver
from campus_node.serving.posting import Posting
from campus_node.serving.record_books import make_bookkeeping
from campus_node.serving.rolls import Rolls, open_keys
from campus_node.settings import Settings
from campuscard.v1.gateway_pb2_grpc import add_GatewaysServicer_to_server
from federation.clock import Clock

THREADS: Final = 8  # each waits for the database most of the time
LAST_RECORDS_S: Final = 5.0
LOOKING_UP: Final = 2  # of their own: somebody stands at a till
_HOUR_MS: Final = 3_600_000

_log = structlog.get_logger(__name__)


class GatewayFront:
    """What a node does for its gateways, from start to stop.

    Args:
        directory: the campus's.
        settings: of it.
        db: its database.
        callers: recognises gateways.
        engine, posting: its ledger.
        board: how devices are.
        observer: is told of alarms.
        metrics: counts.
        clock: of everything.
        limits: how much may be under way.

    Raises:
        Misconfigured, Refused, Tampered: the key store cannot be opened.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        db: Database,
        callers: Callers,
        engine: Engine,
        posting: Posting,
        board: DeviceBoard,
        observer: NodeObserver,
        metrics: NodeMetrics,
        clock: Clock,
        limits: ServingLimits,
    ) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateways")
        self._looking_up = ThreadPoolExecutor(LOOKING_UP, thread_name_prefix="tills")
        self.notices = NoticeDesk.of(directory, db, clock)
        self._keys = open_keys(directory, settings.keys)
        records = settings.records
        self._bookkeeping = make_bookkeeping(self._keys, settings, db, engine, self.notices, clock)
        intake = Intake(
            db,
            clock,
            covered_by_backup=records.covered_by == "backup",
            on_taken=self._bookkeeping.wake,
        )
        rolls = Rolls(
            db, self._keys, clock, settings.keys.lease_hours, self.notices.public_key, observer.alarm
        )
        desk = GatewayDesk(
            intake, rolls, board, self.notices, clock, metrics, round(records.recollect_after_s * 1000)
        )
        authorizing = Authorizing(
            db,
            engine,
            posting,
            clock,
            self._looking_up,
            records.reservation_hours * _HOUR_MS,
            observer.alarm,
        )
        self.service = GatewayService(callers, desk, authorizing, self._threads, limits, metrics)
        self._conductor = Conductor(
            db, self.notices, MealTimes(settings.firmware.meals, settings.campus.timezone), clock
        )
        self._tasks: list[asyncio.Task[None]] = []
        metrics.watch("campus_gateways_attached", "Open streams of gateways", lambda: self.service.streams)

    def join(self, server: grpc.aio.Server) -> None:
        """Add the service to a server."""
        add_GatewaysServicer_to_server(self.service, server)

    def start(self) -> None:
        """Begin to look for news."""
        if self._keys is None:
            _log.warning(
                "keys.none", why="keys.store is not set: gateways get no session keys from this node"
            )
        self._bookkeeping.start()
        self._tasks = [
            asyncio.create_task(self.service.spread_news()),
            asyncio.create_task(conduct(self._conductor, self._threads)),
        ]

    async def stop(self) -> None:
        """Begin nothing more; streams end when what they do now is done."""
        self.service.stop()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(self._bookkeeping.stop, LAST_RECORDS_S)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._looking_up.shutdown(wait=False, cancel_futures=True)
