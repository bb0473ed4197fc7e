"""`campus gateway run`: one gateway, from its directory to its last acknowledgement.

It starts in an order in which nothing is promised too early: settings, spool, roll, then lines and the link.
It stops the other way round: what came in is made durable and answered, the lines are let go, then the link.
"""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Coroutine
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import structlog

from campus_node.gateway.building import Building
from campus_node.gateway.directory import GatewayDirectory, GatewayPorts
from campus_node.gateway.distribution import Distributions
from campus_node.gateway.figures import make_registry, status_of
from campus_node.gateway.intake import Intake
from campus_node.gateway.leases import Leases
from campus_node.gateway.link import NodeLink, NodePlace
from campus_node.gateway.node_side import NodeSide
from campus_node.gateway.opening import LineKeeper, Opener
from campus_node.gateway.settings import Settings
from campus_node.gateway.settings_lines import LineSettings
from campus_node.gateway.shelf import Shelf
from campus_node.gateway.spool import Spool
from campus_node.gateway.status_server import StatusServer
from campus_node.gateway.tcp_places import TcpPlaces
from campus_node.keys.lending import open_lease
from campus_node.pki import files
from campus_node.serving import log
from campus_node.settings_checks import split_listen
from federation.clock import Clock, SystemClock

LAST_WORDS_S: Final = 2.0
WATCH_EVERY_S: Final = 0.5
FIRST_LINES_S: Final = 10.0  # how long readiness waits for the first attempt at every line

_log = structlog.get_logger(__name__)


def run(directory: Path, clock: Clock | None = None) -> int:
    """Run a gateway until it is told to stop (SIGTERM, SIGINT).

    Returns:
        0 = it was told to stop; 1 = it can take no records any more.

    Raises:
        Misconfigured: it cannot start as things are; says what to change.
        SpoolDamaged: its spool is not whole.
        StoreDown: its spool cannot be opened.
    """
    return asyncio.run(_run_until_stopped(directory, clock or SystemClock()))


async def _run_until_stopped(directory: Path, clock: Clock) -> int:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    place = GatewayDirectory(directory)
    settings, lines = place.settings()
    log.configure(settings.log.level, settings.log.format)
    with ExitStack() as closing:
        gateway = Gateway(place, settings, lines, clock, closing)
        await gateway.start()
        ended = asyncio.create_task(gateway.until_ended())
        await asyncio.wait({asyncio.create_task(asked.wait()), ended}, return_when=asyncio.FIRST_COMPLETED)
        failed = ended.done()
        ended.cancel()
        await gateway.stop()
        _log.info("gateway.stopped")
        return 1 if failed else 0


class Gateway:
    """The parts of one gateway, put together by hand.

    Args:
        place: its directory.
        settings: of it.
        lines: of it.
        clock: of everything in it.
        closing: gets what must be closed in the end, also after a failed start.

    Raises:
        Misconfigured, SpoolDamaged, StoreDown: see `run`.
    """

    def __init__(
        self,
        place: GatewayDirectory,
        settings: Settings,
        lines: tuple[LineSettings, ...],
        clock: Clock,
        closing: ExitStack,
    ) -> None:
        self._place = place
        self._settings = settings
        self._lines = lines
        self._closing = closing
        path, pki = place.path, settings.pki
        key = files.read_key(path / pki.key)
        spool_path = path / settings.spool.path
        self._spool = Spool(spool_path, settings.spool.records_max, secrets.token_bytes)
        closing.callback(self._spool.close)
        shelf = Shelf(spool_path.with_name("shelf.sqlite"))
        closing.callback(shelf.close)
        leases = Leases(shelf, lambda sealed: open_lease(sealed, key))
        self._building = building = Building(self._spool, shelf, leases, lines, clock)
        node = NodePlace(
            settings.gateway.node,
            settings.node_name,
            (path / pki.campus_ca, path / pki.root),
            path / pki.certificate,
            path / pki.key,
        )
        jitter = random.Random()  # noqa: S311 - spreads repeats, keeps no secret
        side = NodeSide(building, metadata.version("campuscard"))
        self._link = NodeLink(node, self._spool, side, clock, jitter)
        self._intake = Intake(self._spool, clock, building)
        self._distribution = Distributions(building, self._link, path / "spool", clock)
        parts = building.parts
        parts.link, parts.intake, parts.distributor = self._link, self._intake, self._distribution
        places = TcpPlaces(
            settings.gateway.campus,
            path / pki.campus_ca,
            path / pki.crl,
            path / pki.certificate,
            path / pki.key,
            leases,
            clock,
        )
        opener = Opener(path, places, clock, secrets.token_bytes)
        self._keepers = [
            LineKeeper(
                line,
                opener,
                building,
                spool_path.with_name(f"sessions-{line.name}"),
                clock,
                secrets.token_bytes,
            )
            for line in lines
        ]
        host, port = split_listen(settings.status.listen)
        self._status = StatusServer(
            host,
            port,
            make_registry(building),
            partial(status_of, building, settings, lines),
            lambda: self._intake.alive,
        )
        closing.callback(self._status.stop)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to take records, and say so in run/ports.json."""
        self._intake.start()
        for keeper in self._keepers:
            keeper.start()
        self._status.start()
        work: list[Coroutine[Any, Any, None]] = [
            self._building.rounds(),
            self._link.run(),
            self._distribution.run(),
        ]
        self._tasks = [asyncio.create_task(each) for each in work]
        for keeper in self._keepers:
            await asyncio.to_thread(keeper.tried.wait, FIRST_LINES_S)
        tcp = {
            name: desk.line.port()
            for name, desk in self._building.desks.items()
            if hasattr(desk.line, "port")
        }
        self._place.write_ports(GatewayPorts(os.getpid(), self._status.port, tcp))
        self._closing.callback(self._place.remove_ports)
        _log.info(
            "gateway.ready",
            gateway=self._settings.gateway.name,
            status_port=self._status.port,
            lines=len(self._building.desks),
        )

    async def until_ended(self) -> None:
        """Return when no more records can be taken, or a part has ended by a mistake of ours."""
        while self._intake.alive:
            for task in self._tasks:
                if task.done():
                    _log.critical("gateway.part_ended", part=task.get_coro(), exc_info=task.exception())
                    return
            await asyncio.sleep(WATCH_EVERY_S)
        _log.critical("gateway.intake_ended")

    async def stop(self) -> None:
        """Take no more, make durable and answer what was taken, and let everything go."""
        await asyncio.to_thread(self._drain)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=LAST_WORDS_S)

    def _drain(self) -> None:
        self._intake.stop()  # what came in is kept, and its answers are at the desks
        for keeper in self._keepers:
            keeper.stop()
