"""One open stream of a gateway: what it says is taken in order, what terminals ask is answered beside that.

Nothing waits on the event loop: the desk's work runs on threads, one piece at a time for each stream. A
gateway that sends faster than the database takes, or does not take its answers, is held back by gRPC's own
window: a message is read only when a place is free, and a place is free when its answer was written.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

import grpc

from campus_node.serving.authorizing import Authorizing
from campus_node.serving.callers import Caller, Callers
from campus_node.serving.calls import abort
from campus_node.serving.gateway_desk import Attached, GatewayDesk
from campus_node.serving.limits import ServingLimits
from campus_node.serving.metrics import NodeMetrics
from campuscard.v1 import common_pb2
from campuscard.v1 import gateway_pb2 as pb
from federation.errors import CampusCardError, NotIdentified, Unavailable, Unreadable

if TYPE_CHECKING:
    from campus_node.serving.calls import Context

HELLO_S_MAX: Final = 10.0
END_S_MAX: Final = 2.0
_AT_ONCE: Final = -1
_ANSWERS_FIRST: Final = 0  # somebody stands at a till
_REST: Final = 1
_LOOK_AGAIN: Final = 2
NEWS_BEHIND_MAX: Final = 64  # messages that wait to be written; beyond it nothing new is looked for
_Saying = tuple[int, int, pb.NodeToGateway | None, asyncio.Semaphore | None]  # whose place it gives back
_Work = tuple[Callable[[], Sequence[pb.NodeToGateway]], asyncio.Semaphore | None]


class GatewayStream:
    """Serves one Attach call.

    Args:
        context: the call.
        caller: who opened it: a gateway; looked at again whenever our trust changes.
        callers: recognises callers.
        desk: does the work.
        authorizing: answers terminals' questions.
        threads: where the desk works.
        limits: how much may be under way.
        metrics: counts.
    """

    def __init__(
        self,
        context: "Context",
        caller: Caller,
        callers: Callers,
        desk: GatewayDesk,
        authorizing: Authorizing,
        threads: Executor,
        limits: ServingLimits,
        metrics: NodeMetrics,
    ) -> None:
        self._context = context
        self._caller = caller
        self._callers = callers
        self._desk = desk
        self._authorizing = authorizing
        self._threads = threads
        self._metrics = metrics
        self._attached = Attached(caller.identity.name, caller.leaf_pem)
        self._places = asyncio.Semaphore(limits.gateway_messages_max)
        self._work: asyncio.Queue[_Work] = asyncio.Queue()  # at most one beyond the places
        self._saying: asyncio.PriorityQueue[_Saying] = asyncio.PriorityQueue()
        self._order = count()
        self._questions = asyncio.Semaphore(limits.gateway_questions_max)
        self._answering: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._busy = 0  # pieces of work that wait or are done now
        self._news_waits = False
        self._welcomed = False
        self._end: CampusCardError | None = None

    @property
    def gateway(self) -> str:
        """Whose stream it is."""
        return self._attached.gateway

    async def run(self) -> None:
        """Serve until the gateway goes, or until `end`."""
        try:
            await self._greet()
            self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._take())]
            for task in self._tasks:
                task.add_done_callback(self._look)
            self._writing = asyncio.create_task(self._write())
            await asyncio.wait([self._writing])
        finally:
            for task in (*self._tasks, *self._answering, *([self._writing] if self._writing else [])):
                task.cancel()
        if self._end:
            await abort(self._context, self._end)
        for task in (*self._tasks, self._writing):
            if task.done() and not task.cancelled():
                task.result()  # raises what ended it, if anything did

    def end(self, why: CampusCardError) -> None:
        """End the call with this error; what was taken is committed, the gateway sends the rest again."""
        self._end = self._end or why
        for task in self._tasks:
            task.cancel()
        self._saying.put_nowait((_AT_ONCE, next(self._order), None, None))
        if self._writing is not None:  # a gateway that takes nothing any more does not keep its stream
            asyncio.get_running_loop().call_later(END_S_MAX, self._writing.cancel)

    def recheck(self) -> None:
        """End the call if its gateway is not accepted any more."""
        try:
            self._caller = self._callers.renew(self._caller)
        except NotIdentified as error:
            self.end(error)

    def look_for_news(self) -> None:
        """Tell the gateway what has changed, when its turn comes."""
        if self._welcomed and not self._news_waits and self._saying.qsize() < NEWS_BEHIND_MAX:
            self._news_waits = True
            self._busy += 1
            self._work.put_nowait((self._news, None))

    async def _greet(self) -> None:
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                first = await self._context.read()
        except TimeoutError as error:
            raise Unavailable("no hello came: begin again") from error
        if first is grpc.aio.EOF or first.WhichOneof("body") != "hello":
            raise Unreadable("the first message of a gateway is its hello")
        loop = asyncio.get_running_loop()
        for message in await loop.run_in_executor(
            self._threads, self._desk.greet, self._attached, first.hello
        ):
            self._say(message)
        self._welcomed = True

    async def _read(self) -> None:
        while True:
            message = await self._context.read()
            if message is grpc.aio.EOF:
                return
            if message.WhichOneof("body") == "authorization":
                await self._questions.acquire()
                answering = asyncio.create_task(self._answer(message.authorization))
                self._answering.add(answering)
                answering.add_done_callback(self._answered)
            else:
                await self._places.acquire()
                self._busy += 1
                self._work.put_nowait((partial(self._take_message, message), self._places))

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            work, place = await self._work.get()
            said = await loop.run_in_executor(self._threads, work)
            for message in said:
                self._say(message, place=place)  # a message of a gateway has one answer at most
            if place is not None and not said:
                place.release()
            self._busy -= 1
            if not self._busy:
                self._look()

    async def _write(self) -> None:
        """Write what is to be said until both ends are through, or the call is to end."""
        while True:
            _, _, message, place = await self._saying.get()
            if message is not None:
                await self._context.write(message)
                if place is not None:
                    place.release()
            elif self._is_over():
                return

    def _is_over(self) -> bool:
        if self._end is not None:
            return True
        reading, taking = self._tasks
        if taking.done() or (reading.done() and not reading.cancelled() and reading.exception()):
            return True
        return reading.done() and not self._busy and not self._answering

    async def _answer(self, question: pb.ForwardedAuthorization) -> None:
        answered = await self._authorizing.answer(self.gateway, question)
        self._metrics.authorization_answered(_named(answered))
        self._say(pb.NodeToGateway(authorization=answered), _ANSWERS_FIRST, self._questions)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.end(Unavailable("the node failed on a question: begin again"))
            task.get_loop().call_exception_handler(
                {"message": "a question failed", "exception": task.exception(), "task": task}
            )
        self._look()

    def _take_message(self, message: pb.GatewayToNode) -> Sequence[pb.NodeToGateway]:
        answer = self._desk.take(self._attached, message)
        return () if answer is None else (answer,)

    def _news(self) -> Sequence[pb.NodeToGateway]:
        self._news_waits = False
        return self._desk.news(self._attached)

    def _say(
        self, message: pb.NodeToGateway, urgency: int = _REST, place: asyncio.Semaphore | None = None
    ) -> None:
        self._saying.put_nowait((urgency, next(self._order), message, place))

    def _look(self, _: object = None) -> None:
        self._saying.put_nowait((_LOOK_AGAIN, next(self._order), None, None))


def _named(answered: pb.AnsweredAuthorization) -> str:
    if answered.WhichOneof("result") == "unable":
        return "unable"
    refusal = answered.answered.refusal
    return common_pb2.Refusal.Name(refusal).removeprefix("REFUSAL_").lower() if refusal else "approved"
