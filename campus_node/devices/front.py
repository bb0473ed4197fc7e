"""A node's part for devices, put together: the board, who looks at it, and the two ways in for others."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine

from campus_node.devices.board import DeviceBoard
from campus_node.devices.desk import ReportDesk
from campus_node.devices.grpc_service import DevicesService, make_report_server
from campus_node.devices.keys import KeyRing
from campus_node.devices.rest import make_app
from campus_node.devices.web_server import WebServer
from campus_node.serving.grpc_server import NodeCertificate, bind
from campus_node.settings import Settings
from campus_node.settings_checks import split_listen
from federation.clock import Clock
from federation.errors import Unavailable

LOOK_EVERY_S: Final = 2.0
LAST_WORDS_S: Final = 3.0

_log = structlog.get_logger(__name__)


class DeviceFront:
    """What a node does for devices, from start to stop.

    Args:
        directory: the campus's.
        settings: of it.
        db: its database.
        clock: of everything.

    Raises:
        Misconfigured: a port cannot be had, or a file is wrong.
    """

    def __init__(self, directory: Path, settings: Settings, db: Engine, clock: Clock) -> None:
        self.board = DeviceBoard(db, clock.unix_ms(), settings.devices.silent_after_s)
        self._clock = clock
        self._settings = settings
        # One of its own: each notices a renewal once.
        self._certificate = NodeCertificate(directory, settings, clock)
        desk = ReportDesk(self.board, KeyRing(db, clock), clock, settings.devices.calls_per_s)
        self._service = DevicesService(desk)
        self._grpc = make_report_server(self._service, settings.web.body_bytes_max)
        host, port = split_listen(settings.web.listen)
        app = make_app(desk, settings.campus.name, settings.web.body_bytes_max)
        pki = settings.pki
        self._web = WebServer(app, host, port, directory / pki.node_certificate, directory / pki.node_key)
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> tuple[int, int]:
        """Begin; return the ports of HTTPS and of gRPC.

        Raises:
            Misconfigured: the port of gRPC cannot be had.
        """
        credentials = self._certificate.credentials(callers_have_certificates=False)
        grpc_port = bind(self._grpc, self._settings.devices.listen, credentials, "devices.listen")
        await self._grpc.start()
        self._web.start()
        self._looking = asyncio.create_task(self._look())
        return self._web.port, grpc_port

    async def stop(self) -> None:
        """Take no more reports; what was taken is committed."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await self._grpc.stop(LAST_WORDS_S)
        self._service.close()
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Give the port of HTTPS up, also after a failed start."""
        self._web.stop(LAST_WORDS_S)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.board.look, self._clock.unix_ms())
                self._web.renew()
            except Unavailable as error:
                _log.warning("devices.wait_for_database", why=str(error))
            except Exception:  # the task's own loop: a mistake of ours must not end all looking
                _log.exception("devices.look_failed")
