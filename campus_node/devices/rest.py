"""The REST interface for devices of others: how they tell, how everything is read, and its description."""

from typing import Annotated, Any, Final

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from campus_node.devices.desk import ReportDesk
from campus_node.devices.keys import DeviceKey
from campus_node.devices.rest_answers import OUR_FAULT, answer, error_answer
from campus_node.devices.rest_guard import Guard
from campus_node.devices.rest_messages import (
    DevicesMessage,
    ErrorAnswer,
    ReportsMessage,
    TakenMessage,
    reports_in,
)
from campus_node.devices.topology import topology_json
from campus_node.wording import Sentence
from federation.errors import CampusCardError

DESCRIPTION_PATH: Final = "/v1/openapi.json"
_ANSWERS: Final[dict[int | str, str]] = {
    400: "the message makes no sense; nothing was taken",
    401: "no device key, or none of ours",
    403: "the key is not good for this",
    408: "the message did not come in time",
    409: "the key has reported too many devices",
    413: "the message is too large",
    429: "the key calls too often",
    500: "a mistake of ours",
    503: "not now; repeat",
    "default": "what else goes wrong",
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {  # as FastAPI types it
    status: {"model": ErrorAnswer, "description": why} for status, why in _ANSWERS.items()
}

_log = structlog.get_logger(__name__)


def make_app(desk: ReportDesk, campus: str, body_bytes_max: int) -> ASGIApp:
    """Return the whole interface, guarded.

    Args:
        desk: what decides.
        campus: name, for the description.
        body_bytes_max: larger messages are refused.
    """
    app = FastAPI(
        title="campuscard devices",
        summary=f"How devices of the campus {campus} are.",
        version="1",
        openapi_url=DESCRIPTION_PATH,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    _add_calls(app, desk)
    _add_errors(app)
    return Guard(app, desk.admit, body_bytes_max)


def _key(request: Request) -> DeviceKey:
    key: DeviceKey = request.state.key  # the guard has put it there
    return key


Key = Annotated[DeviceKey, Depends(_key)]


def _add_calls(app: FastAPI, desk: ReportDesk) -> None:
    bearer = [Depends(HTTPBearer(auto_error=False, description="campus device key create"))]

    @app.post(
        "/v1/devices/reports",
        summary="Tell how devices are",
        description="All reports are taken, or none. The newest report of a device wins; an older one "
        "changes nothing, so a call may be repeated.",
        dependencies=bearer,
        responses=_RESPONSES,
    )
    def report(message: ReportsMessage, key: Key) -> TakenMessage:
        return TakenMessage(taken=desk.report(key, reports_in(message)))

    @app.get(
        "/v1/devices",
        summary="Read how everything is",
        description="Gateways, their lines and devices, and devices of others. Needs a key that reads.",
        dependencies=bearer,
        responses=_RESPONSES,
        response_model=DevicesMessage,
    )
    def devices(key: Key) -> JSONResponse:
        return JSONResponse(topology_json(desk.read(key)))


def _add_errors(app: FastAPI) -> None:
    def language(request: Request) -> str:
        return request.headers.get("accept-language", "")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, CampusCardError)
        return error_answer(error, language(request))

    async def wrong_shape(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        said = Sentence(
            "{where} is not as {description} says ({kind})",
            where=where[:200],
            description=DESCRIPTION_PATH,
            kind=first["type"],
        )
        return answer(400, "unreadable", said, language(request))

    async def no_such_call(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return answer(
                405, "method_not_allowed", Sentence("this address takes other methods"), language(request)
            )
        if error.status_code == 404:
            said = Sentence("there is no such address: see {description}", description=DESCRIPTION_PATH)
            return answer(404, "not_found", said, language(request))
        return answer(400, "unreadable", Sentence("the body is no JSON"), language(request))

    async def our_fault(request: Request, error: Exception) -> Response:
        _log.error("rest.call_failed", exc_info=error)
        return answer(500, "failed", OUR_FAULT, language(request))

    app.add_exception_handler(CampusCardError, refused)
    app.add_exception_handler(RequestValidationError, wrong_shape)
    app.add_exception_handler(HTTPException, no_such_call)
    app.add_exception_handler(Exception, our_fault)
