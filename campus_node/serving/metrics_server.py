"""GET /metrics for Prometheus and GET /healthz for load balancers, on a listener of their own."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from campus_node.wording import Sentence
from federation.errors import Misconfigured

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

REQUEST_TIMEOUT_S: Final = 5
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S  # a client that says nothing does not keep its thread

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Scrapes are no events."""


class MetricsServer:
    """Serves until stopped, on threads of its own: it answers even when everything else is stuck.

    Args:
        host, port: where; port 0 = a free one.
        registry: what /metrics shows.
        is_healthy: what /healthz answers: 200 or 503.

    Raises:
        Misconfigured: the port cannot be had.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, is_healthy: Callable[[], bool]
    ) -> None:
        metrics = make_wsgi_app(registry)

        def serve(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            match environ.get("PATH_INFO"):
                case "/metrics":
                    shown: Iterable[bytes] = metrics(environ, start)
                    return shown
                case "/healthz" if is_healthy():
                    start("200 OK", [_TEXT])
                    return [b"serving\n"]
                case "/healthz":
                    start("503 Service Unavailable", [_TEXT])
                    return [b"not serving: the ledger cannot post now\n"]
                case _:
                    start("404 Not Found", [_TEXT])
                    return [b"ask for /metrics or /healthz\n"]

        try:
            self._server = make_server(host, port, serve, server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            raise Misconfigured(
                Sentence(
                    "metrics.listen: {host}:{port} cannot be had ({reason}): choose another port, or 0",
                    host=host,
                    port=port,
                    reason=error.strerror,
                )
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._server.server_port

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, if it was started, and give the port up."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
