"""The one place that turns our errors into gRPC status codes and back. No other file knows both worlds.

RESOURCE_EXHAUSTED has two meanings in gRPC: too much is waiting (ours say when to come back in the trailing
metadata `retry-after-ms`), or the message was larger than the receiver takes, which no repeat will change.
"""

from collections.abc import Iterable
from typing import Final

from grpc import StatusCode

from federation.errors import (
    CampusCardError,
    Misconfigured,
    NotFound,
    NotIdentified,
    NotPermitted,
    Overloaded,
    Refused,
    Tampered,
    Unavailable,
    Unreadable,
)

RETRY_AFTER_KEY: Final = "retry-after-ms"  # trailing metadata, decimal milliseconds
RETRY_AFTER_DEFAULT_MS: Final = 200  # for Unavailable without a hint of its own

Metadata = tuple[tuple[str, str], ...]

# The most exact class first: an error has the status of the first class that it is an instance of.
STATUS: Final[dict[type[CampusCardError], StatusCode]] = {
    NotPermitted: StatusCode.PERMISSION_DENIED,
    NotIdentified: StatusCode.UNAUTHENTICATED,
    Unreadable: StatusCode.INVALID_ARGUMENT,
    Misconfigured: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    Refused: StatusCode.FAILED_PRECONDITION,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: StatusCode.UNAVAILABLE,
    Tampered: StatusCode.DATA_LOSS,
}
_ERROR: Final[dict[StatusCode, type[CampusCardError]]] = {
    StatusCode.PERMISSION_DENIED: NotPermitted,
    StatusCode.UNAUTHENTICATED: NotIdentified,
    StatusCode.INVALID_ARGUMENT: Unreadable,
    StatusCode.OUT_OF_RANGE: Unreadable,
    StatusCode.NOT_FOUND: NotFound,
    StatusCode.FAILED_PRECONDITION: Refused,
    StatusCode.UNIMPLEMENTED: Refused,
    StatusCode.DATA_LOSS: Tampered,
}
_BY_NUMBER: Final = {code.value[0]: code for code in StatusCode}


def status_of(error: CampusCardError) -> StatusCode:
    """Return the status code of an error's family."""
    return next((code for family, code in STATUS.items() if isinstance(error, family)), StatusCode.UNKNOWN)


def number_of(error: CampusCardError) -> int:
    """Return the status code's number, as in google.rpc.Code."""
    number: int = status_of(error).value[0]
    return number


def retry_after_ms(error: CampusCardError) -> int:
    """Return when it is worth to repeat, in ms; 0 = not at all."""
    if isinstance(error, Overloaded):
        return error.retry_after_ms
    return RETRY_AFTER_DEFAULT_MS if isinstance(error, Unavailable) else 0


def trailing_metadata(error: CampusCardError) -> Metadata:
    """Return what goes beside the status: when to repeat, if that makes sense."""
    after_ms = retry_after_ms(error)
    return ((RETRY_AFTER_KEY, str(after_ms)),) if after_ms else ()


def error_of(
    code: StatusCode, text: str, trailing: Iterable[tuple[str, str | bytes]] = ()
) -> CampusCardError:
    """Return the error that a status means to its caller. Whatever is not surely final is Unavailable.

    Args:
        code: the status.
        text: its details.
        trailing: the call's trailing metadata.
    """
    if code is StatusCode.RESOURCE_EXHAUSTED:
        hint = dict(trailing).get(RETRY_AFTER_KEY)
        if hint is None and "larger than max" in text:
            return Unreadable(f"{text}: send fewer transfers in one message")
        return Overloaded(int(hint or RETRY_AFTER_DEFAULT_MS))
    return _ERROR.get(code, Unavailable)(f"{code.name}: {text}")


def error_of_number(number: int, text: str, after_ms: int) -> CampusCardError:
    """Return the error that a status number inside a message means; see `error_of`."""
    code = _BY_NUMBER.get(number, StatusCode.UNKNOWN)
    trailing = ((RETRY_AFTER_KEY, str(after_ms)),) if after_ms else ()
    return error_of(code, text, trailing)
