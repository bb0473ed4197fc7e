"""GET /status, /metrics and /healthz of a gateway, for its own machine and whoever watches it (A12)."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from campus_node.wording import Sentence
from federation.errors import Misconfigured

REQUEST_TIMEOUT_S: Final = 5
_TEXT: Final = "text/plain; charset=utf-8"


class StatusServer:
    """Serves until stopped, on threads of its own.

    Args:
        host, port: where; port 0 = a free one.
        registry: what /metrics shows.
        status: what /status shows, a JSON object.
        is_healthy: what /healthz answers: 200 or 503.

    Raises:
        Misconfigured: the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        status: Callable[[], Mapping[str, object]],
        is_healthy: Callable[[], bool],
    ) -> None:
        class Answering(BaseHTTPRequestHandler):
            timeout = REQUEST_TIMEOUT_S  # a client that says nothing does not keep its thread

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/status":
                        content = json.dumps(status(), ensure_ascii=False).encode()
                        self._answer(200, "application/json", content)
                    case "/metrics":
                        self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                    case "/healthz" if is_healthy():
                        self._answer(200, _TEXT, b"taking records\n")
                    case "/healthz":
                        self._answer(503, _TEXT, b"not taking records\n")
                    case _:
                        self._answer(404, _TEXT, b"ask for /status, /metrics or /healthz\n")

            def _answer(self, code: int, kind: str, content: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Scrapes are no events."""

        try:
            self._server = ThreadingHTTPServer((host, port), Answering)
        except OSError as error:
            raise Misconfigured(
                Sentence(
                    "status.listen: {host}:{port} cannot be had ({reason}): choose another port, or 0",
                    host=host,
                    port=port,
                    reason=error.strerror,
                )
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)

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
