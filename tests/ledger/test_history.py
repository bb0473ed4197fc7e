"""An account's history: by links on SQLite, by indexes in chunks on PostgreSQL; the same lines on both."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from campus_node.database.connect import connect, writing
from campus_node.database.migrate import upgrade
from campus_node.ledger.chart import FLOOR_NONE, AccountClass, Kind, account_number
from campus_node.ledger.engine import Engine
from campus_node.ledger.history import balance_as_of, statement
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.proof import check, rebuild, verify_chain
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import AccountOpening, Store
from federation.business_date import BusinessCalendar
from federation.clock import VirtualClock
from federation.transfer import CURRENCY_CNY, Origin, Request, Verb

BANK = account_number(AccountClass.BANK, 1)
SHOP = account_number(AccountClass.MERCHANT_PAYABLE, 1)
PEOPLE = [account_number(AccountClass.ONLINE, n) for n in range(1, 6)]
ROWS = 300


Open = Callable[[str], Store]


def sqlite_store(url: str) -> Store:
    return SqliteStore(Path(url.removeprefix("sqlite:///")))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path, seed: int) -> str:
    """A ledger with some hundred random rows, written by two writers one after the other."""
    if request.param == "sqlite":
        return filled(f"sqlite:///{tmp_path}/ledger.sqlite", sqlite_store, seed)
    return filled(request.getfixturevalue("postgres_dsn"), PostgresStore, seed)


@pytest.fixture
def sqlite_url(tmp_path: Path, seed: int) -> str:
    return filled(f"sqlite:///{tmp_path}/ledger.sqlite", sqlite_store, seed)


def filled(url: str, open_store: Open, seed: int) -> str:
    upgrade(url)
    rng, clock = random.Random(seed), VirtualClock()
    for half in range(2):
        engine = opened(open_store(url), clock)
        for number in range(ROWS // 2):
            person = rng.choice(PEOPLE)
            load = rng.random() < 0.4
            verb = Verb.POST if load or rng.random() < 0.8 else Verb.RESERVE
            debit, credit, kind = (BANK, person, Kind.LOAD) if load else (person, SHOP, Kind.PURCHASE)
            transfer_id = bytes([half]) + number.to_bytes(15)
            engine.submit(
                [asked(transfer_id, verb, kind, debit, credit, rng.randint(1, 900))], lambda _: None
            )
            if rng.random() < 0.3:
                clock.advance(rng.randint(1, 20_000))
                engine.step()
        engine.stop(0)
    return url


def opened(store: Store, clock: VirtualClock) -> Engine:
    engine = Engine(store, clock, BusinessCalendar(), holder="a test")
    engine.open()
    owed = [AccountOpening(account, "x", 0) for account in (SHOP, *PEOPLE)]
    engine.open_accounts([AccountOpening(BANK, "bank", FLOOR_NONE), *owed], lambda _: None)
    return engine


def asked(transfer_id: bytes, verb: Verb, kind: Kind, debit: int, credit: int, amount_fen: int) -> Request:
    valid_for_ms = 30_000 if verb == Verb.RESERVE else 0
    return Request(
        1, transfer_id, verb, False, kind, debit, credit, amount_fen, CURRENCY_CNY, 0, b"", 0,
        valid_for_ms, Origin.ONLINE, 0,
    )  # fmt: skip


def everything(url: str, account: int) -> list[tuple[int, int, int]]:
    """Return seq and effect of every row of an account, newest first, read without any link."""
    query = (
        "SELECT seq, CASE WHEN debit = :a THEN -posted_fen ELSE posted_fen END,"
        " CASE WHEN debit = :a THEN reserved_fen ELSE 0 END FROM transfers"
        " WHERE (debit = :a AND (posted_fen <> 0 OR reserved_fen <> 0)) OR (credit = :a AND posted_fen <> 0)"
        " ORDER BY seq DESC"
    )
    with writing(connect(url)) as connection:
        return [(*row,) for row in connection.execute(text(query), {"a": account})]


@pytest.mark.parametrize("page_lines", [1, 7, 1_000])
def test_pages_of_a_statement_are_the_whole_history_however_long_they_are(url: str, page_lines: int) -> None:
    db = connect(url)
    for account in (BANK, SHOP, *PEOPLE):
        lines, before_seq = [], None
        while True:
            page = statement(db, account, before_seq, page_lines)
            lines += [(line.seq, line.posted_fen, line.reserved_fen) for line in page.lines]
            before_seq = page.next_before_seq
            if before_seq is None:
                break
        assert lines == everything(url, account)


def test_a_page_may_begin_at_a_row_of_somebody_else(url: str) -> None:
    db = connect(url)
    for account in (SHOP, PEOPLE[0]):
        for before_seq in (1, 2, 50, 111, ROWS):
            expected = [row for row in everything(url, account) if row[0] < before_seq][:5]
            found = statement(db, account, before_seq, 5).lines
            assert [(line.seq, line.posted_fen, line.reserved_fen) for line in found] == expected


def test_a_balance_at_any_earlier_time_is_the_sum_of_the_rows_until_then(url: str) -> None:
    db = connect(url)
    with writing(db) as connection:
        instants = connection.execute(text("SELECT last_seq, recorded_at_unix_ms FROM batches")).all()
    for account in (SHOP, PEOPLE[0]):
        rows = everything(url, account)
        for _, recorded_at_unix_ms in instants[::7]:
            last_seq = max(seq for seq, at_unix_ms in instants if at_unix_ms <= recorded_at_unix_ms)
            then = balance_as_of(db, account, recorded_at_unix_ms).balance
            assert then.posted_fen == sum(row[1] for row in rows if row[0] <= last_seq)
            assert then.reserved_fen == sum(row[2] for row in rows if row[0] <= last_seq)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE transfers SET debit_prev = debit_prev - 1 WHERE seq = 200",
        "UPDATE transfers SET credit_prev = NULL WHERE seq IN (201, 202, 203, 204, 205)",
        f"UPDATE balances SET last_seq = last_seq - 1 WHERE account = {SHOP}",
    ],
)
def test_a_wrong_link_is_found_and_written_anew(sqlite_url: str, harm: str) -> None:
    db = connect(sqlite_url)
    assert check(db) == []
    whole = verify_chain(db)
    with writing(db) as connection:
        connection.execute(text(harm))
    assert {difference.what for difference in check(db)} == {"link back"}
    assert rebuild(db)
    assert check(db) == []
    assert verify_chain(db) == whole, "links are no part of what is proved"


@pytest.mark.postgres
def test_history_is_found_across_chunks_of_the_journal(postgres_dsn: str) -> None:
    engine = opened(PostgresStore(postgres_dsn), VirtualClock())
    rare, often = PEOPLE[:2]
    numbers = iter(range(1, 10**6))
    payer_of = {1: rare, 20_000: rare, 39_000: rare}
    batches = [
        [
            asked(n.to_bytes(16), Verb.POST, Kind.LOAD, BANK, payer_of.get(n, often), 1)
            for n in itertools.islice(numbers, 1_000)
        ]
        for _ in range(40)
    ]
    for batch in batches:
        engine.submit(batch, lambda _: None)
        engine.step()
    while engine.step():
        pass
    engine.stop(0)
    db = connect(postgres_dsn)
    assert [line.seq for line in statement(db, rare).lines] == [39_000, 20_000, 1]
    assert [line.seq for line in statement(db, rare, 20_000, 10).lines] == [1]
    assert [line.seq for line in statement(db, often, 39_002, 3).lines] == [39_001, 38_999, 38_998]
    assert statement(db, BANK, 2, 3).lines[0].seq == 1
    assert balance_as_of(db, rare).balance.posted_fen == 3
    assert check(db) == []
