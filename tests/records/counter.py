"""A canteen with two tills, an intake, a bookkeeper and a ledger: what a cashier would recognise."""

import shutil
from collections import Counter as Count
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sqlalchemy import Engine as Database
from sqlalchemy import select

from campus_node.database.connect import reading, writing
from campus_node.keys.record_keys import RecordKeys
from campus_node.ledger import proof
from campus_node.ledger.chart import AccountClass, account_number, default_floor_fen
from campus_node.ledger.engine import Engine
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import AccountOpening
from campus_node.ledger.tables import transfers
from campus_node.purse.journal_entries import Movement, decode, encode
from campus_node.records.bookkeeper import Bookkeeper
from campus_node.records.intake import Intake
from campus_node.records.moments import TerminalTime
from campus_node.records.posting import Books, EngineBooks, purse_account
from campus_node.records.spooled import RECORDS_MAX, Outcome, Spooled
from campus_node.records.tables import card_movements, terminal_records
from campus_node.registry.terminals import register
from campus_node.watch.store import find
from federation.business_date import BusinessCalendar
from federation.clock import Clock
from hil_rig.sales import JournalRecord, SoftTill, card_number, make_card, open_keys
from hil_rig.virtual.card import VirtualCard
from tests.records.build import CANTEEN, FOURTEEN, SEVEN, SPOOL

RISK = account_number(AccountClass.RISK, 1)
NOON = "20260901120000"


class Canteen:
    """Everything between two tills and the ledger.

    Args:
        db, url: where it is kept.
        clock: of everything.
        directory: for the key store.
        with_keys: whether the node has its issuer's keys.
    """

    def __init__(
        self, db: Database, url: str, clock: Clock, directory: Path, *, with_keys: bool = True
    ) -> None:
        self.db, self.clock = db, clock
        self.frozen: list[bytes] = []
        self._url = url
        self._position = Count[bytes]()
        shutil.rmtree(directory / "keys", ignore_errors=True)
        self.keys = RecordKeys(open_keys(directory / "keys", clock))
        self.intake = Intake(db, clock)
        with writing(db) as connection:
            for each in (SEVEN, FOURTEEN):
                register(connection, each, clock.unix_ms())
        self.seven = SoftTill(SEVEN.terminal_id, b"7" * 16, clock)
        self.fourteen = SoftTill(FOURTEEN.terminal_id, b"E" * 16, clock)
        self.li = make_card(1001, 50_000)
        self.wang = make_card(1002, 50_000)
        self.engine = self._engine()
        self.books = EngineBooks(self.engine)
        self.books.open(
            [AccountOpening(CANTEEN, "canteen", default_floor_fen(AccountClass.MERCHANT_PAYABLE))]
        )
        self.books.open([AccountOpening(RISK, "risk", default_floor_fen(AccountClass.RISK))])
        self.bookkeeper = self.new_bookkeeper(self.books, with_keys=with_keys)

    def _engine(self) -> Engine:
        sqlite = self._url.startswith("sqlite:///")
        store = (
            SqliteStore(Path(self._url.removeprefix("sqlite:///"))) if sqlite else PostgresStore(self._url)
        )
        engine = Engine(store, self.clock, BusinessCalendar(), holder="a test")
        engine.start()
        return engine

    def new_bookkeeper(self, books: Books, *, with_keys: bool = True, batch_max: int = 1024) -> Bookkeeper:
        return Bookkeeper(
            self.db,
            books,
            self.keys if with_keys else None,
            self.clock,
            TerminalTime("Asia/Shanghai"),
            on_frozen=self.frozen.append,
            batch_max=batch_max,
        )

    def close(self) -> None:
        self.engine.stop(10)

    def deliver(
        self,
        records: Iterable[JournalRecord],
        terminal_id: bytes = SEVEN.terminal_id,
        *,
        gateway: str = "canteen",
        spool: bytes = SPOOL,
        recollected: bool = False,
    ) -> list[Outcome]:
        """Have a till's session bring records to the node, through its gateway's spool."""
        outcomes: list[Outcome] = []
        sent = list(records)
        for start in range(0, len(sent), RECORDS_MAX):
            first = self._position[spool] + 1
            message = [
                Spooled(
                    first + at,
                    terminal_id,
                    each.journal_id,
                    each.seq,
                    each.body,
                    self.clock.unix_ms(),
                    recollected,
                )
                for at, each in enumerate(sent[start : start + RECORDS_MAX])
            ]
            self._position[spool] += len(message)
            outcomes += self.intake.take(gateway, spool, message)
        return outcomes

    def bring(self, till: SoftTill | None = None) -> None:
        """Have both tills, or one, bring all that their journals hold."""
        for each in (self.seven, self.fourteen) if till is None else (till,):
            self.deliver(each.records(), SEVEN.terminal_id if each is self.seven else FOURTEEN.terminal_id)

    def work(self) -> int:
        """Let the bookkeeper do all there is; return how many movements were posted."""
        posted = 0
        while (worked := self.bookkeeper.step()).assessed:
            posted += worked.posted
        return posted

    def balance(self, account: int) -> int:
        found = self.engine.balance(account)
        return 0 if found is None else found.posted_fen

    @property
    def earned_fen(self) -> int:
        """What the canteen is owed."""
        return self.balance(CANTEEN)

    def spent_fen(self, number: int) -> int:
        """What was booked from a card's purse."""
        return -self.balance(purse_account(card_number(number)))

    def postings(self) -> int:
        with reading(self.db) as connection:
            return len(connection.execute(select(transfers.c.seq)).all())

    def movements(self) -> int:
        with reading(self.db) as connection:
            return len(connection.execute(select(card_movements.c.counter)).all())

    def outcomes(self) -> Count[tuple[Outcome, str | None]]:
        """How many records stand how, and why."""
        query = select(terminal_records.c.outcome, terminal_records.c.reason)
        with reading(self.db) as connection:
            return Count((Outcome(row[0]), row[1]) for row in connection.execute(query))

    def column(self, name: str) -> list[object]:
        """A column of all movements, by card and counter."""
        query = select(card_movements.c[name]).order_by(card_movements.c.asn, card_movements.c.counter)
        with reading(self.db) as connection:
            return list(connection.execute(query).scalars())

    def alarms(self) -> dict[str, int]:
        with reading(self.db) as connection:
            return {each.alarm.name: each.occurrences for each in find(connection)}

    def require_balanced(self) -> None:
        """Nothing in the ledger contradicts anything."""
        assert proof.check(self.db) == []
        proof.verify_chain(self.db).require_whole()
        fen = self.earned_fen + self.balance(RISK) - self.spent_fen(1001) - self.spent_fen(1002)
        assert fen == 0


def changed(record: JournalRecord, change: Callable[[Movement], Movement], **fields: object) -> JournalRecord:
    """A record that says something else."""
    movement = decode(record.body)
    assert movement is not None
    return record._replace(body=encode(change(movement)), **fields)  # type: ignore[arg-type]  # its own fields


def ends(records: Sequence[JournalRecord]) -> list[JournalRecord]:
    """The newest entry of each sale: every second one."""
    return list(records)[1::2]


__all__ = ["CANTEEN", "NOON", "RISK", "Canteen", "VirtualCard", "changed", "ends"]
