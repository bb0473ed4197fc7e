"""The posting engine over a real database as the books that ledger scripts are played on."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

import sqlalchemy
from sqlalchemy import select

from campus_node.database.connect import connect, reading
from campus_node.ledger import tables
from campus_node.ledger.books import Balance
from campus_node.ledger.engine import Engine, EngineLimits
from campus_node.ledger.history import StatementLine, statement
from campus_node.ledger.proof import check, verify_chain
from campus_node.ledger.rows import COLUMNS
from campus_node.ledger.store import AccountOpening, Store
from campus_node.outbox.tables import outbox
from federation.business_date import BusinessCalendar
from federation.clock import Clock
from federation.transfer import Answer, Request
from tests.ledger.books import CALENDAR, ModelBooks
from tests.ledger.script import Columns

_COLUMNS = [tables.transfers.c[name] for name in COLUMNS if name != "request_hash"]
_BALANCE = [tables.balances.c[name] for name in ("account", *Balance._fields)]
OpenStore = Callable[[], Store]


class Database:
    """What stands in a ledger's tables, read past the engine."""

    def __init__(self, url: str) -> None:
        self.db: sqlalchemy.Engine = connect(url)

    def close(self) -> None:
        self.db.dispose()

    def rows(self) -> list[Columns]:
        with reading(self.db) as connection:
            found = connection.execute(select(*_COLUMNS).order_by(tables.transfers.c.seq))
            return [tuple(map(_plain, row, _COLUMNS)) for row in found]

    def hashes(self) -> list[bytes]:
        with reading(self.db) as connection:
            found = connection.execute(
                select(tables.transfers.c.request_hash).order_by(tables.transfers.c.seq)
            )
            return [bytes(value) for (value,) in found]

    def balances(self) -> dict[int, tuple[int, int, int, int]]:
        """Return posted, reserved, floor and overdrawn of every account."""
        with reading(self.db) as connection:
            return {row[0]: tuple(row[1:]) for row in connection.execute(select(*_BALANCE))}

    def alarms(self) -> list[str]:
        with reading(self.db) as connection:
            found = connection.execute(select(outbox.c.body).where(outbox.c.topic == "alarm"))
            return [json.loads(body)["name"] for (body,) in found]


def _plain(value: object, column: sqlalchemy.Column[object]) -> object:
    """Return an id as bytes: PostgreSQL gives the text of a UUID."""
    if column.name in {"transfer_id", "target_id"} and isinstance(value, str):
        return bytes.fromhex(value.replace("-", ""))
    return value


class EngineBooks(AbstractContextManager["EngineBooks"]):
    """An engine without a thread; after everything it does, its books must be those of the model.

    Args:
        open_store: gives a new store on the database each time it is called.
        url: the same database, for looking into it.
        clock: moved by the test.
    """

    def __init__(
        self,
        open_store: OpenStore,
        url: str,
        clock: Clock,
        calendar: BusinessCalendar = CALENDAR,
        limits: EngineLimits | None = None,
    ) -> None:
        self.database = Database(url)
        self._beside = ModelBooks(clock, calendar)
        self._open = lambda: opened(Engine(open_store(), clock, calendar, holder="a test", limits=limits))
        self.engine = self._open()

    def prove(self) -> None:
        """Raise AssertionError if the books are not whole: balances, numbering, chain."""
        assert check(self.database.db) == []
        report = verify_chain(self.database.db)
        assert (report.rows, report.broken_at_seq) == (len(self.database.rows()), None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.prove()
        finally:
            self.engine.stop(0)
            self.database.close()

    def open_account(self, opening: AccountOpening) -> bool:
        done = open_account(self.engine, opening)
        assert done == self._beside.open_account(opening), opening
        self._compare()
        return done

    def post(self, batch: Sequence[Request]) -> list[Answer]:
        expected = self._beside.post(batch)
        answers = post(self.engine, batch)
        for request, answer, predicted in zip(batch, answers, expected, strict=True):
            assert answer == predicted, f"{request} was answered {answer}, the model says {predicted}"
        self._compare()
        return answers

    def tick(self) -> None:
        self._beside.tick()
        self.engine.step()
        self._compare()

    def restart(self) -> None:
        self.engine.stop(0)
        self._beside.restart()
        self.engine = self._open()
        self._compare()

    def balance(self, account: int) -> tuple[int, int, int, int] | None:
        found = self.engine.balance(account)
        balance = None if found is None else tuple(found)
        assert balance == self._beside.balance(account), account
        assert balance == self.database.balances().get(account), account
        return balance

    def statement(self, account: int) -> list[Columns]:
        lines: list[StatementLine] = []
        before_seq: int | None = None
        while True:
            page = statement(self.database.db, account, before_seq, limit=3)
            lines = [*reversed(page.lines), *lines]
            before_seq = page.next_before_seq
            if before_seq is None:
                break
        predicted = self._beside.statement(account)
        for line, row in zip(lines, predicted, strict=True):
            paid = row[8] == account
            assert (line.seq, line.transfer_id, line.verb) == (row[0], row[3], row[4])
            assert line.posted_fen == (-row[11] if paid else row[11]), row
            assert line.reserved_fen == (row[12] if paid else 0), row
            assert line.counterpart == (row[9] if paid else row[8]), row
        return predicted

    def rows(self) -> list[Columns]:
        return self.database.rows()

    def alarms(self) -> list[str] | None:
        return self.database.alarms()

    def _compare(self) -> None:
        rows, predicted = self.database.rows(), self._beside.rows()
        for row, expected in zip(rows, predicted, strict=False):
            assert row == expected, f"row {row[0]}: {differences(row, expected)}"
        assert len(rows) == len(predicted), "the journal has as many rows as the model"
        assert self.database.balances() == {
            account: self._beside.balance(account) for account in self._beside.model.accounts
        }


def differences(row: Columns, expected: Columns) -> str:
    """Say in which columns a row of the journal differs from the model's."""
    return ", ".join(
        f"{column.name} is {found!r}, the model says {predicted!r}"
        for column, found, predicted in zip(_COLUMNS, row, expected, strict=True)
        if found != predicted
    )


def opened(engine: Engine, *, force: bool = False) -> Engine:
    """Open an engine and return it."""
    engine.open(force=force)
    return engine


def post(engine: Engine, batch: Sequence[Request]) -> list[Answer]:
    """Submit a batch, let the engine decide it, and return its answers; raise what the caller is told."""
    outcomes: list[Sequence[Answer] | Exception] = []
    engine.submit(batch, outcomes.append)
    assert not outcomes, "nobody is answered before the commit"
    engine.step()
    [outcome] = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return list(outcome)


def open_account(engine: Engine, opening: AccountOpening) -> bool:
    """Open one account; raise what the caller is told."""
    outcomes: list[list[bool] | Exception] = []
    engine.open_accounts([opening], outcomes.append)
    engine.step()
    [outcome] = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    [done] = outcome
    return done
