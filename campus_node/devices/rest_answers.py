"""What REST callers are told when something is not done: one form, in their language."""

from typing import Final

from starlette.responses import JSONResponse

from campus_node.cli.language import Language, language_named
from campus_node.wording import Sentence
from federation.errors import (
    CampusCardError,
    NotFound,
    NotIdentified,
    NotPermitted,
    Overloaded,
    Refused,
    Unavailable,
    Unreadable,
)
from federation.grpc_status import retry_after_ms

# The most exact class first, as in federation.grpc_status.
_STATUS: Final[dict[type[CampusCardError], tuple[int, str]]] = {
    NotPermitted: (403, "not_permitted"),
    NotIdentified: (401, "not_identified"),
    Unreadable: (400, "unreadable"),
    NotFound: (404, "not_found"),
    Refused: (409, "refused"),
    Overloaded: (429, "overloaded"),
    Unavailable: (503, "unavailable"),
}
OUR_FAULT: Final = Sentence("the node failed on this call; its log says more. Repeat it later")
_LANGUAGES_MAX: Final = 16  # of a header that is longer, the rest is not read


def language_asked(accept_language: str) -> Language:
    """Return the language that an Accept-Language header wants most of those we have; else English."""
    wanted: list[tuple[float, int, Language]] = []
    for place, part in enumerate(accept_language.split(",")[:_LANGUAGES_MAX]):
        tag, _, parameter = part.strip().partition(";")
        language = language_named(tag.strip())
        quality = _quality(parameter)
        if language is not None and quality > 0:
            wanted.append((-quality, place, language))
    return min(wanted)[2] if wanted else Language.ENGLISH


def error_answer(error: CampusCardError, accept_language: str) -> JSONResponse:
    """Return the answer that an error makes."""
    status, name = next((found for family, found in _STATUS.items() if isinstance(error, family)), (0, ""))
    if not status:
        return answer(500, "failed", OUR_FAULT, accept_language)
    said = error.args[0] if error.args and isinstance(error.args[0], Sentence) else None
    if isinstance(error, Overloaded):
        said = Sentence("too much is asked for: repeat in {ms} ms", ms=error.retry_after_ms)
    elif isinstance(error, Unavailable) and said is None:
        said = Sentence("the node's database does not answer: repeat later")
    return answer(status, name, said or str(error), accept_language, retry_after_ms(error))


def answer(
    status: int, name: str, said: Sentence | str, accept_language: str, after_ms: int = 0
) -> JSONResponse:
    """Return an answer that is not 200, in the form of `rest_messages.ErrorAnswer`."""
    language = language_asked(accept_language)
    headers = {"Content-Language": language.value, "Vary": "Accept-Language"}
    if after_ms:
        headers["Retry-After"] = str(-(-after_ms // 1000))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = {"name": name, "message": language.say(said), "retry_after_ms": after_ms or None}
    return JSONResponse({"error": content}, status, headers)


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return max(0.0, min(1.0, float(value)))
    except ValueError:
        return 0.0
