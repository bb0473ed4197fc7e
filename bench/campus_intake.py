"""Offline records at the issuer's node: taken, MAC2 and TAC checked, booked, on PostgreSQL (A7, A15)."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import psutil
from sqlalchemy import func, select

from bench.harness import BenchBroken, Report, Row, Sample
from bench.reference import CLOCK, Reference, cpu_s
from bench.soundness import require_sound
from campus_node.database.connect import connect, reading, writing
from campus_node.database.migrate import upgrade
from campus_node.keys.record_keys import RecordKeys
from campus_node.ledger.chart import AccountClass, account_number, default_floor_fen
from campus_node.ledger.engine import Engine
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.store import AccountOpening
from campus_node.records.bookkeeper import Bookkeeper
from campus_node.records.bookkeeping import Bookkeeping
from campus_node.records.intake import Intake
from campus_node.records.moments import TerminalTime
from campus_node.records.posting import EngineBooks, openings_for
from campus_node.records.spooled import RECORDS_MAX, Outcome, Spooled
from campus_node.records.tables import card_movements, terminal_records
from campus_node.registry.terminals import PsamKey, Terminal, register
from federation.business_date import BusinessCalendar
from federation.clock import SystemClock
from hil_rig.sales import JournalRecord, SoftTill, card_number, make_card, open_keys

ROWS: Final = (
    Row("campus.intake", "sales taken, MAC2 + TAC, booked ÷ TPC-B", "sales/s", "higher", 4, 6),
    Row("campus.intake_cpu", "CPU of node and PostgreSQL a sale", "µs", "lower", 250, 150),
)
TILLS: Final = 21
GATEWAYS: Final = 3
CARDS: Final = 2_000
BALANCE_FEN: Final = 1_000_000
_MERCHANT: Final = account_number(AccountClass.MERCHANT_PAYABLE, 1)
_POLL_S: Final = 0.02
_TAKEN_MS: Final = 1_788_220_800_000  # by the gateway's clock


class IntakeBench:
    """A node's intake and bookkeeper, with records that cards and PSAMs in software have made.

    Each sale is two records: that it was begun, and how it ended. They come as three gateways bring them,
    256 a message; what is measured is from the first message to the last sale in the ledger.

    Args:
        directory: an empty directory on a disk.
        quick: fewer sales.
        report: is told of each step.
    """

    rows: Sequence[Row] = ROWS

    def __init__(self, directory: Path, *, quick: bool, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._sales = 4_000 if quick else 20_000
        self._run_s = 2.0 if quick else 10.0
        self._cards_count = CARDS // 4 if quick else CARDS
        self._stack = ExitStack()
        self._reference = Reference(directory, quick=quick)
        self._positions = [0] * GATEWAYS
        self._sold = 0
        self._opened = 0
        self._seen: dict[str, float] = {}

    def __enter__(self) -> Self:
        with self._stack:
            self._prepare()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        clock = SystemClock()
        self._report.step(f"pgbench: scale {self._reference.scale}")
        self._stack.enter_context(self._reference)
        dsn = self._reference.create_database("campus")
        upgrade(dsn)
        self._db = connect(dsn)
        self._stack.callback(self._db.dispose)
        self._tills = [
            SoftTill(number.to_bytes(6), number.to_bytes(16), clock, capacity=2 * self._sales)
            for number in range(1, TILLS + 1)
        ]
        self._taken = [0] * TILLS
        with writing(self._db) as connection:
            for number in range(1, TILLS + 1):
                register(connection, _terminal(number), clock.unix_ms())
        self._cards = [make_card(number, BALANCE_FEN) for number in range(1, self._cards_count + 1)]
        engine = Engine(PostgresStore(dsn), clock, BusinessCalendar(), holder="bench")
        engine.start()
        self._stack.callback(engine.stop, 10)
        books = EngineBooks(engine)
        floor_fen = default_floor_fen(AccountClass.MERCHANT_PAYABLE)
        numbers = {card_number(number) for number in range(1, self._cards_count + 1)}
        books.open([AccountOpening(_MERCHANT, "canteen", floor_fen), *openings_for(numbers, books)])
        keys = RecordKeys(open_keys(self._directory / "keys", clock))
        self._bookkeeping = Bookkeeping(
            Bookkeeper(self._db, books, keys, clock, TerminalTime("Asia/Shanghai")),
            self._db,
            clock,
            begun_after_s=600,
            grey_days=7,
            on_frozen=lambda _: None,
        )
        self._intake = Intake(self._db, clock, on_taken=self._bookkeeping.wake)
        self._bookkeeping.start()
        self._stack.callback(self._bookkeeping.stop, 10)
        self._reference.settle("campus")

    def run_round(self) -> Mapping[str, Sample]:
        """Run the reference, then a round of sales."""
        self._report.step("pgbench TPC-B")
        tpcb = self._reference.tpcb_per_s(self._run_s)
        self._report.step(f"{self._sales:,} sales by {len(self._cards):,} cards at {TILLS} tills")
        messages = self._sell()
        self._report.step("intake and books")
        ours_s, server_s = cpu_s(psutil.Process()), self._reference.cpu_s()
        began_s = time.perf_counter()
        with ThreadPoolExecutor(GATEWAYS) as gateways:
            list(gateways.map(self._send, range(GATEWAYS), messages))
        taken_s = time.perf_counter() - began_s
        while self._waits():
            CLOCK.sleep(_POLL_S)
        took_s = time.perf_counter() - began_s
        ours_s, server_s = cpu_s(psutil.Process()) - ours_s, self._reference.cpu_s() - server_s
        self._seen["intake_us_a_sale"] = round(1e6 * taken_s / self._sales, 1)
        self._seen["us_a_sale"] = round(1e6 * took_s / self._sales, 1)
        self._seen["cpu_python_us_a_sale"] = round(1e6 * ours_s / self._sales, 1)
        self._seen["cpu_postgresql_us_a_sale"] = round(1e6 * server_s / self._sales, 1)
        return {
            "campus.intake": Sample(self._sales / took_s, tpcb),
            "campus.intake_cpu": Sample(1e6 * (ours_s + server_s) / self._sales),
        }

    def check(self) -> None:
        """Every sale is one movement and one row of the ledger, and every record has its outcome."""
        require_sound("PostgreSQL", self._db, self._sold)
        with reading(self._db) as connection:
            movements = connection.execute(select(func.count()).select_from(card_movements)).scalar_one()
            wanted = terminal_records.c.outcome == int(Outcome.ACCEPTED)
            records = connection.execute(
                select(func.count()).select_from(terminal_records).where(wanted)
            ).scalar_one()
        if (movements, records) != (self._sold, 2 * self._sold):
            raise BenchBroken(f"{movements} movements and {records} records of {self._sold} sales")

    def describe(self) -> Mapping[str, object]:
        """Tell versions, settings and sizes."""
        return {
            **self._reference.describe(),
            "sales_a_round": self._sales,
            "cards": len(self._cards),
            "tills": TILLS,
            "gateways": GATEWAYS,
            "records_a_message": RECORDS_MAX,
            **self._seen,
        }

    def _waits(self) -> bool:
        """Tell whether a record waits for the bookkeeper."""
        pending = terminal_records.c.outcome == int(Outcome.PENDING)
        query = select(terminal_records.c.seq).where(pending & terminal_records.c.reason.is_(None)).limit(1)
        with reading(self._db) as connection:
            return connection.execute(query).first() is not None

    def _sell(self) -> list[list[list[Spooled]]]:
        """Sell, each sale by the next card at the next till; return each gateway's messages."""
        for number in range(self._sales):
            till = self._tills[number % TILLS]
            till.sell(self._cards[number % len(self._cards)], 1 + number % 500, "20260901120000")
        self._sold += self._sales
        records: list[list[tuple[int, JournalRecord]]] = [[] for _ in range(GATEWAYS)]
        for at, till in enumerate(self._tills):
            new = till.records(self._taken[at])
            self._taken[at] += len(new)
            records[at % GATEWAYS] += [(at + 1, each) for each in new]
        return [self._spooled(gateway, records[gateway]) for gateway in range(GATEWAYS)]

    def _spooled(self, gateway: int, records: Sequence[tuple[int, JournalRecord]]) -> list[list[Spooled]]:
        spooled = [
            Spooled(
                self._positions[gateway] + place,
                number.to_bytes(6),
                each.journal_id,
                each.seq,
                each.body,
                _TAKEN_MS,
            )
            for place, (number, each) in enumerate(records, 1)
        ]
        self._positions[gateway] += len(spooled)
        return [spooled[at : at + RECORDS_MAX] for at in range(0, len(spooled), RECORDS_MAX)]

    def _send(self, gateway: int, messages: Sequence[Sequence[Spooled]]) -> None:
        """Be one gateway: the next message goes when the last one was acknowledged."""
        for message in messages:
            self._intake.take(f"gateway-{gateway}", bytes((gateway,)) * 16, message)


def _terminal(number: int) -> Terminal:
    return Terminal(
        number.to_bytes(6),
        f"till-{number}",
        "pos-1",
        number.to_bytes(10),
        PsamKey(),
        _gateway_of(number),
        _MERCHANT,
    )


def _gateway_of(till: int) -> str:
    return f"gateway-{(till - 1) % GATEWAYS}"
