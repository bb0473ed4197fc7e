"""The posting engine: callers enqueue, one thread posts, answers come after the durable commit.

It takes everything that waits, lets the writer decide and commit it as one batch, and answers each caller.
There is no timer: an idle ledger answers after one commit, a busy one shares that commit among all that came
meanwhile. While one batch is being committed the next one is decided.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from threading import Thread
from typing import Final, NamedTuple

from campus_node.ledger.books import Balance
from campus_node.ledger.committer import Committer
from campus_node.ledger.observer import EngineObserver, Unobserved, refusals_of
from campus_node.ledger.process import suit_process
from campus_node.ledger.store import AccountOpening, Store
from campus_node.ledger.waiting import Errand, Group, Reply, Taken, WaitingLine
from campus_node.ledger.writer import Started, Writer
from federation.business_date import BusinessCalendar
from federation.clock import Clock
from federation.errors import LeaseLost, Overloaded, Stopping, StoreDown, Unavailable
from federation.transfer import Answer, Request

Outcome = Sequence[Answer] | Unavailable
Delivery = tuple[Reply, object]
Deliver = Callable[[Sequence[Delivery]], None]

_LOOK_AROUND_S: Final = 2.0  # an idle writer notices a take-over within this time
_STORE_PROBE_S: Final = 0.5
_RETRY_AFTER_MIN_MS: Final = 20
_OVERLAP_ITEMS_MIN: Final = 128  # beside a commit under way fewer are not worth one of their own


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


class _Flight(NamedTuple):
    """A batch whose commit is under way."""

    groups: Sequence[Group]
    started: Started
    commit: Future[None]


def deliver_now(deliveries: Sequence[Delivery]) -> None:
    """Call every reply here, on the engine's thread."""
    for reply, outcome in deliveries:
        reply(outcome)


class Engine:
    """The writer of one ledger and the queue before it.

    Args:
        store: the database; only the engine uses it.
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
        self._line = WaitingLine(self._limits.batch_items_max)
        self._overlap_items_min = min(_OVERLAP_ITEMS_MIN, self._limits.batch_items_max)
        self._stopping = False
        self._stop_by_s = 0.0
        self._thread: Thread | None = None
        self._committer = Committer(self._writer, self._wake)
        self._flight: _Flight | None = None

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
        self._enqueue(Group(requests, reply), count)

    def open_accounts(self, openings: Sequence[AccountOpening], reply: Reply) -> None:
        """Open accounts; reply gets one truth value each: False = it exists with another holder or floor."""
        self._enqueue(Errand(lambda: self._writer.open_accounts(openings), reply))

    def originator_numbers(self, names: Collection[str], reply: Reply) -> None:
        """Learn the number of each originator's name; a new name gets a new number, for ever."""
        self._enqueue(Errand(lambda: self._writer.originator_numbers(names), reply))

    def balance(self, account: int) -> Balance | None:
        """Return a committed balance, None if there is no such account."""
        return self._writer.balance(account)

    @property
    def recorded_at_unix_ms(self) -> int:
        """The ledger's clock at the last batch; it never goes back, whatever the wall clock does."""
        return self._writer.recorded_at_unix_ms

    @property
    def queued_items(self) -> int:
        """How many items wait for their batch."""
        return self._line.items

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
        """Open, and post on a thread of its own until `stop`; raises what `open` raises.

        Suits the whole process to it: see `suit_process`.
        """
        self.open(force=force)
        suit_process()
        self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def stop(self, drain_s: float) -> None:
        """Answer what is queued, at most for drain_s seconds, then let go of the ledger."""
        with self._line.ready:
            self._stopping = True
            self._stop_by_s = self._clock.monotonic_s() + drain_s
            self._line.ready.notify_all()
        if self._thread is not None:
            self._thread.join()
            return
        while self.step():
            pass
        self._finish()

    def step(self) -> bool:
        """Decide and commit one batch of what waits; False if there was nothing, or nothing can be done."""
        with self._line.ready:
            taken = self._line.take() if self._phase == EngineState.SERVING else None
        if taken is None and not self._must_expire():
            return False
        self._do(taken, self._post)
        return True

    # The engine's thread

    def _run(self) -> None:
        try:
            while self._phase == EngineState.SERVING and not self._is_done():
                taken = self._wait_and_take()
                if taken is not None or (self._flight is None and self._must_expire()):
                    self._do(taken, self._launch)
                elif self._flight is None:
                    self._guard(self._writer.look_around)
        finally:
            self._land()
            self._finish()

    def _wait_and_take(self) -> Taken:
        """Wait for something to do, and take it; answer the batch under way as soon as it is committed."""
        with self._line.ready:
            if not self._stopping and not self._is_worth_taking():
                self._line.ready.wait(self._idle_s())
            if self._flight is not None and not self._stopping and not self._flight.commit.done():
                return self._line.take() if self._is_worth_taking() else None
        self._land()  # first: whoever is answered may ask again at once
        with self._line.ready:
            return self._line.take()

    def _is_worth_taking(self) -> bool:
        """Tell whether to go on now, or to let more come while a commit is under way."""
        flight = self._flight  # read once: callers look too
        if flight is None:
            return bool(self._line)
        return self._line.items >= self._overlap_items_min or flight.commit.done()

    def _is_done(self) -> bool:
        with self._line.ready:
            overdue = self._clock.monotonic_s() > self._stop_by_s
            return self._stopping and (overdue or not self._line)

    def _idle_s(self) -> float:
        if self._writer.store_is_down:
            return _STORE_PROBE_S
        return min(_LOOK_AROUND_S, self._writer.until_next_expiry_s())

    def _must_expire(self) -> bool:
        able = self._phase == EngineState.SERVING and not self._writer.store_is_down
        return able and self._writer.something_expired()

    def _do(self, taken: Taken, post: Callable[[Sequence[Group]], None]) -> None:
        if not isinstance(taken, Errand):
            try:
                post(taken or [])  # nothing but expiries
            except Exception:  # a bug: the thread ends, but nobody waits in vain
                self._deliver([(group.reply, Stopping("the ledger failed: repeat")) for group in taken or []])
                raise
            return
        self._land()
        outcome: list[object] = []
        error = self._guard(lambda: outcome.append(taken.run()))
        self._deliver([(taken.reply, outcome[0] if error is None else error)])

    def _launch(self, groups: Sequence[Group]) -> None:
        """Decide a batch while the one before it is being committed, then let its own commit begin."""
        requests = _requests(groups)
        survey = self._writer.survey(requests)
        if self._flight is not None and survey.needs_store:
            self._land()
            survey = self._writer.survey(requests)
        if self._phase != EngineState.SERVING or self._writer.store_is_down:
            self._post(groups)
            return
        try:
            started = self._writer.start(requests, survey)
        except Exception:  # a look-up failed, or a bug: the long way copes with both
            self._land()
            self._post(groups)
            return
        before = self._flight
        if before is None and self._line.items < self._overlap_items_min:  # nothing waits to be decided
            self._flight = _Flight(groups, started, self._committer.here(started))
            self._land()
            return
        commit = self._committer.beside(started, None if before is None else before.commit)
        if before is not None and before.commit.exception() is not None:
            commit.exception()  # wait: it gives up too
            self._writer.undo(started)
            self._land()
            self._post(groups)
            return
        self._flight = _Flight(groups, started, commit)
        if before is not None:
            self._conclude(before)

    def _wake(self) -> None:
        with self._line.ready:
            self._line.ready.notify_all()

    def _land(self) -> None:
        """Wait for the commit that is under way, and answer."""
        flight, self._flight = self._flight, None
        if flight is None:
            return
        failure = flight.commit.exception()
        if failure is None:
            self._conclude(flight)
            return
        self._writer.undo(flight.started)
        if not isinstance(failure, Exception):
            raise failure
        self._post(flight.groups, failure)

    def _conclude(self, flight: _Flight) -> None:
        self._answer(flight.groups, self._writer.conclude(flight.started), len(flight.started.batch.rows))

    def _post(self, groups: Sequence[Group], failure: Exception | None = None) -> None:
        """Post a batch the long way, with nothing beside it, and answer."""
        requests = _requests(groups)
        answers: list[Answer] = []
        seq = self._writer.last_seq
        error = self._guard(lambda: answers.extend(self._writer.settle(requests, failure)))
        if error is None:
            self._answer(groups, answers, self._writer.last_seq - seq)
        else:
            self._deliver([(group.reply, error) for group in groups])

    def _answer(self, groups: Sequence[Group], answers: Sequence[Answer], rows: int) -> None:
        self._observer.batch_committed(
            len(answers), rows, refusals_of(answers), self._writer.commit_s, self._line.items
        )
        deliveries: list[Delivery] = []
        start = 0
        for group in groups:
            deliveries.append((group.reply, answers[start : start + len(group.requests)]))
            start += len(group.requests)
        self._deliver(deliveries)

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
        except Exception as error:  # a bug, or an argument that only the database minds
            evidence = {"error": type(error).__name__, "why": str(error)}
            self._observer.alarm("ledger.broken_errand", "serious", "ledger", evidence)
            return Unavailable(f"not done: {type(error).__name__}: {error}")
        return None

    def _enqueue(self, item: Group | Errand, items: int = 0) -> None:
        with self._line.ready:
            self._check_serving()
            if self._line.items + items > self._limits.queue_items_max:
                batches = self._line.items / self._limits.batch_items_max + 1
                retry_after_ms = round(1000 * self._writer.commit_s * batches)
                raise Overloaded(max(_RETRY_AFTER_MIN_MS, retry_after_ms))
            self._line.put(item)
            if self._is_worth_taking():
                self._line.ready.notify_all()

    def _check_serving(self) -> None:
        if self._phase == EngineState.LEASE_LOST:
            raise LeaseLost("another writer took over this ledger")
        if self._stopping or self._phase != EngineState.SERVING:
            raise Stopping("the ledger is not open: repeat when it is")
        if self._writer.gave_up:
            raise StoreDown("the ledger's database does not take writes: repeat later")

    def _finish(self) -> None:
        lost = self._phase == EngineState.LEASE_LOST
        with self._line.ready:
            if not lost:
                self._phase = EngineState.STOPPED
            left = self._line.clear()
        stopping = Stopping("the node stops: repeat")
        why = LeaseLost("another writer took over this ledger") if lost else stopping
        self._deliver([(item.reply, why) for item in left])
        self._committer.close()
        self._writer.close()


def _requests(groups: Sequence[Group]) -> list[Request]:
    return [request for group in groups for request in group.requests]
