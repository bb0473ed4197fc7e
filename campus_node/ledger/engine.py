"""The posting engine: callers enqueue, one thread posts, answers come after the durable commit.

It takes everything that waits, lets the writer decide and commit it as one batch, and answers each caller.
There is no timer: an idle ledger answers after one commit, a busy one shares that commit among all that came
meanwhile.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from campus_node.ledger.books import Balance
from campus_node.ledger.store import AccountOpening, Store
from campus_node.ledger.writer import EngineObserver, Unobserved, Writer, refusals_of
from federation.business_date import BusinessCalendar
from federation.clock import Clock
from federation.errors import LeaseLost, Overloaded, Stopping, StoreDown, Unavailable
from federation.transfer import Answer, Request

Outcome = Sequence[Answer] | Unavailable
Reply = Callable[[Any], None]  # told an Outcome, or what an errand brings
Delivery = tuple[Reply, object]
Deliver = Callable[[Sequence[Delivery]], None]

_LOOK_AROUND_S: Final = 2.0  # an idle writer notices a take-over within this time
_STORE_PROBE_S: Final = 0.5
_RETRY_AFTER_MIN_MS: Final = 20


class EngineState(StrEnum):
    """Whether the engine can post."""

    STARTING = "starting"
    SERVING = "serving"
    WAITING_FOR_STORE = "waiting_for_store"
    LEASE_LOST = "lease_lost"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds of one engine.

    Args:
        queue_items_max: items that may wait; more are refused as Overloaded.
        batch_items_max: items in one commit; also the largest group.
        recent_ids_max: answers kept in memory for repeats; older ones are looked up.
        outage_hold_s: how long a batch waits for a database that is gone before its callers are told.
    """

    queue_items_max: int = 8_192
    batch_items_max: int = 1_024
    recent_ids_max: int = 65_536
    outage_hold_s: float = 10.0


class _Group(NamedTuple):
    """Requests that came together and are answered together."""

    requests: Sequence[Request]
    reply: Reply


class _Errand(NamedTuple):
    """Something else that only the writer may do."""

    run: Callable[[], object]
    reply: Reply


def deliver_now(deliveries: Sequence[Delivery]) -> None:
    """Call every reply here, on the engine's thread."""
    for reply, outcome in deliveries:
        reply(outcome)


class Engine:
    """The writer of one ledger and the queue before it.

    Args:
        store: the database; this engine's thread alone uses it.
        clock: wall and monotonic time.
        calendar: business dates.
        holder: who writes, for people to read: host, process id, campus.
        limits: bounds of queue, batch, memory and waiting.
        deliver: hands a batch's answers over; called once a batch on the engine's thread.
        observer: is told of every batch and of alarms, on the engine's thread.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        calendar: BusinessCalendar,
        *,
        holder: str,
        limits: EngineLimits | None = None,
        deliver: Deliver = deliver_now,
        observer: EngineObserver | None = None,
    ) -> None:
        self._clock = clock
        self._limits = limits or EngineLimits()
        self._deliver = deliver
        self._observer = observer or Unobserved()
        self._writer = Writer(
            store,
            clock,
            calendar,
            holder=holder,
            observer=self._observer,
            recent_ids_max=self._limits.recent_ids_max,
            outage_hold_s=self._limits.outage_hold_s,
        )
        self._phase = EngineState.STARTING
        self._waiting = threading.Condition()
        self._queue: deque[_Group | _Errand] = deque()
        self._queued_items = 0
        self._stopping = False
        self._stop_by_s = 0.0
        self._thread: threading.Thread | None = None

    # What callers use, from any thread

    def submit(self, requests: Sequence[Request], reply: Reply) -> None:
        """Enqueue requests; reply gets one Answer each, or Unavailable for all of them.

        Raises:
            ValueError: no requests, or more than batch_items_max.
            Overloaded: the queue is full.
            StoreDown, LeaseLost, Stopping: nothing can be posted now.
        """
        count = len(requests)
        if not 0 < count <= self._limits.batch_items_max:
            raise ValueError(f"a group has 1 to {self._limits.batch_items_max} requests, this one {count}")
        self._enqueue(_Group(requests, reply), count)

    def open_accounts(self, openings: Sequence[AccountOpening], reply: Reply) -> None:
        """Open accounts; reply gets one truth value each: False = it exists with another holder or floor."""
        self._enqueue(_Errand(lambda: self._writer.open_accounts(openings), reply))

    def originator_numbers(self, names: Collection[str], reply: Reply) -> None:
        """Learn the number of each originator's name; a new name gets a new number, for ever."""
        self._enqueue(_Errand(lambda: self._writer.originator_numbers(names), reply))

    def balance(self, account: int) -> Balance | None:
        """Return a committed balance, None if there is no such account."""
        return self._writer.balances.get(account)

    @property
    def queued_items(self) -> int:
        """How many items wait for their batch."""
        return self._queued_items

    @property
    def state(self) -> EngineState:
        """Whether the engine can post."""
        if self._phase == EngineState.SERVING and self._writer.store_is_down:
            return EngineState.WAITING_FOR_STORE
        return self._phase

    # Its life

    def open(self, *, force: bool = False) -> None:
        """Become the writer and read the books; without a thread, `step` does the rest.

        Raises:
            Misconfigured: another process is the writer and force is not set; or there is no ledger.
            StoreDown: the database does not answer.
        """
        self._writer.open(force=force)
        self._phase = EngineState.SERVING

    def start(self, *, force: bool = False) -> None:
        """Open, and post on a thread of its own until `stop`; raises what `open` raises."""
        self.open(force=force)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def stop(self, drain_s: float) -> None:
        """Answer what is queued, at most for drain_s seconds, then let go of the ledger."""
        with self._waiting:
            self._stopping = True
            self._stop_by_s = self._clock.monotonic_s() + drain_s
            self._waiting.notify_all()
        if self._thread is not None:
            self._thread.join()
            return
        while self.step():
            pass
        self._finish()

    def step(self) -> bool:
        """Decide and commit one batch of what waits; False if nothing waited and nothing expired."""
        with self._waiting:
            taken = self._take()
        if not taken and not self._writer.something_expired():
            return False
        self._process(taken)
        return True

    # The engine's thread

    def _run(self) -> None:
        try:
            while self._phase == EngineState.SERVING and not self._is_done():
                with self._waiting:
                    if not self._queue and not self._stopping:
                        self._waiting.wait(self._idle_s())
                if not self.step():
                    self._guard(self._writer.look_around)
        finally:
            self._finish()

    def _is_done(self) -> bool:
        with self._waiting:
            overdue = self._clock.monotonic_s() > self._stop_by_s
            return self._stopping and (overdue or not self._queue)

    def _idle_s(self) -> float:
        if self._writer.store_is_down:
            return _STORE_PROBE_S
        return min(_LOOK_AROUND_S, self._writer.until_next_expiry_s())

    def _finish(self) -> None:
        lost = self._phase == EngineState.LEASE_LOST
        with self._waiting:
            if not lost:
                self._phase = EngineState.STOPPED
            left = list(self._queue)
            self._queue.clear()
            self._queued_items = 0
        why = (
            LeaseLost("another writer took over this ledger") if lost else Stopping("the node stops: repeat")
        )
        self._deliver([(item.reply, why) for item in left])
        self._writer.close()

    def _enqueue(self, item: _Group | _Errand, items: int = 0) -> None:
        with self._waiting:
            self._check_serving()
            if self._queued_items + items > self._limits.queue_items_max:
                batches = self._queued_items / self._limits.batch_items_max + 1
                retry_after_ms = round(1000 * self._writer.commit_s * batches)
                raise Overloaded(max(_RETRY_AFTER_MIN_MS, retry_after_ms))
            self._queued_items += items
            self._queue.append(item)
            self._waiting.notify()

    def _check_serving(self) -> None:
        if self._phase == EngineState.LEASE_LOST:
            raise LeaseLost("another writer took over this ledger")
        if self._stopping or self._phase != EngineState.SERVING:
            raise Stopping("the ledger is not open: repeat when it is")
        if self._writer.gave_up:
            raise StoreDown("the ledger's database does not take writes: repeat later")

    def _take(self) -> list[_Group | _Errand]:
        """Take what fits into one batch; an errand goes alone. The lock is held."""
        taken: list[_Group | _Errand] = []
        items = 0
        while self._queue:
            first = self._queue[0]
            if isinstance(first, _Errand):
                return taken or [self._queue.popleft()]
            if items + len(first.requests) > self._limits.batch_items_max:
                break
            items += len(first.requests)
            self._queued_items -= len(first.requests)
            taken.append(self._queue.popleft())
        return taken

    def _process(self, taken: Sequence[_Group | _Errand]) -> None:
        deliveries: list[Delivery] = []
        error = self._guard(lambda: deliveries.extend(self._do(taken)))
        self._deliver(deliveries if error is None else [(item.reply, error) for item in taken])

    def _guard(self, action: Callable[[], None]) -> Unavailable | None:
        """Do it; return what callers must be told if it failed."""
        try:
            action()
        except LeaseLost as error:
            self._phase = EngineState.LEASE_LOST
            self._observer.alarm("ledger.lease_lost", "critical", "ledger", {"why": str(error)})
            return error
        except Unavailable as error:
            return error
        return None

    def _do(self, taken: Sequence[_Group | _Errand]) -> list[Delivery]:
        if taken and isinstance(taken[0], _Errand):
            return [(taken[0].reply, taken[0].run())]
        groups = [item for item in taken if isinstance(item, _Group)]
        answers = self._writer.settle([request for group in groups for request in group.requests])
        self._observer.batch_committed(
            len(answers),
            self._writer.rows_of_last_batch,
            refusals_of(answers),
            self._writer.commit_s,
            self._queued_items,
        )
        deliveries: list[Delivery] = []
        start = 0
        for group in groups:
            deliveries.append((group.reply, answers[start : start + len(group.requests)]))
            start += len(group.requests)
        return deliveries
