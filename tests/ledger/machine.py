"""A random life of a ledger, beside its model: Hypothesis chooses what is asked and what breaks.

An item of a program is a few small numbers; they are read against what exists by then, so that a failing
program shrinks to a short one. After every step the journal, the balances and everything that was ever
answered must be what the model says.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from campus_node.ledger.chart import Kind
from campus_node.ledger.engine import Engine, EngineState
from campus_node.ledger.store import AccountOpening, Store
from federation.clock import VirtualClock
from federation.errors import LeaseLost
from federation.transfer import CURRENCY_CNY, Answer, Origin, Request, Verb
from hil_rig.faults import Counted, Fault, What
from tests.ledger.books import CALENDAR, ModelBooks
from tests.ledger.engine_books import Database, differences, open_account, opened, post
from tests.ledger.faulty_connections import LEDGER, Breaker, Died
from tests.ledger.programs import (
    ACCOUNTS,
    BANK,
    BATCHES,
    DAY_MS,
    FIRST,
    LI,
    LIMITS,
    PAIRS,
    TIMES_MS,
    WANG,
    Item,
    changed,
    wrong,
)
from tests.ledger.script import STARTED_AT_UNIX_MS


class Place(Protocol):
    """A database that a machine may use, empty at first."""

    url: str
    breaker: Breaker

    def open_store(self) -> Store: ...


class LedgerMachine(RuleBasedStateMachine):
    """Random programs against an engine on a real database.

    Args:
        new_place: gives an empty database with our schema.
    """

    def __init__(self, new_place: Callable[[], Place]) -> None:
        super().__init__()
        self.place = new_place()
        self.clock = VirtualClock(STARTED_AT_UNIX_MS)
        self.model = ModelBooks(self.clock)
        self.database = Database(self.place.url)
        self.engine = self.new_engine()
        self.sent: list[Request] = []
        self.overtaken: list[Request] = []  # reverses whose reserve has not come yet
        self.heard: list[tuple[Request, Answer]] = []
        self.stale: list[Engine] = []

    def new_engine(self) -> Engine:
        self.store = self.place.open_store()
        engine = Engine(self.store, self.clock, CALENDAR, holder="a test", limits=LIMITS)
        return opened(engine, force=True)  # the server may not have noticed yet that the last one is gone

    @initialize(loads=st.lists(st.sampled_from([100, 1_000, 5_000, 90_000]), min_size=2, max_size=2))
    def open_the_books(self, loads: list[int]) -> None:
        for opening in FIRST:
            self.open(opening)
        self.play([self.load(account, fen) for account, fen in zip((LI, WANG), loads, strict=True)])

    @rule(
        number=st.sampled_from(ACCOUNTS),
        floor_fen=st.sampled_from([0, -500, 300]),
        holder=st.sampled_from("xy"),
    )
    def an_account_is_opened(self, number: int, floor_fen: int, holder: str) -> None:
        self.open(AccountOpening(number, holder, floor_fen))

    @rule(items=BATCHES)
    def a_batch_is_posted(self, items: list[Item]) -> None:
        self.play(self.requests(items))

    @rule(first=BATCHES, second=BATCHES)
    def two_callers_share_a_batch(self, first: list[Item], second: list[Item]) -> None:
        groups = [self.requests(first), self.requests(second)]
        outcomes: list[Sequence[Answer]] = []
        for group in groups:
            self.engine.submit(group, outcomes.append)
        assert not outcomes, "nobody is answered before the commit"
        assert self.engine.step()
        assert not self.engine.queued_items
        for group, outcome in zip(groups, outcomes, strict=True):
            self.hear(group, outcome, self.model.post(group))
        self.compare()

    @rule(ms=TIMES_MS, items=BATCHES)
    def time_passes(self, ms: int, items: list[Item]) -> None:
        self.clock.advance(ms)
        self.play(self.requests(items))

    @rule(items=BATCHES)
    def what_is_reserved_lapses_at_the_last_moment(self, items: list[Item]) -> None:
        self.clock.advance(59_999)
        self.play(self.requests(items[:1]))
        self.clock.advance(1)
        self.play(self.requests(items[1:] or items))

    @rule(ms=TIMES_MS, back=st.booleans(), items=BATCHES)
    def the_clock_is_set(self, ms: int, back: bool, items: list[Item]) -> None:
        self.clock.step(-ms if back else ms)
        self.play(self.requests(items))

    @rule()
    def nobody_asks_anything(self) -> None:
        while self.engine.step():
            pass
        self.model.tick()
        self.compare()

    @rule()
    def the_node_is_restarted(self) -> None:
        self.engine.stop(0)
        self.model.tick()
        self.reopen()
        self.compare()

    @rule(items=BATCHES, nth=st.integers(1, 10))
    def the_process_dies_between_two_writes(self, items: list[Item], nth: int) -> None:
        self.die(items, Fault(LEDGER, What.CRASH_BEFORE_WRITE, Counted.WRITE, nth))

    @rule(items=BATCHES, nth=st.integers(1, 4))
    def the_process_dies_after_a_commit_before_it_answers(self, items: list[Item], nth: int) -> None:
        self.die(items, Fault(LEDGER, What.KILL, Counted.COMMIT, nth))

    @rule(items=BATCHES, counted=st.sampled_from([Counted.WRITE, Counted.COMMIT]), nth=st.integers(1, 10))
    def the_database_drops_the_connection(self, items: list[Item], counted: Counted, nth: int) -> None:
        batch = self.requests(items)
        written, before_unix_ms = len(self.model.rows()), self.model.now()
        self.place.breaker.arm(Fault(LEDGER, What.DROP_CONNECTION, counted, nth))
        answers = post(self.engine, batch)
        self.place.breaker.arm()
        if self.model.now() == before_unix_ms:  # nothing broke, so nobody waited
            self.hear(batch, answers, self.model.post(batch))
        else:
            first_try = [row for row in self.database.rows()[written:] if row[17] == before_unix_ms]
            if first_try:  # the commit went through and its answer was lost
                self.model.post(batch, before_unix_ms)
            self.hear(batch, answers, self.model.post(batch))
        self.compare()

    @rule(items=BATCHES, late=BATCHES)
    def a_second_writer_takes_over(self, items: list[Item], late: list[Item]) -> None:
        old, old_store = self.engine, self.store
        self.model.reopen()
        self.engine = self.new_engine()
        self.play(self.requests(items))
        batch = [self.load(LI, 1), *self.requests(late)]
        written = self.database.rows()
        for _ in range(2):
            try:
                post(old, batch)
            except LeaseLost:
                pass
            else:
                raise AssertionError("the first writer answered after another one took over")
            assert old.state == EngineState.LEASE_LOST
        assert self.database.rows() == written, "the first writer never commits again"
        old_store.close()
        self.play(batch)

    @precondition(lambda self: self.heard)
    @rule(about=st.integers(0, 100))
    def somebody_repeats_an_old_request(self, about: int) -> None:
        request, answer = self.heard[about % len(self.heard)]
        [again] = post(self.engine, [request])
        self.model.post([request])
        assert again == answer or answer.seq == 0, f"{request}: first {answer}, now {again}"
        self.compare()

    def teardown(self) -> None:
        self.place.breaker.arm()
        if hasattr(self, "engine"):
            self.store.close()
            self.database.close()

    def open(self, opening: AccountOpening) -> None:
        assert open_account(self.engine, opening) == self.model.open_account(opening), opening
        self.compare()

    def play(self, batch: Sequence[Request]) -> None:
        predicted = self.model.post(batch)
        self.hear(batch, post(self.engine, batch), predicted)
        self.compare()

    def hear(self, batch: Sequence[Request], answers: Sequence[Answer], predicted: Sequence[Answer]) -> None:
        for request, answer, expected in zip(batch, answers, predicted, strict=True):
            assert answer == expected, f"{request} was answered {answer}, the model says {expected}"
            self.heard.append((request, answer))

    def die(self, items: list[Item], fault: Fault) -> None:
        """Let the process die during a batch; somebody opens the books again and the callers repeat."""
        batch = self.requests(items)
        written = len(self.model.rows())
        outcomes: list[object] = []
        self.place.breaker.arm(fault)
        self.engine.submit(batch, outcomes.append)
        try:
            self.engine.step()
        except Died:
            assert not outcomes, "who was answered before the process died?"
        finally:
            self.place.breaker.arm()
        if outcomes or len(self.database.rows()) > written:
            self.model.post(batch)  # all of it, or nothing of it
        self.store.close()
        self.reopen()
        self.compare()
        self.play(batch)

    def reopen(self) -> None:
        self.model.reopen()
        self.engine = self.new_engine()

    def compare(self) -> None:
        rows, predicted = self.database.rows(), self.model.rows()
        for row, expected in zip(rows, predicted, strict=False):
            assert row == expected, f"row {row[0]}: {differences(row, expected)}"
        assert len(rows) == len(predicted), "the journal has as many rows as the model"
        balances = self.database.balances()
        assert balances == {account: self.model.balance(account) for account in self.model.model.accounts}
        assert balances == {account: self.engine.balance(account) for account in balances}
        assert sum(posted_fen for posted_fen, *_ in balances.values()) == 0
        for request, answer in self.heard:
            if answer.seq:
                assert rows[answer.seq - 1][2:4] == request.key, f"acknowledged and not there: {request}"

    def load(self, account: int, fen: int) -> Request:
        return self.keep(self.request(Item("load"), Verb.POST, Kind.LOAD, BANK, account, fen))

    def requests(self, items: Iterable[Item]) -> list[Request]:
        return [self.keep(self.read(item)) for item in items]

    def keep(self, request: Request) -> Request:
        self.sent.append(request)
        return request

    def read(self, item: Item) -> Request:
        """Read an item against what was asked before."""
        payer, payee = PAIRS[item.pair]
        before = self.sent[-1 - item.about % len(self.sent)]
        match item.what:
            case "load":
                return self.request(item, Verb.POST, Kind.LOAD, BANK, payer, item.amount_fen)
            case "post" | "reserve":
                kind = Kind.ADJUSTMENT if item.twist == 9 else Kind.PURCHASE
                return self.request(item, Verb[item.what.upper()], kind, payer, payee, item.amount_fen)
            case "confirm" | "reverse" | "refund":
                return self.following(item, Verb[item.what.upper()], self.target(item))
            case "repeat":
                shrunk_ms = max(0, before.valid_for_ms - 1)
                return before._replace(origin=int(Origin.RECOLLECTED), valid_for_ms=shrunk_ms)
            case "changed":
                return changed(before, item.twist)
            case "overtaken" if self.overtaken:
                reverse = self.overtaken[item.about % len(self.overtaken)]
                verb = Verb.RESERVE if item.twist < 6 else Verb.POST
                late = self.request(item, verb, Kind.PURCHASE, payer, payee, item.amount_fen)
                return late._replace(originator=reverse.target_originator, transfer_id=reverse.target_id)
            case "wrong":
                return wrong(self.request(item, Verb.POST, Kind.PURCHASE, payer, payee, 1), item.twist)
        target = self.request(item, Verb.RESERVE, Kind.PURCHASE, payer, payee, 1)
        reverse = self.following(item, Verb.REVERSE, target)
        self.overtaken.append(reverse)
        return reverse

    def target(self, item: Item) -> Request:
        """What an item speaks of: mostly one of the last that it can be about, sometimes anything."""
        kinds = (Verb.POST, Verb.RESERVE) if item.what == "refund" else (Verb.RESERVE,)
        fitting = [request for request in self.sent if request.verb in kinds]
        among = fitting if fitting and item.twist < 8 else self.sent
        return among[-1 - item.about % len(among)]

    def following(self, item: Item, verb: Verb, target: Request) -> Request:
        """Confirm, reverse or refund: all of it, half of it, or more than there is."""
        parts = {0: item.amount_fen, 1: target.amount_fen + 1, 2: target.amount_fen // 2}
        amount_fen = 0 if verb == Verb.REVERSE else parts.get(item.twist, target.amount_fen)
        request = self.request(item, verb, 0, 0, 0, amount_fen)
        return request._replace(target_originator=target.originator, target_id=target.transfer_id)

    def request(self, item: Item, verb: Verb, kind: int, debit: int, credit: int, amount_fen: int) -> Request:
        return Request(
            originator=2 if item.twist == 8 else 1,
            transfer_id=self.new_id(item.age),
            verb=int(verb),
            fact=item.fact,
            kind=int(kind),
            debit=debit,
            credit=credit,
            amount_fen=amount_fen,
            currency=CURRENCY_CNY,
            target_originator=0,
            target_id=b"",
            made_at_unix_ms=STARTED_AT_UNIX_MS,
            valid_for_ms=item.valid_for_ms if verb == Verb.RESERVE else 0,
            origin=int(Origin.ONLINE),
            window_id=item.twist % 3,
        )

    _ids = 0

    def new_id(self, age: int) -> bytes:
        self._ids += 1
        if age == 0:
            return self._ids.to_bytes(16, "big")
        made_at_unix_ms = self.clock.unix_ms() + (age - 2) * DAY_MS
        return (made_at_unix_ms << 80 | 0x7 << 76 | 0b10 << 62 | self._ids).to_bytes(16, "big")
