"""What every call has in common: errors become statuses, deadlines are kept, our mistakes stay here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import grpc
import structlog

from federation.errors import CampusCardError, Unavailable
from federation.grpc_status import status_of, trailing_metadata

if TYPE_CHECKING:  # generic for the type checker only; what a context's messages are does not matter here
    Context = grpc.aio.ServicerContext[Any, Any]

S = TypeVar("S")
Q = TypeVar("Q")
A = TypeVar("A")

OUR_FAULT: Final = "the node failed on this call; its log says more. Repeat with the same ids"
TOO_LATE: Final = "the deadline had passed before the call began; nothing was done"

_log = structlog.get_logger(__name__)


def answering(
    method: "Callable[[S, Q, Context], Awaitable[A]]",
) -> "Callable[[S, Q, Context], Awaitable[A]]":
    """Wrap a single call: our errors end it with their status, all else with INTERNAL and a log entry."""

    async def call(self: S, request: Q, context: "Context") -> A:
        try:
            left_s = context.time_remaining()
            if left_s is not None and left_s <= 0:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, TOO_LATE)
            return await method(self, request, context)
        except CampusCardError as error:
            await abort(context, error)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception:  # this is the entry of a call: nothing above can answer the caller
            _log.exception("call.failed", call=method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, OUR_FAULT)

    return call


async def abort(context: "Context", error: CampusCardError) -> NoReturn:
    """End a call with the status of an error."""
    await context.abort(status_of(error), str(error), trailing_metadata(error))


async def within_deadline(context: "Context", answer: "asyncio.Future[A]", default_s: float) -> A:
    """Wait for an answer. gRPC itself ends calls that brought a deadline; others get the default.

    Raises:
        Unavailable: the default deadline passed; nobody knows whether the answer comes.
    """
    if context.time_remaining() is not None:
        return await answer
    try:
        async with asyncio.timeout(default_s):
            return await answer
    except TimeoutError as error:
        raise Unavailable(f"no answer within {default_s} s; repeat with the same ids") from error
