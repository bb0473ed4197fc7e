"""History on SQLite: rows that link back to the row before of either account."""

import random
from pathlib import Path

import pytest
from sqlalchemy import text

from campus_node.database.connect import connect, writing
from campus_node.database.migrate import upgrade
from campus_node.ledger.chart import FLOOR_NONE, AccountClass, Kind, account_number
from campus_node.ledger.engine import Engine
from campus_node.ledger.history import balance_as_of, statement
from campus_node.ledger.proof import check, rebuild, verify_chain
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import AccountOpening
from federation.business_date import BusinessCalendar
from federation.clock import VirtualClock
from federation.transfer import CURRENCY_CNY, Origin, Request, Verb

BANK = account_number(AccountClass.BANK, 1)
SHOP = account_number(AccountClass.MERCHANT_PAYABLE, 1)
PEOPLE = [account_number(AccountClass.ONLINE, n) for n in range(1, 6)]
ROWS = 300


@pytest.fixture
def url(tmp_path: Path, seed: int) -> str:
    """A ledger with some hundred random rows, written by two writers one after the other."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    upgrade(url)
    rng, clock = random.Random(seed), VirtualClock()
    for half in range(2):
        engine = Engine(SqliteStore(tmp_path / "ledger.sqlite"), clock, BusinessCalendar(), holder="a test")
        engine.open()
        opened = [
            AccountOpening(BANK, "bank", FLOOR_NONE),
            *(AccountOpening(n, "x", 0) for n in (SHOP, *PEOPLE)),
        ]
        engine.open_accounts(opened, lambda _: None)
        for number in range(ROWS // 2):
            person = rng.choice(PEOPLE)
            load = rng.random() < 0.4
            verb = Verb.POST if load or rng.random() < 0.8 else Verb.RESERVE
            debit, credit, kind = (BANK, person, Kind.LOAD) if load else (person, SHOP, Kind.PURCHASE)
            valid_for_ms = 30_000 if verb == Verb.RESERVE else 0
            wanted = Request(
                1, bytes([half]) + number.to_bytes(15), verb, False, kind, debit, credit,
                rng.randint(1, 900), CURRENCY_CNY, 0, b"", clock.unix_ms(), valid_for_ms, Origin.ONLINE, 0,
            )  # fmt: skip
            engine.submit([wanted], lambda _: None)
            if rng.random() < 0.3:
                clock.advance(rng.randint(1, 20_000))
                engine.step()
        engine.stop(0)
    return url


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
        for last_seq, recorded_at_unix_ms in instants[::7]:
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
def test_a_wrong_link_is_found_and_written_anew(url: str, harm: str) -> None:
    db = connect(url)
    assert check(db) == []
    whole = verify_chain(db)
    with writing(db) as connection:
        connection.execute(text(harm))
    assert {difference.what for difference in check(db)} == {"link back"}
    assert rebuild(db)
    assert check(db) == []
    assert verify_chain(db) == whole, "links are no part of what is proved"
