"""The one who writes a ledger: books in memory, the database behind them, and what is done when it fails.

Synchronous, one caller at a time; the engine runs it on its thread.

What a failure means here: no commit, no answer. When the outcome of a commit is unknown the books are read
back and the batch is decided again; ids that made it into the journal get the answer that stands there.
"""

import heapq
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from campus_node.ledger.books import Balance, Draft, Key, Status, TransferState, new_balance
from campus_node.ledger.decision import UNDECIDABLE, Decision, Known, Position, answer_of, decide
from campus_node.ledger.observer import EngineObserver
from campus_node.ledger.outage import Outage
from campus_node.ledger.recent import RecentAnswers
from campus_node.ledger.rows import chain
from campus_node.ledger.rules import expiry_of
from campus_node.ledger.store import AccountOpening, Batch, DuplicateKey, Lease, Store
from campus_node.ledger.survey import Survey, survey
from federation.business_date import BusinessCalendar
from federation.clock import Clock, SteadyClock
from federation.errors import LeaseLost, Misconfigured, StoreDown, Unavailable
from federation.transfer import Answer, Request

T = TypeVar("T")
_Expiry = tuple[int, int, Key]  # when, seq of the RESERVE, its id

_OPEN: Final = int(Status.OPEN)
_SET_BACK_MS: Final = 60_000  # the wall clock this far behind the books is an alarm
_ATTEMPTS_BEFORE_BISECTION: Final = 2
_DUPLICATES_MAX: Final = 3


class Started(NamedTuple):
    """A batch that is decided and not yet committed, with what undoes it."""

    decision: Decision
    batch: Batch
    balances_before: dict[int, Balance]
    reservations_before: dict[Key, TransferState | None]
    due: list[_Expiry]


class Writer:
    """The writer of one ledger.

    Args:
        store: the database.
        clock: wall and monotonic time; the books use it through a SteadyClock.
        calendar: business dates.
        holder: who writes, for people to read: host, process id, campus.
        observer: is told of alarms.
        recent_ids_max: answers kept in memory for repeats; older ones are looked up.
        outage_hold_s: how long a batch waits for a database that is gone.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        calendar: BusinessCalendar,
        *,
        holder: str,
        observer: EngineObserver,
        recent_ids_max: int,
        outage_hold_s: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._calendar = calendar
        self._holder = holder
        self._observer = observer
        self._outage = Outage(clock, observer, outage_hold_s)

        self._balances: dict[int, Balance] = {}  # as decided, ahead of what is committed
        self._uncommitted: tuple[Mapping[int, Balance], ...] = ()  # as it stood before each started batch
        self.commit_s = 0.01  # how long the last commit took

        self._steady = SteadyClock(clock)
        self._set_back = False
        self._lease = Lease(0, 0, 0, b"", 0, 0)
        self._reservations: dict[Key, TransferState] = {}
        self._expiries: list[_Expiry] = []
        self._recent = RecentAnswers(recent_ids_max)

    def open(self, *, force: bool = False) -> None:
        """Become the writer and read the books.

        Raises:
            Misconfigured: another process is the writer and force is not set; or there is no ledger.
            StoreDown: the database does not answer.
        """
        self._store.take_over(self._holder, now_unix_ms=self._clock.unix_ms(), force=force)
        self._read_books()
        self._steady = SteadyClock(self._clock, self._lease.recorded_at_unix_ms)
        self._recent.since_unix_ms = self._steady.unix_ms()

    def close(self) -> None:
        """Let go of the ledger."""
        self._store.close()

    @property
    def store_is_down(self) -> bool:
        """Whether the database failed and has not answered since."""
        return self._outage.ongoing

    @property
    def gave_up(self) -> bool:
        """Whether the database is away for longer than a batch waits."""
        return self._outage.gave_up

    @property
    def recorded_at_unix_ms(self) -> int:
        """The ledger's clock at the last batch."""
        return self._lease.recorded_at_unix_ms

    @property
    def last_seq(self) -> int:
        """The last row of the journal as decided."""
        return self._lease.seq

    def balance(self, account: int) -> Balance | None:
        """Return a committed balance, None if there is no such account. Any thread may ask at any time."""
        while True:
            uncommitted = self._uncommitted
            holding = (before[account] for before in uncommitted if account in before)
            balance = next(holding, None) or self._balances.get(account)
            if uncommitted is self._uncommitted:  # else a batch came between the two looks
                return balance

    def survey(self, requests: Sequence[Request], *, look_up_all: bool = False) -> Survey:
        """Tell what deciding needs that is not in memory."""
        return survey(requests, self._recent, self._reservations.keys(), look_up_all=look_up_all)

    def start(self, requests: Sequence[Request], survey: Survey) -> Started:
        """Decide a batch and go on from there in memory; nothing is written and nobody may be answered yet.

        What follows is `commit` and `conclude`, or `undo`; several that were started are undone newest first.
        """
        known, states = self._fetch(survey)
        now = self._now()
        before = self._lease
        date = max(self._calendar.date_of(now), before.business_date)
        draft = Draft(self._balances, states)
        due = self._take_due(now)
        try:
            expiring = [expiry_of(key, expires_at) for expires_at, _, key in due]
            at = Position(before.incarnation, before.seq, now, date)
            decision = decide(requests, expiring, known, draft, at)
        except BaseException:
            self._put_back(due)
            raise
        for _, error in decision.undecided:
            self._alarm_undecidable(error)
        after = before
        if decision.rows:
            after = before._replace(
                seq=decision.rows[-1].seq,
                chain_hash=chain(before.chain_hash, decision.encoded),
                recorded_at_unix_ms=now,
                business_date=date,
            )
        batch = Batch(decision.rows, decision.encoded, draft.changed(), decision.outbox, before, after)
        reservations_before = {key: self._reservations.get(key) for key in draft.states}
        started = Started(decision, batch, draft.before, reservations_before, due)
        self._lease = after
        self._uncommitted = *self._uncommitted, draft.before  # first: a reader looks there first
        self._balances.update(draft.balances)
        for key, state in draft.states.items():
            self._keep(key, state if state.status == _OPEN else None)
        self._recent.add(decision.fresh)
        return started

    def stage(self, started: Started) -> None:
        """Do ahead what can be done of `commit` before its turn; on another thread, too."""
        if started.batch.rows:
            self._store.stage(started.batch)

    def unstage(self, started: Started) -> None:
        """Take back what was done ahead."""
        if started.batch.rows:
            self._store.unstage(started.batch)

    def commit(self, started: Started) -> None:
        """Write what was decided; on another thread, too, one batch at a time and in order."""
        if started.batch.rows:
            began_s = self._clock.monotonic_s()
            self._store.append(started.batch)
            self.commit_s = self._clock.monotonic_s() - began_s

    def conclude(self, started: Started) -> list[Answer]:
        """Return the answers of a batch that is committed."""
        self._uncommitted = self._uncommitted[1:]
        self._outage.is_over()
        self._recent.committed(started.decision.fresh, started.batch.after.recorded_at_unix_ms)
        return started.decision.answers

    def undo(self, started: Started) -> None:
        """Forget a batch that was started and not committed."""
        self._lease = started.batch.before
        self._balances.update(started.balances_before)
        self._uncommitted = self._uncommitted[:-1]
        for key, state in started.reservations_before.items():
            self._keep(key, state)
        self._put_back(started.due)
        self._recent.forget(started.decision.fresh)

    def settle(self, requests: Sequence[Request], failure: Exception | None = None) -> list[Answer]:
        """Post a batch, whatever it takes: wait for the database, look ids up, begin again.

        If something in it breaks the store twice, that item is found and refused alone.

        Args:
            failure: why an earlier attempt failed.

        Raises:
            StoreDown: the database stayed away for longer than outage_hold_s.
            LeaseLost: another writer took over.
        """
        for _ in range(_ATTEMPTS_BEFORE_BISECTION):
            try:
                return self._with_store(lambda look_up_all: self._post(requests, look_up_all), failure)
            except Unavailable:
                raise
            except Exception as error:  # not the database's absence: something in the batch
                failure = None
                broken = error
                self._with_store(lambda _: self._read_books())
        if len(requests) > 1:
            half = len(requests) // 2
            return [*self.settle(requests[:half]), *self.settle(requests[half:])]
        self._alarm_undecidable(broken)
        return [UNDECIDABLE] * len(requests)

    def open_accounts(self, openings: Sequence[AccountOpening]) -> list[bool]:
        """Open accounts; False = the number exists with another holder or floor."""
        opened = self._with_store(
            lambda _: self._store.open_accounts(self._lease, openings, now_unix_ms=self._now())
        )
        for (account, _, floor_fen), done in zip(openings, opened, strict=True):
            if done and account not in self._balances:
                self._balances[account] = new_balance(floor_fen)
        return opened

    def originator_numbers(self, names: Collection[str]) -> dict[str, int]:
        """Return the number of each originator's name; a new name gets a new number, for ever."""
        return self._with_store(lambda _: self._store.originator_numbers(self._lease, names))

    def something_expired(self) -> bool:
        """Tell whether a reservation's time is over."""
        return bool(self._expiries) and self._expiries[0][0] <= self._now()

    def until_next_expiry_s(self) -> float:
        """Return the time until the next reservation may lapse; infinite if there is none."""
        if not self._expiries:
            return float("inf")
        return max(0, self._expiries[0][0] - self._now()) / 1000

    def look_around(self) -> None:
        """While idle: is the lease still ours, is the database back?

        Raises:
            LeaseLost: another writer took over.
        """
        if self._outage.ongoing:
            self._recover()
            return
        try:
            held = self._store.holds_lease(self._lease.epoch)
        except Unavailable as error:
            self._outage.note(error)
            return
        if not held:
            raise LeaseLost("another writer took over this ledger")

    def _post(self, requests: Sequence[Request], look_up_all: bool) -> list[Answer]:
        started = self.start(requests, self.survey(requests, look_up_all=look_up_all))
        try:
            self.commit(started)
        except BaseException:
            self.undo(started)
            raise
        return self.conclude(started)

    def _keep(self, key: Key, state: TransferState | None) -> None:
        """Remember an open reservation; None = it is none, or not any more."""
        if state is None:
            self._reservations.pop(key, None)
        elif state != self._reservations.get(key):
            self._reservations[key] = state
            heapq.heappush(self._expiries, (state.expires_at_unix_ms, state.seq, key))

    def _take_due(self, now_unix_ms: int) -> list[_Expiry]:
        """Take the open reservations whose time is over."""
        due = []
        while self._expiries and self._expiries[0][0] <= now_unix_ms:
            expires_at, seq, key = heapq.heappop(self._expiries)
            state = self._reservations.get(key)  # entries outlive what was closed, or decided anew
            if state is not None and (state.expires_at_unix_ms, state.seq) == (expires_at, seq):
                due.append((expires_at, seq, key))
        return due

    def _put_back(self, due: Sequence[_Expiry]) -> None:
        for item in due:
            heapq.heappush(self._expiries, item)

    def _fetch(self, survey: Survey) -> tuple[Mapping[Key, Known], Mapping[Key, TransferState]]:
        """Look up what is not in memory: answers of ids in the journal, what their targets became."""
        known = survey.known
        if survey.unsure:
            found = self._store.find(survey.unsure)
            known = known | {key: (row.request_hash, answer_of(row)) for key, row in found.items()}
        if not survey.of_interest:
            return known, self._reservations
        return known, ChainMap(self._store.find_states(survey.of_interest), self._reservations)

    def _read_books(self) -> None:
        """Take over what the database says; it is right and we may not be."""
        snapshot = self._store.load()
        if self._lease.epoch and snapshot.lease.epoch != self._lease.epoch:
            raise LeaseLost("another writer took over this ledger")
        self._lease = snapshot.lease
        self._balances = snapshot.balances
        self._uncommitted = ()
        self._reservations = snapshot.open_reservations
        self._expiries = [(s.expires_at_unix_ms, s.seq, key) for key, s in self._reservations.items()]
        heapq.heapify(self._expiries)

    def _with_store(self, action: Callable[[bool], T], failure: Exception | None = None) -> T:
        """Do what needs the database; wait for it and begin again when it fails.

        The action's argument tells whether all ids must be looked up: something may have been written.
        """
        if self._outage.ongoing and failure is None and not self._recover():
            failure = StoreDown("the ledger's database has not answered since it failed")
        look_up_all = failure is not None
        duplicates = 0
        while True:
            if isinstance(failure, LeaseLost):
                raise failure
            if isinstance(failure, Unavailable):
                self._outage.wait(failure, self._recover)
            try:
                result = action(look_up_all)
            except DuplicateKey as error:
                duplicates += 1
                if duplicates > _DUPLICATES_MAX:
                    raise
                failure = error
            except Unavailable as error:
                failure = error
            else:
                self._outage.is_over()
                return result
            look_up_all = True

    def _recover(self) -> bool:
        try:
            self._store.reopen()
            self._store.prove_writable(self._lease.epoch)
            self._read_books()
        except LeaseLost:
            raise
        except (Unavailable, Misconfigured):
            return False
        self._outage.answers_again()
        return True

    def _now(self) -> int:
        now = self._steady.unix_ms()
        set_back = self._steady.behind_ms() > _SET_BACK_MS
        if set_back and not self._set_back:
            evidence = {"behind_ms": self._steady.behind_ms()}
            self._observer.alarm("clock.set_back", "warning", "clock", evidence)
        self._set_back = set_back
        return now

    def _alarm_undecidable(self, error: Exception | None) -> None:
        evidence = {"error": type(error).__name__, "why": str(error)}
        self._observer.alarm("ledger.undecidable", "serious", "ledger", evidence)
