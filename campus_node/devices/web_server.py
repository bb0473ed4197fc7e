"""HTTPS on a thread and event loop of its own: whatever comes there, the ledger's loop does not notice."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from campus_node.wording import Sentence
from federation.errors import Misconfigured

HANDSHAKE_TIMEOUT_S: Final = 10.0
HEAD_TIMEOUT_S: Final = 10.0  # from connecting, or the last answer, to the end of the next request's head
KEEP_ALIVE_S: Final = 15
CONNECTIONS_MAX: Final = 256
HEAD_BYTES_MAX: Final = 16_384
BACKLOG: Final = 128

_log = structlog.get_logger(__name__)


class _Protocol(H11Protocol):
    """HTTP/1.1 that does not wait for ever: who sends no whole head in time is cut off."""

    _answered = 0
    _answered_before = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as above it
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        self.loop.call_later(HEAD_TIMEOUT_S, self._look)

    def on_response_complete(self) -> None:
        self._answered += 1
        super().on_response_complete()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and self._answered == self._answered_before:
            self.transport.abort()
            return
        self._answered_before = self._answered
        self.loop.call_later(HEAD_TIMEOUT_S, self._look)


class _Loop(asyncio.SelectorEventLoop):
    """The library starts its servers without a limit for TLS handshakes; here they have one."""

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:  # as asyncio's
        if kwargs.get("ssl") is not None:
            kwargs["ssl_handshake_timeout"] = HANDSHAKE_TIMEOUT_S
        return await super().create_server(protocol_factory, *args, **kwargs)


class WebServer:
    """Serves an application by HTTPS until stopped.

    Args:
        app: the application.
        host, port: where; port 0 = a free one.
        certificate, key: PEM files: the leaf followed by what issued it, and its private key.

    Raises:
        Misconfigured: the port cannot be had, or the files are wrong.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, certificate: Path, key: Path) -> None:
        self._paths = certificate, key
        self._stamp = self._stamp_now()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.set_alpn_protocols(["http/1.1"])
        try:
            self._tls.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                Sentence("{path} cannot be used for HTTPS: {reason}", path=certificate, reason=error)
            ) from error
        self._socket = _bound(host, port)
        self._port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="none",
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=2,
            ssl_context_factory=lambda *_: self._tls,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._port

    def start(self) -> None:
        """Begin to answer."""
        self._socket.listen(BACKLOG)  # who connects before the thread is there, waits
        self._thread.start()

    def renew(self) -> None:
        """Use a renewed certificate from the next handshake on."""
        now = self._stamp_now()
        if now == self._stamp:
            return
        self._stamp = now
        try:
            self._tls.load_cert_chain(*self._paths)
        except (OSError, ssl.SSLError) as error:  # half written, or wrong: go on with what we have
            _log.warning("web.certificate_not_reloaded", why=str(error))

    def stop(self, timeout_s: float) -> None:
        """Take no more, answer what is under way, and give the port up."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._socket.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._server.serve([self._socket]))
        except Exception:  # the thread's own loop: nothing above would tell
            _log.exception("web.ended")

    def _stamp_now(self) -> list[int]:
        return [path.stat().st_mtime_ns if path.exists() else 0 for path in self._paths]


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        raise Misconfigured(
            Sentence(
                "web.listen: {host}:{port} cannot be had ({reason}): choose another port, or 0",
                host=host,
                port=port,
                reason=error.strerror,
            )
        ) from error
    return bound
