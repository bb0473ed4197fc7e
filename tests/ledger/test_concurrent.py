"""Many callers at once on the engine's own thread: afterwards the model replays the journal and agrees.

Which caller comes first is left to chance; what the journal says afterwards is not. Every row must follow
from the rows before it, every answer must be the one that the model gives.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Sequence

import pytest

from campus_node.ledger.chart import Kind
from campus_node.ledger.engine import Engine, EngineLimits
from campus_node.ledger.model import Model, asked
from campus_node.ledger.proof import check, verify_chain
from federation.clock import SystemClock, VirtualClock
from federation.errors import Unavailable
from federation.ids import TransferIds
from federation.transfer import Answer, Refusal, Request, Verb
from hil_rig.faults import Counted, FaultPlan, What
from tests.ledger.books import CALENDAR
from tests.ledger.engine_books import Database, differences, open_account, opened, post
from tests.ledger.faulty_connections import LEDGER
from tests.ledger.machine import Place
from tests.ledger.programs import BANK, FIRST, LI, WANG, lunch
from tests.ledger.script import STARTED_AT_UNIX_MS, Columns
from tests.soak import size

CALLERS = 4
ROUNDS = size(40, 600)  # groups a caller
UNHEARD_MAX = 4  # groups that a caller sends before it waits for the oldest
ANSWER_S = 60

CONFLICT = Answer(Refusal.TRANSFER_CONFLICT, 0, 0, 0)
Heard = tuple[Request, Answer | Exception]


class Caller(threading.Thread):
    """Sends groups of items about its own and others' transfers, and notes every answer."""

    def __init__(self, engine: Engine, seed: str, shared: list[Request]) -> None:
        super().__init__(name=f"caller {seed}")
        self.heard: list[Heard] = []
        self._engine = engine
        self._rng = random.Random(seed)
        self._ids = TransferIds(SystemClock(), self._rng.randbytes)
        self._shared = shared
        self._room = threading.Semaphore(UNHEARD_MAX)

    def run(self) -> None:
        for _ in range(ROUNDS):
            assert self._room.acquire(timeout=ANSWER_S), "an answer is missing"
            self._send([self._item() for _ in range(self._rng.randrange(1, 12))])
        for _ in range(UNHEARD_MAX):
            assert self._room.acquire(timeout=ANSWER_S), "an answer is missing"

    def _send(self, group: list[Request]) -> None:
        def note(outcome: Sequence[Answer] | Exception) -> None:
            answers = [outcome] * len(group) if isinstance(outcome, Exception) else outcome
            self.heard.extend(zip(group, answers, strict=True))
            self._room.release()

        self._shared.extend(group)
        try:
            self._engine.submit(group, note)
        except Unavailable as error:
            note(error)

    def _item(self) -> Request:
        rng = self._rng
        payer = rng.choice([LI, WANG])
        own = lunch(0, payer)._replace(transfer_id=self._ids.next(), amount_fen=rng.choice([1, 100, 90_000]))
        about = rng.choice(self._shared)
        following = own._replace(
            kind=0, debit=0, credit=0, target_originator=about.originator, target_id=about.transfer_id
        )
        match rng.randrange(12):
            case 0:
                return about
            case 1:
                return about._replace(made_at_unix_ms=about.made_at_unix_ms + 1)
            case 2 | 3:
                return own._replace(verb=int(Verb.RESERVE), valid_for_ms=rng.choice([20, 60_000]))
            case 4:
                return following._replace(verb=int(Verb.CONFIRM), amount_fen=max(1, about.amount_fen))
            case 5:
                return following._replace(verb=int(Verb.REVERSE), amount_fen=0)
            case 6:
                return following._replace(verb=int(Verb.REFUND), amount_fen=1)
            case 7:
                return own._replace(kind=2, debit=BANK, credit=payer)
            case 8:
                return own._replace(fact=True)
        return own


@pytest.mark.parametrize("drops", [0, 8], ids=["in peace", "with dropped connections"])
def test_what_many_callers_are_answered_follows_from_the_journal(place: Place, seed: int, drops: int) -> None:
    clock = SystemClock()
    engine = opened(Engine(place.open_store(), clock, CALENDAR, holder="a test"))
    outcomes: list[object] = []
    engine.open_accounts(FIRST, outcomes.append)
    engine.step()
    loads = [
        lunch(n, BANK, account)._replace(kind=2, amount_fen=10**6) for n, account in enumerate((LI, WANG))
    ]
    heard: list[Heard] = list(zip(loads, post(engine, loads), strict=True))
    engine.stop(0)

    engine = Engine(place.open_store(), clock, CALENDAR, holder="a test")
    engine.start(force=True)
    half = drops // 2
    before = FaultPlan.spread(
        seed, [LEDGER], What.DROP_CONNECTION, Counted.WRITE, total=ROUNDS * 2, count=half
    )
    after = FaultPlan.spread(
        seed, [LEDGER], What.DROP_CONNECTION, Counted.COMMIT, total=ROUNDS // 2, count=half
    )
    place.breaker.follow(FaultPlan(seed, before.faults + after.faults))
    shared = list(loads)
    callers = [Caller(engine, f"{seed} {number}", shared) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    engine.stop(ANSWER_S)
    place.breaker.record.demand_fired()

    for caller in callers:
        heard += caller.heard
    assert len(heard) == len(shared), "every item was answered once"
    assert not [answer for _, answer in heard if isinstance(answer, Exception)], (
        "a short outage is nobody's business"
    )
    database = Database(place.url)
    model = replayed(database.rows(), shared)
    rows_by_key = {row.request.key: number for number, row in enumerate(model.rows)}
    for request, answer in heard:
        first = model.rows[rows_by_key[request.key]]
        repeated = asked(first.request) == asked(request)
        assert answer == (first.answer if repeated else CONFLICT), request
    assert database.balances() == {
        account: (b.posted_fen, b.reserved_fen, b.floor_fen, b.overdrawn_fen)
        for account in model.accounts
        if (b := model.balance(account)) is not None
    }
    assert check(database.db) == []
    assert verify_chain(database.db).broken_at_seq is None
    database.close()


def replayed(rows: Sequence[Columns], sent: Sequence[Request]) -> Model:
    """Return a model that was asked what the journal has, in its order and at its times."""
    by_key: dict[object, list[Request]] = defaultdict(list)
    for request in sent:
        by_key[request.key].append(request)
    model = Model(CALENDAR)
    for opening in FIRST:
        model.open_account(*opening)
    for row in rows:
        recorded_at_unix_ms, made_at_unix_ms = row[17], row[18]
        assert isinstance(recorded_at_unix_ms, int)
        if len(model.rows) < int(str(row[0])):
            if row[4] == Verb.EXPIRE:
                model.expire(recorded_at_unix_ms)
            else:
                content = [r for r in by_key[row[2:4]] if r.made_at_unix_ms == made_at_unix_ms]
                model.post(content[0], recorded_at_unix_ms)
        assert len(model.rows) >= int(str(row[0])), f"the model has no reason for row {row[0]} yet"
        predicted = model.rows[int(str(row[0])) - 1].columns
        assert row == predicted, f"row {row[0]}: {differences(row, predicted)}"
    assert len(model.rows) == len(rows)
    return model


class HurriedClock(VirtualClock):
    """A clock on which seven seconds pass each time somebody looks."""

    def unix_ms(self) -> int:
        self.advance(7_000)
        return super().unix_ms()


def test_a_reservation_that_was_decided_twice_lapses_at_its_second_time(place: Place) -> None:
    clock = HurriedClock(STARTED_AT_UNIX_MS)
    store = place.open_store()
    limits = EngineLimits(recent_ids_max=1)
    engine = opened(Engine(store, clock, CALENDAR, holder="a test", limits=limits))
    for opening in FIRST:
        open_account(engine, opening)
    tomorrow = TransferIds(
        VirtualClock(STARTED_AT_UNIX_MS + 86_400_000)
    ).next()  # looks too new to be looked up
    load = lunch(1, BANK, LI, Kind.LOAD)._replace(transfer_id=tomorrow)
    reserve = lunch(2)._replace(verb=int(Verb.RESERVE), valid_for_ms=60_000)
    post(engine, [load])
    post(engine, [lunch(3, BANK, LI, Kind.LOAD), lunch(4, BANK, LI, Kind.LOAD)])
    post(engine, [reserve, load])
    database = Database(place.url)
    while database.rows()[-1][4] != Verb.EXPIRE:
        engine.step()
    replayed(database.rows(), [load, reserve, lunch(3, BANK, LI, Kind.LOAD), lunch(4, BANK, LI, Kind.LOAD)])
    store.close()
    database.close()
