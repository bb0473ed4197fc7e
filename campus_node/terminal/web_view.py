"""The till's screen in a browser on the same machine: one page, server-sent events, keys as requests (B1.1).

Only this machine may look: requests under another name than the listening address are refused, so that no
page of the web reaches the till through its browser. What comes is a key or a pay code, and no more.
"""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from campus_node.settings_checks import split_listen
from campus_node.terminal.display import Say, looks_of
from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.view import View
from campus_node.terminal.settings import ViewSettings
from campus_node.terminal.web_page import page_of, rendered
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured

LOOKERS_MAX: Final = 8
ALIVE_EVERY_S: Final = 10.0  # on an idle stream: a browser notices a till that has gone
BODY_BYTES_MAX: Final = 256
NEVER_S: Final = float("inf")
_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_log = structlog.get_logger(__name__)


class WebView:
    """Serves the screen on a thread of its own until closed; implements `Screen`.

    Args:
        settings: where, and in which language first.
        say: what says a sentence, by language.
        typed: told of each key or code, on the serving thread.
        clock: dates what is shown.

    Raises:
        Misconfigured: the port cannot be had.
    """

    descriptor: int | None = None

    def __init__(
        self,
        settings: ViewSettings,
        say: Mapping[str, Say],
        typed: Callable[[Key | bytes], None],
        clock: Clock,
    ) -> None:
        self._say = say
        self._language = settings.language
        self._tell = typed
        self._clock = clock
        self._view: View | None = None
        self._number = 0  # of the view: a browser that comes back plays no sound twice
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self._lookers = 0
        self._host, port = split_listen(settings.listen)
        self._socket = _bound(self._host, port)
        self.port: int = self._socket.getsockname()[1]
        routes = [
            Route("/", self._page),
            Route("/events", self._events),
            Route("/key", self._key, methods=["POST"]),
            Route("/code", self._code, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=8192,
        )
        self._server = uvicorn.Server(config)
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self._thread.start()

    def show(self, view: View, now_s: float) -> float:  # noqa: ARG002 - a browser has its own time
        """See `Screen.show`."""
        if looks_of(view) != looks_of(self._view):
            self._view, self._number = view, self._number + 1
            loop, changed = self._loop, self._changed
            if loop is not None and changed is not None and not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)
        return NEVER_S

    def typed(self) -> list[Key | bytes]:
        """See `Screen.typed`: they come by themselves."""
        return []

    def close(self) -> None:
        """See `Screen.close`."""
        self._server.should_exit = True
        loop, changed = self._loop, self._changed
        if loop is not None and changed is not None and not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)
        self._thread.join(5.0)
        self._socket.close()

    # What a browser asks for.

    async def _page(self, request: Request) -> Response:
        if not self._is_local(request):
            return _refused()
        language = self._language_of(request)
        content = page_of(self._now(language), self._say[language], language)
        return HTMLResponse(content, headers=_HEADERS)

    async def _events(self, request: Request) -> Response:
        if not self._is_local(request):
            return _refused()
        if self._lookers >= LOOKERS_MAX:
            return PlainTextResponse("enough browsers look at this till", 503)
        stream = self._stream(self._language_of(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)

    async def _key(self, request: Request) -> Response:
        return await self._take(request, Key)

    async def _code(self, request: Request) -> Response:
        return await self._take(request, lambda text: text.encode("ascii"))

    async def _take(self, request: Request, read: Callable[[str], Key | bytes]) -> Response:
        if not self._is_local(request) or not self._is_ours(request):
            return _refused()
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                return PlainTextResponse("too long", 413)
        try:
            what = read(body.decode("ascii").strip())
        except ValueError:  # no key; not ASCII
            return PlainTextResponse("no key of a till", 400)
        if what:
            self._tell(what)
        return PlainTextResponse("", 204)

    async def _stream(self, language: str) -> AsyncIterator[str]:
        self._lookers += 1
        told = -1
        try:
            while not self._server.should_exit:
                if told != self._number:
                    told = self._number
                    yield f"id: {told}\ndata: {json.dumps(self._now(language), ensure_ascii=False)}\n\n"
                else:
                    yield "event: alive\ndata: 1\n\n"
                if told == self._number:
                    await self._wait()
        finally:
            self._lookers -= 1

    async def _wait(self) -> None:
        assert self._changed is not None, "the server runs"
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), ALIVE_EVERY_S)
        except TimeoutError:
            return
        if self._changed is changed:  # each waits for the next change on a new event: none is missed
            self._changed = asyncio.Event()

    def _now(self, language: str) -> dict[str, object]:
        return {**rendered(self._view, self._say[language]), "number": self._number}

    def _language_of(self, request: Request) -> str:
        asked = request.query_params.get("lang", self._language)
        return asked if asked in self._say else self._language

    def _is_local(self, request: Request) -> bool:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        return host in _LOCAL or host.strip("[]") == self._host

    def _is_ours(self, request: Request) -> bool:
        """Whether our own page sends this, not another one in the same browser."""
        origin = request.headers.get("origin")
        own = f"http://{request.headers.get('host', '')}"
        return request.headers.get("x-till") == "1" and origin in {None, own}

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except Exception:  # the thread's own loop: nothing above would tell
            _log.exception("view.ended")

    async def _serve(self) -> None:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        await self._server.serve([self._socket])


def _refused() -> Response:
    return PlainTextResponse("this till is looked at on its own machine only", 403)


def _bound(host: str, port: int) -> socket.socket:
    bound: Any = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        if bound is not None:
            bound.close()
        raise Misconfigured(
            Sentence(
                "view.listen: {host}:{port} cannot be had ({reason}): choose another port, or 0",
                host=host,
                port=port,
                reason=error.strerror,
            )
        ) from error
    found: socket.socket = bound
    return found
