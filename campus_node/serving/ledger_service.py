"""The posting API on gRPC. What many transfers a message go through: `posting_stream.py`."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import sqlalchemy

from campus_node.ledger.chart import NEEDS_APPROVAL
from campus_node.ledger.engine import Engine
from campus_node.ledger.history import statement
from campus_node.ledger.store import AccountOpening
from campus_node.serving.approved import require_approval
from campus_node.serving.bridge import answer_into
from campus_node.serving.callers import Callers
from campus_node.serving.calls import abort, answering, within_deadline
from campus_node.serving.limits import ServingLimits
from campus_node.serving.openings import to_opening
from campus_node.serving.permissions import (
    require_approvable,
    require_balance,
    require_opening,
    require_statement,
)
from campus_node.serving.posting import Posting
from campus_node.serving.posting_stream import ServingStream
from campus_node.serving.wire import to_answer, to_balance, to_statement
from campuscard.v1 import common_pb2
from campuscard.v1 import ledger_pb2 as pb
from campuscard.v1.ledger_pb2_grpc import LedgerServicer
from federation.clock import Clock
from federation.errors import CampusCardError, NotFound, Overloaded, Stopping, Unreadable

if TYPE_CHECKING:
    from campus_node.serving.calls import Context

T = TypeVar("T")

APPROVAL_KEY: Final = "approval-id"  # metadata of Post
OPENINGS_MAX: Final = 1024
LINES_MAX: Final = 500
LINES_DEFAULT: Final = 100
READER_THREADS: Final = 4
_APPROVED: Final = frozenset(map(int, NEEDS_APPROVAL))


class LedgerService(LedgerServicer):
    """Serves one ledger.

    Args:
        engine: started.
        posting: the way into it.
        db: for reading what is not in memory.
        callers: recognises callers.
        clock: wall time.
        limits: how much may be under way.
    """

    def __init__(
        self,
        engine: Engine,
        posting: Posting,
        db: sqlalchemy.Engine,
        callers: Callers,
        clock: Clock,
        limits: ServingLimits,
    ) -> None:
        self._engine = engine
        self._db = db
        self._callers = callers
        self._clock = clock
        self._limits = limits
        self._posting = posting
        self._streams: set[ServingStream] = set()
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="ledger-reader")
        self._reads = 0
        self._stopping: CampusCardError | None = None

    # The calls

    @answering
    async def Post(self, request: pb.PostRequest, context: "Context") -> pb.PostResponse:  # noqa: N802
        """Post one transfer."""
        caller = self._callers.of(context)
        transfer = request.transfer
        approved = False
        if transfer.kind in _APPROVED:
            approval = dict(context.invocation_metadata() or ()).get(APPROVAL_KEY)
            if approval:
                require_approvable(caller.identity)
                await self._read(lambda: require_approval(self._db, self._clock, str(approval), transfer))
                approved = True
        (asked,) = await self._posting.requests(caller, (transfer,), approved=approved)
        answer = await within_deadline(context, self._posting.ask(asked), self._limits.deadline_default_s)
        return pb.PostResponse(answer=to_answer(answer, self._posting.now_unix_ms()))

    async def PostStream(  # type: ignore[override]  # noqa: N802  # gRPC takes coroutines too
        self, _requests: object, context: "Context"
    ) -> None:
        """Post many transfers a message."""
        try:
            caller = self._callers.of(context)
            if self._stopping:
                raise self._stopping
            if len(self._streams) >= self._limits.streams_max:
                raise Overloaded(self._limits.overload_retry_ms)
        except CampusCardError as error:
            await abort(context, error)
        stream = ServingStream(
            context, caller, self._callers, self._posting, self._limits.batches_in_flight_max
        )
        self._streams.add(stream)
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)

    @answering
    async def OpenAccounts(  # noqa: N802
        self, request: pb.OpenAccountsRequest, context: "Context"
    ) -> pb.OpenAccountsResponse:
        """Open accounts."""
        require_opening(self._callers.of(context).identity)
        if not 0 < len(request.openings) <= OPENINGS_MAX:
            raise Unreadable(
                f"a message has 1 to {OPENINGS_MAX} openings, this one {len(request.openings)}: split it"
            )
        openings = [to_opening(each) for each in request.openings]
        opened = iter(await self._open([each for each in openings if each is not None], context))
        refusals = [
            common_pb2.REFUSAL_MALFORMED
            if each is None
            else common_pb2.REFUSAL_NONE
            if next(opened)
            else common_pb2.REFUSAL_TRANSFER_CONFLICT
            for each in openings
        ]
        return pb.OpenAccountsResponse(opened=[pb.Opened(refusal=refusal) for refusal in refusals])

    @answering
    async def GetBalance(  # noqa: N802
        self, request: pb.GetBalanceRequest, context: "Context"
    ) -> pb.GetBalanceResponse:
        """Tell a committed balance."""
        require_balance(self._callers.of(context).identity)
        balance = self._engine.balance(request.account)
        if balance is None:
            raise NotFound(f"account {request.account} was never opened")
        return to_balance(request.account, balance)

    @answering
    async def GetStatement(  # noqa: N802
        self, request: pb.GetStatementRequest, context: "Context"
    ) -> pb.GetStatementResponse:
        """Tell what moved on an account."""
        require_statement(self._callers.of(context).identity)
        if request.before_seq < 0 or not 0 <= request.limit <= LINES_MAX:
            raise Unreadable(f"before_seq is 0 or more, limit 0 to {LINES_MAX}")
        page = await self._read(
            lambda: statement(
                self._db, request.account, request.before_seq or None, request.limit or LINES_DEFAULT
            )
        )
        return to_statement(page)

    # The service's life

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def recheck(self) -> None:
        """Cut the streams of callers that are not accepted any more."""
        for stream in tuple(self._streams):
            stream.recheck()

    def stop(self) -> None:
        """Begin no more batches: what streams have read is posted and answered, then they end."""
        self._stopping = Stopping("the node stops: connect again and repeat what has no answer")
        for stream in tuple(self._streams):
            stream.end(self._stopping)

    def close(self) -> None:
        """Let the readers go."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _open(self, openings: Sequence[AccountOpening], context: "Context") -> list[bool]:
        if not openings:
            return []
        opened: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._engine.open_accounts(openings, answer_into(opened))
        return await within_deadline(context, opened, self._limits.deadline_default_s)

    async def _read(self, look: Callable[[], T]) -> T:
        """Look into the database on another thread; only so many at once."""
        if self._reads >= self._limits.reads_max:
            raise Overloaded(self._limits.overload_retry_ms)
        self._reads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, look)
        finally:
            self._reads -= 1
