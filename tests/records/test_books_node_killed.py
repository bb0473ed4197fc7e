"""A real node is killed while sales come in: in the end each is in the ledger once (A10, A15)."""

import asyncio
import random
from pathlib import Path

import grpc
import pytest
from sqlalchemy import func, select

from campus_node.database.connect import reading
from campus_node.ledger import proof
from campus_node.ledger.chart import AccountClass, default_floor_fen
from campus_node.ledger.engine import Engine
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import AccountOpening
from campus_node.ledger.tables import transfers
from campus_node.records.posting import EngineBooks
from campus_node.records.spooled import Outcome, Spooled
from campus_node.records.tables import card_movements, terminal_records
from campuscard.v1.gateway_pb2_grpc import GatewaysStub
from federation.business_date import BusinessCalendar
from federation.clock import SystemClock
from hil_rig.sales import PASSPHRASE, SoftTill, make_card, open_keys
from tests.records.build import CANTEEN, SEVEN, books
from tests.records.node_process import kill, running_node
from tests.records.raw_gateway import RawGateway
from tests.serving.node import Campus

SALES = 400
A_MESSAGE = 20
KILLS = 3
BOOKED_WITHIN_S = 60.0


def sales() -> list[Spooled]:
    """What a till sold to five cards, as a gateway's spool has it."""
    clock = SystemClock()
    till = SoftTill(SEVEN.terminal_id, b"7" * 16, clock, capacity=2 * SALES + 8)
    cards = [make_card(number, 500_000) for number in range(1, 6)]
    for number in range(SALES):
        till.sell(cards[number % 5], 100 + number, "20260901120000")
    return [
        Spooled(position, SEVEN.terminal_id, each.journal_id, each.seq, each.body, 1_788_220_800_000)
        for position, each in enumerate(till.records(), 1)
    ]


def open_merchant(path: Path) -> None:
    engine = Engine(SqliteStore(path), SystemClock(), BusinessCalendar(), holder="a test")
    engine.start()
    floor_fen = default_floor_fen(AccountClass.MERCHANT_PAYABLE)
    EngineBooks(engine).open([AccountOpening(CANTEEN, "canteen", floor_fen)])
    engine.stop(10)


@pytest.mark.slow
def test_every_sale_is_in_the_ledger_once_however_often_the_node_is_killed(
    campus: Campus, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setenv("CAMPUS_KEYS__STORE", "keys")
    monkeypatch.setenv("CAMPUS_KEYS__PASSPHRASE_FILE", "keys.passphrase")
    open_keys(campus.path / "keys", SystemClock())
    (campus.path / "keys.passphrase").write_text(PASSPHRASE + "\n")
    open_merchant(campus.ledger_path)
    records = sales()
    sent = 0
    for _ in range(KILLS):
        with running_node(campus.path) as node:
            sent = asyncio.run(_send(campus, records, sent + rng.randint(3, 9) * A_MESSAGE))
            kill(node)
    with running_node(campus.path):
        asyncio.run(_send(campus, records, len(records)))
        _wait_until_booked(campus)
    db = books(campus)
    with reading(db) as connection:
        posted = connection.execute(select(func.sum(transfers.c.posted_fen))).scalar_one()
        rows = connection.execute(select(func.count()).select_from(transfers)).scalar_one()
        movements = connection.execute(select(func.count()).select_from(card_movements)).scalar_one()
    assert (rows, movements) == (SALES, SALES)
    assert posted == sum(range(100, 100 + SALES))
    assert proof.check(db) == []
    proof.verify_chain(db).require_whole()
    db.dispose()


def _wait_until_booked(campus: Campus) -> None:
    clock = SystemClock()
    give_up_s = clock.monotonic_s() + BOOKED_WITHIN_S
    db = books(campus)
    accepted = terminal_records.c.outcome == int(Outcome.ACCEPTED)
    query = select(func.count()).select_from(terminal_records).where(accepted)
    while True:
        with reading(db) as connection:
            if connection.execute(query).scalar_one() == 2 * SALES:
                break
        assert clock.monotonic_s() < give_up_s, (campus.path / "log" / "node.log").read_text()[-4000:]
        clock.sleep(0.05)  # another process works
    db.dispose()


async def _send(campus: Campus, records: list[Spooled], stop_at: int) -> int:
    """Send from the node's mark on until so much is acknowledged; return how much is."""
    tls = campus.tls("gateway/canteen")
    credentials = grpc.ssl_channel_credentials(tls.trusted, tls.key, tls.chain)
    options = [("grpc.ssl_target_name_override", campus.settings.domain)]
    port = campus.directory.ports().grpc
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        gateway = RawGateway(GatewaysStub(channel).Attach())
        welcome = await gateway.hello(len(records), 1)
        acknowledged = int(welcome.committed_through)
        while acknowledged < stop_at:
            await gateway.records(*records[acknowledged : acknowledged + A_MESSAGE])
            acknowledged = int((await gateway.hear("taken")).taken.committed_through)
        if acknowledged < len(records):  # it is killed with a message under way
            await gateway.records(*records[acknowledged : acknowledged + A_MESSAGE])
        gateway.call.cancel()
    return acknowledged
