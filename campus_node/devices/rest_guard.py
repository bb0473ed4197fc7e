"""What stands before the REST interface: who calls, how often, how much and how slowly."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from campus_node.devices.keys import DeviceKey
from campus_node.devices.rest_answers import OUR_FAULT, answer, error_answer
from campus_node.wording import Sentence
from federation.errors import CampusCardError

BODY_TIMEOUT_S: Final = 10.0
OPEN_TO_ALL: Final = frozenset({"/v1/openapi.json"})
CALL_TIMEOUT_S: Final = 60.0
CALLS_MAX: Final = 64  # under way at once
FULL_RETRY_MS: Final = 500

_log = structlog.get_logger(__name__)


class Guard:
    """Admits a call, reads its whole body within limits, and only then hands it on.

    Args:
        app: what is guarded.
        admit: returns the key of an Authorization header, or raises.
        body_bytes_max: larger ones are refused.
        body_timeout_s: slower ones are refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        admit: Callable[[str], DeviceKey],
        body_bytes_max: int,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._admit = admit
        self._body_bytes_max = body_bytes_max
        self._body_timeout_s = body_timeout_s
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # a WebSocket, for example: nobody here speaks that
            await Response(status_code=404)(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        language = headers.get("accept-language", "")
        if self._under_way >= CALLS_MAX:
            full = Sentence("too much is asked for: repeat in {ms} ms", ms=FULL_RETRY_MS)
            await answer(503, "unavailable", full, language, FULL_RETRY_MS)(scope, receive, send)
            return
        self._under_way += 1
        try:
            refused = await self._pass(scope, receive, send, headers, language)
        finally:
            self._under_way -= 1
        if refused is not None:
            refused.headers["Connection"] = "close"  # what is still to come of the body is never read
            await refused(scope, receive, send)

    async def _pass(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str], language: str
    ) -> Response | None:
        try:
            if scope["path"] not in OPEN_TO_ALL:
                shown = headers.get("authorization", "")
                scope.setdefault("state", {})["key"] = await asyncio.to_thread(self._admit, shown)
            length = headers.get("content-length", "0")
            if not length.isascii() or not length.isdigit() or int(length) > self._body_bytes_max:
                return self._too_large(language)
            async with asyncio.timeout(self._body_timeout_s):
                body = await self._read(receive)
        except CampusCardError as error:
            return error_answer(error, language)
        except TimeoutError:
            return answer(408, "too_slow", Sentence("the message did not come in time"), language)
        except Exception:  # the entry of a call: nothing above can answer the caller
            _log.exception("rest.call_failed")
            return answer(500, "failed", OUR_FAULT, language)
        if body is None:
            return self._too_large(language)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._app(scope, _once(body, receive), send)
        except TimeoutError:  # a caller that does not read its answer: the connection is closed
            _log.warning("rest.call_cut_off", path=str(scope["path"])[:80])
        return None

    async def _read(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":  # the caller is gone
                return b""
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._body_bytes_max:
                return None
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    def _too_large(self, language: str) -> Response:
        said = Sentence("the message is too large: at most {most} bytes", most=self._body_bytes_max)
        return answer(413, "too_large", said, language)


def _once(body: bytes, receive: Receive) -> Receive:
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
