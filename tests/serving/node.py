"""A whole node in this process, with everything real but the process: ports, mTLS, database, threads."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import grpc

from campus_node.campus_directory import CampusDirectory, NewCampus
from campus_node.ledger.chart import AccountClass, Kind, account_number
from campus_node.ledger.client import LedgerClient, Opening, RetryPolicy, ServerAddress, TlsFiles, Transfer
from campus_node.ledger.client_campus import tls_of_campus
from campus_node.node import Node
from campus_node.pki.campus_pki import CampusPki
from campus_node.serving.limits import ServingLimits
from campus_node.settings import Settings
from federation.clock import Clock, SystemClock
from federation.identity import Identity, Role
from federation.ids import TransferIds
from federation.transfer import Refusal, Verb

LI: Final = account_number(AccountClass.ONLINE, 1)
WANG: Final = account_number(AccountClass.ONLINE, 2)
CANTEEN: Final = account_number(AccountClass.MERCHANT_PAYABLE, 1)
BANK: Final = account_number(AccountClass.BANK, 1)
OPENING_FEN: Final = 50_000
ONE_TRY: Final = RetryPolicy(attempts_max=1, deadline_s=10)


@dataclass
class Campus:
    """A campus directory with certificates for whoever the test needs."""

    path: Path
    settings: Settings
    ids: TransferIds = field(default_factory=TransferIds)
    clock: Clock = field(default_factory=SystemClock)

    @property
    def directory(self) -> CampusDirectory:
        return CampusDirectory(self.path)

    @property
    def pki(self) -> CampusPki:
        return self.directory.pki(self.settings)

    @property
    def ledger_path(self) -> Path:
        return self.path / "data" / "ledger.sqlite"

    def issue(self, role: Role, name: str, at_unix_ms: int | None = None) -> Identity:
        identity = Identity(self.settings.campus.name, role, name)
        self.pki.issue(identity, at_unix_ms or self.clock.unix_ms())
        return identity

    def tls(self, originator: str = "node/1") -> TlsFiles:
        return tls_of_campus(self.path, originator)

    def purchase(self, amount_fen: int = 100, **fields: Any) -> Transfer:  # any field of a Transfer
        bought = Transfer(
            self.ids.next(), Verb.POST, Kind.PURCHASE, LI, CANTEEN, amount_fen, self.clock.unix_ms()
        )
        return bought._replace(**fields)

    def rows(self) -> list[tuple[bytes, int]]:
        """Transfer id and refusal of every row, read beside the node."""
        with closing(sqlite3.connect(self.ledger_path)) as db:
            return db.execute("SELECT transfer_id, refusal FROM transfers ORDER BY seq").fetchall()

    def posted_fen(self) -> dict[int, int]:
        with closing(sqlite3.connect(self.ledger_path)) as db:
            return dict(db.execute("SELECT account, posted_fen FROM balances"))


def make_campus(path: Path, name: str = "north", root: Path | None = None) -> Campus:
    settings = CampusDirectory(path).create(NewCampus(name, root=root), SystemClock().unix_ms())
    return Campus(path, settings)


async def open_books(campus: Campus, office: LedgerClient) -> None:
    """Li and Wang have money, the canteen has none."""
    opened = await office.open_accounts(
        [Opening(LI, "li"), Opening(WANG, "wang"), Opening(CANTEEN, "canteen"), Opening(BANK, "bank")]
    )
    assert set(opened) == {Refusal.NONE}
    for holder in (LI, WANG):
        load = campus.purchase(kind=Kind.LOAD, debit=BANK, credit=holder, amount_fen=OPENING_FEN)
        assert (await office.post(load)).done


@dataclass
class Served:
    """A node that serves."""

    campus: Campus
    node: Node

    @property
    def grpc_port(self) -> int:
        return self.campus.directory.ports().grpc

    @property
    def metrics_port(self) -> int:
        return self.campus.directory.ports().metrics

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(f"127.0.0.1:{self.grpc_port}", self.campus.settings.domain)

    def client(self, originator: str = "node/1", retry: RetryPolicy = ONE_TRY) -> LedgerClient:
        return LedgerClient(self.address, self.campus.tls(originator), retry)

    def channel(self, originator: str = "node/1", *, small_window: bool = False) -> grpc.aio.Channel:
        """A channel as any client's; with small_window it takes 64 KiB of results ahead and no more."""
        tls = self.campus.tls(originator)
        credentials = grpc.ssl_channel_credentials(tls.trusted, tls.key, tls.chain)
        options: list[tuple[str, str | int]] = [("grpc.ssl_target_name_override", self.address.name)]
        if small_window:
            options += [("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0)]
        return grpc.aio.secure_channel(self.address.target, credentials, options)

    async def open_books(self) -> None:
        async with self.client() as client:
            await open_books(self.campus, client)

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the metrics' listener; return status and text."""

        def ask() -> tuple[int, str]:
            connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
            with closing(connection):
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()

        return await asyncio.to_thread(ask)

    async def figures(self) -> dict[str, float]:
        """What /metrics shows, by name and labels."""
        _, text = await self.get("/metrics")
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def require_alive(self) -> None:
        """The next honest purchase goes through."""
        async with self.client() as client:
            assert (await client.post(self.campus.purchase(1, debit=WANG))).done


@asynccontextmanager
async def serving(
    campus: Campus, limits: ServingLimits | None = None, clock: Clock | None = None
) -> AsyncIterator[Served]:
    """Run the campus's node in this event loop."""
    with ExitStack() as stack:
        node = Node(campus.directory, campus.directory.settings(), clock or campus.clock, stack, limits)
        await node.start()
        watching = asyncio.create_task(node.until_ended())
        try:
            yield Served(campus, node)
        finally:
            watching.cancel()
            await node.stop()
