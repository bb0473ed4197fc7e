"""The rooms together with the real ledger: an approved transfer is posted once, its alarms are seen once."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine as Database
from sqlalchemy import text

from campus_node.database.connect import reading
from campus_node.ledger.chart import AccountClass, Kind, account_number, default_floor_fen
from campus_node.ledger.engine import Engine
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import AccountOpening
from campus_node.operators import requests
from campus_node.operators.approvals import Approvals
from campus_node.operators.permissions import Role
from campus_node.operators.requests import ApprovalRequest, State
from campus_node.outbox.relay import OutboxRelay, Round
from campus_node.watch.alarms import TOPIC
from campus_node.watch.receiver import AlarmReceiver, raise_dead_letter
from campus_node.watch.store import find
from federation.business_date import BusinessCalendar
from federation.clock import VirtualClock
from federation.transfer import CURRENCY_CNY, Answer, Origin, Refusal, Request, Verb
from tests.rooms.people import NORTH, actor, staff

HOLDER = account_number(AccountClass.ONLINE, 7)
CASH = account_number(AccountClass.CASH, 4)
DIFFERENCES = account_number(AccountClass.LONG_SHORT, 1)
PAYLOAD: dict[str, object] = {"debit": CASH, "credit": DIFFERENCES, "amount_fen": 12_00}


class Killed(BaseException):
    """Ends the process as kill -9 would: nothing catches it."""


class Ledger:
    """An open ledger that posts at once."""

    def __init__(self, url: str, clock: VirtualClock) -> None:
        store = (
            SqliteStore(Path(url.removeprefix("sqlite:///")))
            if url.startswith("sqlite")
            else PostgresStore(url)
        )
        self.engine = Engine(store, clock, BusinessCalendar(), holder="test")
        self.engine.open()
        openings = [
            AccountOpening(account, "", default_floor_fen(AccountClass(account // 10**12)))
            for account in (HOLDER, CASH, DIFFERENCES)
        ]
        self.engine.open_accounts(openings, lambda _: None)
        self.engine.step()

    def post(
        self, transfer_id: bytes, kind: Kind, debit: int, credit: int, amount_fen: int, *, fact: bool
    ) -> Answer:
        answers: list[Answer] = []
        request = Request(
            originator=1,
            transfer_id=transfer_id,
            verb=Verb.POST,
            fact=fact,
            kind=kind,
            debit=debit,
            credit=credit,
            amount_fen=amount_fen,
            currency=CURRENCY_CNY,
            target_originator=0,
            target_id=b"",
            made_at_unix_ms=1,
            valid_for_ms=0,
            origin=Origin.ONLINE,
            window_id=0,
        )
        self.engine.submit([request], answers.extend)
        self.engine.step()
        (answer,) = answers
        return answer


@pytest.fixture
def ledger(url: str, clock: VirtualClock) -> Iterator[Ledger]:
    opened = Ledger(url, clock)
    yield opened
    opened.engine.stop(drain_s=0)


def test_an_approved_transfer_is_posted_once_although_the_process_died_after_posting(
    db: Database, clock: VirtualClock, ledger: Ledger
) -> None:
    staff(db, clock, li=(Role.FINANCE, NORTH), wang=(Role.FINANCE, NORTH))
    approvals = Approvals(db, clock)

    def post(approved: ApprovalRequest) -> Mapping[str, object]:
        assert approved.transfer_id is not None
        debit, credit, amount_fen = (approved.payload[name] for name in ("debit", "credit", "amount_fen"))
        assert isinstance(debit, int)
        assert isinstance(credit, int)
        assert isinstance(amount_fen, int)
        answer = ledger.post(approved.transfer_id, Kind.DIFFERENCE, debit, credit, amount_fen, fact=False)
        assert answer.refusal == Refusal.NONE
        return {"seq": answer.seq}

    def post_and_die(approved: ApprovalRequest) -> Mapping[str, object]:
        post(approved)
        raise Killed

    asked = approvals.request(
        actor("li"), "r1", requests.Kind.TRANSFER, NORTH, PAYLOAD, "cash drawer 4 was short"
    )
    approvals.approve(actor("wang"), "r1", asked.payload_hash, "counted again")
    with pytest.raises(Killed):
        approvals.execute(actor("li"), "r1", post_and_die)
    (unfinished,) = Approvals(db, clock).find(State.EXECUTING)
    done = Approvals(db, clock).execute(actor("li"), unfinished.request, post)
    assert (done.state, done.result) == (State.EXECUTED, {"seq": 1})
    with reading(db) as connection:
        assert connection.execute(text("SELECT count(*) FROM transfers")).scalar_one() == 1
    balance = ledger.engine.balance(DIFFERENCES)
    assert balance is not None
    assert balance.posted_fen == 12_00


def test_an_alarm_that_the_ledger_committed_is_seen_once_each_time_it_happened(
    db: Database, clock: VirtualClock, ledger: Ledger
) -> None:
    for number, amount_fen in enumerate((500, 300)):
        ledger.post(bytes([number]) * 16, Kind.UNLOAD, HOLDER, CASH, amount_fen, fact=True)
    relay = OutboxRelay(db, clock, {TOPIC: AlarmReceiver(db, clock)}, raise_dead_letter, random.Random(7))
    assert relay.run_once() == Round(delivered=2)
    assert relay.run_once() == Round()
    with reading(db) as connection:
        (recorded,) = find(connection)
    assert recorded.alarm.name == "account.overdrawn_by_fact"
    assert recorded.alarm.subject == f"account/{HOLDER}"
    assert recorded.occurrences == 2
