"""The one who writes a ledger: books in memory, the database behind them, and what is done when it fails.

Synchronous, one caller at a time; the engine runs it on its thread.

What a failure means here: no commit, no answer. When the outcome of a commit is unknown the books are read
back and the batch is decided again; ids that made it into the journal get the answer that stands there.
"""

import heapq
from collections import ChainMap, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from campus_node.ledger.books import Balance, Draft, Key, Status, TransferState, new_balance
from campus_node.ledger.decision import UNDECIDABLE, Decision, Known, Position, answer_of, decide
from campus_node.ledger.rows import chain
from campus_node.ledger.rules import expiry_of
from campus_node.ledger.store import AccountOpening, BalanceChange, Batch, DuplicateKey, Lease, Store
from federation.business_date import BusinessCalendar
from federation.clock import Clock, SteadyClock
from federation.errors import LeaseLost, StoreDown, Unavailable
from federation.ids import made_at_unix_ms
from federation.transfer import TRANSFER_ID_BYTES, Answer, Refusal, Request, Verb

T = TypeVar("T")
_Expiry = tuple[int, int, Key]  # when, seq of the RESERVE, its id

_RETRY_FIRST_S: Final = 0.05
_RETRY_MAX_S: Final = 1.0
_SET_BACK_MS: Final = 60_000  # the wall clock this far behind the books is an alarm
_ATTEMPTS_BEFORE_BISECTION: Final = 2
_DUPLICATES_MAX: Final = 3


class EngineObserver(Protocol):
    """Who is told what the ledger does; called on the writer's thread, must not block or raise."""

    def batch_committed(
        self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float, queued_items: int
    ) -> None: ...

    def alarm(self, name: str, severity: str, subject: str, evidence: Mapping[str, object]) -> None: ...


class Unobserved:
    """Nobody is told."""

    def batch_committed(
        self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float, queued_items: int
    ) -> None:
        pass

    def alarm(self, name: str, severity: str, subject: str, evidence: Mapping[str, object]) -> None:
        pass


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
        self._recent_ids_max = recent_ids_max
        self._outage_hold_s = outage_hold_s

        self.balances: dict[int, Balance] = {}
        self.commit_s = 0.01  # how long the last commit took
        self.rows_of_last_batch = 0
        self.store_is_down = False
        self.gave_up = False  # the database is away for longer than a batch waits: say so at once
        self._outage_since_s: float | None = None

        self._steady = SteadyClock(clock)
        self._set_back = False
        self._lease = Lease(0, 0, 0, b"", 0, 0)
        self._reservations: dict[Key, TransferState] = {}
        self._expiries: list[_Expiry] = []
        self._recent: dict[Key, Known] = {}
        self._recent_batches: deque[tuple[int, Collection[Key]]] = deque()
        self._recent_since_unix_ms = 0

    def open(self, *, force: bool = False) -> None:
        """Become the writer and read the books.

        Raises:
            Misconfigured: another process is the writer and force is not set; or there is no ledger.
            StoreDown: the database does not answer.
        """
        self._store.take_over(self._holder, now_unix_ms=self._clock.unix_ms(), force=force)
        self._read_books()
        self._steady = SteadyClock(self._clock, self._lease.recorded_at_unix_ms)
        self._recent_since_unix_ms = self._steady.unix_ms()

    def close(self) -> None:
        """Let go of the ledger."""
        self._store.close()

    def settle(self, requests: Sequence[Request]) -> list[Answer]:
        """Post a batch; if something in it breaks the store twice, find that item and refuse it alone.

        Raises:
            StoreDown: the database stayed away for longer than outage_hold_s.
            LeaseLost: another writer took over.
        """
        failure: Exception | None = None
        for _ in range(_ATTEMPTS_BEFORE_BISECTION):
            try:
                return self._with_store(lambda look_up: self._post(requests, look_up_all=look_up))
            except Unavailable:
                raise
            except Exception as error:  # not the database's absence: something in the batch
                failure = error
                self._with_store(lambda _: self._read_books())
        if len(requests) > 1:
            half = len(requests) // 2
            return [*self.settle(requests[:half]), *self.settle(requests[half:])]
        self._alarm_undecidable(failure)
        return [UNDECIDABLE] * len(requests)

    def open_accounts(self, openings: Sequence[AccountOpening]) -> list[bool]:
        """Open accounts; False = the number exists with another holder or floor."""
        opened = self._with_store(
            lambda _: self._store.open_accounts(self._lease, openings, now_unix_ms=self._now())
        )
        for (account, _, floor_fen), done in zip(openings, opened, strict=True):
            if done and account not in self.balances:
                self.balances[account] = new_balance(floor_fen)
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
        if self.store_is_down:
            self._recover()
            return
        try:
            held = self._store.holds_lease(self._lease.epoch)
        except Unavailable as error:
            self._note_outage(error)
            return
        if not held:
            raise LeaseLost("another writer took over this ledger")

    def _post(self, requests: Sequence[Request], *, look_up_all: bool) -> list[Answer]:
        now = self._now()
        known, states = self._fetch(requests, look_up_all=look_up_all)
        draft = Draft(self.balances, states)
        lease = self._lease
        date = max(self._calendar.date_of(now), lease.business_date)
        at = Position(lease.incarnation, lease.seq, now, date)
        due = self._take_due(now)
        try:
            expiring = [expiry_of(key, expires_at) for expires_at, _, key in due]
            decision = decide(requests, expiring, known, draft, at)
            if decision.rows:
                self._commit(decision, draft, now)
        except BaseException:
            for item in due:
                heapq.heappush(self._expiries, item)
            raise
        for _, error in decision.undecided:
            self._alarm_undecidable(error)
        self.rows_of_last_batch = len(decision.rows)
        return decision.answers

    def _commit(self, decision: Decision, draft: Draft, now_unix_ms: int) -> None:
        before = self._lease
        after = before._replace(
            seq=decision.rows[-1].seq,
            chain_hash=chain(before.chain_hash, decision.encoded),
            recorded_at_unix_ms=now_unix_ms,
            business_date=decision.rows[-1].business_date,
        )
        changes = [BalanceChange._make(change) for change in draft.changed()]
        began_s = self._clock.monotonic_s()
        self._store.append(Batch(decision.rows, decision.encoded, changes, decision.outbox, before, after))
        self.commit_s = self._clock.monotonic_s() - began_s

        self._lease = after
        self.balances.update(draft.balances)
        for key, state in draft.states.items():
            self._keep(key, state)
        self._recent.update(decision.fresh)
        self._recent_batches.append((now_unix_ms, decision.fresh.keys()))
        while len(self._recent) > self._recent_ids_max:
            self._recent_since_unix_ms, oldest = self._recent_batches.popleft()
            for key in oldest:
                del self._recent[key]

    def _keep(self, key: Key, state: TransferState) -> None:
        if state.status == Status.OPEN:
            self._reservations[key] = state
            heapq.heappush(self._expiries, (state.expires_at_unix_ms, state.seq, key))
        else:
            self._reservations.pop(key, None)

    def _take_due(self, now_unix_ms: int) -> list[_Expiry]:
        """Take the open reservations whose time is over."""
        due = []
        while self._expiries and self._expiries[0][0] <= now_unix_ms:
            item = heapq.heappop(self._expiries)
            if item[2] in self._reservations:
                due.append(item)
        return due

    def _fetch(
        self, requests: Sequence[Request], *, look_up_all: bool
    ) -> tuple[dict[Key, Known], Mapping[Key, TransferState]]:
        """Learn all that deciding needs: answers of ids in the journal, and what their targets became."""
        recent = self._recent
        since = self._recent_since_unix_ms
        known: dict[Key, Known] = {}
        unsure: list[Key] = []
        of_interest: set[Key] = set()
        for request in requests:
            key = request.originator, request.transfer_id
            first = recent.get(key)
            if first is not None:
                known[key] = first
            elif look_up_all or made_at_unix_ms(request.transfer_id) < since:
                unsure.append(key)  # a newer id is in memory or new; the primary key makes sure
            if request.verb == Verb.RESERVE:
                of_interest.add(key)
            elif request.target_id:
                of_interest.add((request.target_originator, request.target_id))
        if unsure:
            rows = self._store.find(_well_formed(unsure))
            for key, row in rows.items():
                known[key] = row.request_hash, answer_of(row)
        of_interest -= self._reservations.keys()
        if not of_interest:
            return known, self._reservations
        found = self._store.find_states(_well_formed(of_interest))
        return known, ChainMap(found, self._reservations)

    def _read_books(self) -> None:
        """Take over what the database says; it is right and we may not be."""
        snapshot = self._store.load()
        if self._lease.epoch and snapshot.lease.epoch != self._lease.epoch:
            raise LeaseLost("another writer took over this ledger")
        self._lease = snapshot.lease
        self.balances = snapshot.balances
        self._reservations = snapshot.open_reservations
        self._expiries = [(s.expires_at_unix_ms, s.seq, key) for key, s in self._reservations.items()]
        heapq.heapify(self._expiries)

    def _with_store(self, action: Callable[[bool], T]) -> T:
        """Do what needs the database; wait for it and begin again when it fails.

        The action's argument tells whether all ids must be looked up: something may have been written.
        """
        look_up_all = False
        duplicates = 0
        while True:
            try:
                result = action(look_up_all)
            except LeaseLost:
                raise
            except DuplicateKey:
                duplicates += 1
                if duplicates > _DUPLICATES_MAX:
                    raise
                look_up_all = True
            except Unavailable as error:
                look_up_all = True
                self._wait_for_store(error)
            else:
                self._outage_since_s = None
                return result

    def _wait_for_store(self, error: Unavailable) -> None:
        """Return when the database takes writes again.

        Raises:
            StoreDown: it did not within outage_hold_s of its first failure.
        """
        since_s = self._note_outage(error)
        retry_s = _RETRY_FIRST_S
        while True:
            if self.gave_up or self._clock.monotonic_s() - since_s >= self._outage_hold_s:
                self.gave_up = True
                raise StoreDown(str(error)) from error
            self._clock.sleep(retry_s)
            retry_s = min(retry_s * 2, _RETRY_MAX_S)
            if self._recover():
                return

    def _note_outage(self, error: Unavailable) -> float:
        self.store_is_down = True
        if self._outage_since_s is None:
            self._outage_since_s = self._clock.monotonic_s()
            evidence = {"why": str(error), "holder": self._holder}
            self._observer.alarm("ledger.store_down", "critical", "ledger", evidence)
        return self._outage_since_s

    def _recover(self) -> bool:
        try:
            self._store.reopen()
            self._store.prove_writable(self._lease.epoch)
            self._read_books()
        except LeaseLost:
            raise
        except Unavailable:
            return False
        self.store_is_down = self.gave_up = False
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


def refusals_of(answers: Sequence[Answer]) -> dict[int, int]:
    """Count answers by refusal."""
    counts: dict[int, int] = {}
    for answer in answers:
        if answer.refusal != Refusal.NONE:
            counts[answer.refusal] = counts.get(answer.refusal, 0) + 1
    return counts


def _well_formed(keys: Collection[Key]) -> list[Key]:
    """Leave out what cannot be in a journal; deciding refuses it as malformed."""
    return [key for key in keys if len(key[1]) == TRANSFER_ID_BYTES and 0 <= key[0] < 2**31]
