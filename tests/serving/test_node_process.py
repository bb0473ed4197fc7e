"""The node as a process: told to stop under load, robbed of its lease, started wrongly."""

import asyncio
import os
import random
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from campus_node.ledger.client import LedgerClient, RetryPolicy, Transfer
from campus_node.ledger.sqlite_store import SqliteStore
from federation.errors import Unavailable
from hil_rig.processes import NodeProcess, ProcessFailed
from tests.serving.node import CANTEEN, LI, ONE_TRY, WANG, Campus, open_books

pytestmark = pytest.mark.slow  # starts real processes

STREAMS = 50
BATCH = 8


@pytest.fixture
def process(north: Campus) -> Iterator[NodeProcess]:
    with NodeProcess(north.path, north.settings.domain, north.tls()) as node:
        node.start()
        yield node


def client(north: Campus, process: NodeProcess, retry: RetryPolicy = ONE_TRY) -> LedgerClient:
    return LedgerClient(process.address, north.tls(), retry)


@dataclass
class Till:
    """One stream of purchases, and what became of each batch."""

    acknowledged: list[Transfer] = field(default_factory=list)
    unanswered: list[Transfer] = field(default_factory=list)


async def sell(north: Campus, through: LedgerClient, till: Till, sold: asyncio.Event) -> None:
    """Sell until the node answers no more."""
    async with through.stream() as stream:
        while True:
            batch = [north.purchase(1, debit=random.choice((LI, WANG))) for _ in range(BATCH)]
            try:
                answers = await stream.post(batch)
            except Unavailable:
                till.unanswered += batch
                return
            assert all(answer.done for answer in answers), answers
            till.acknowledged += batch
            sold.set()


def test_told_to_stop_under_load_it_answers_what_it_took_and_loses_nothing(
    north: Campus, process: NodeProcess
) -> None:
    tills = [Till() for _ in range(STREAMS)]

    async def until_stopped() -> int:
        async with client(north, process) as office:
            await open_books(north, office)
        async with client(north, process) as through:
            events = [asyncio.Event() for _ in tills]
            selling = [
                asyncio.create_task(sell(north, through, till, sold))
                for till, sold in zip(tills, events, strict=True)
            ]
            await asyncio.gather(*(sold.wait() for sold in events))
            code = await asyncio.to_thread(process.terminate)
            await asyncio.gather(*selling)
        return code

    assert asyncio.run(until_stopped()) == 0
    assert not north.directory.ports_path.exists()
    journal = {transfer_id for transfer_id, _ in north.rows()}
    acknowledged = [each.transfer_id for till in tills for each in till.acknowledged]
    unanswered = [each for till in tills for each in till.unanswered]
    assert set(acknowledged) <= journal, "what was acknowledged is in the journal"
    assert unanswered, "the node was told to stop when nothing was under way: this proves nothing"

    async def repeat() -> None:
        async with client(north, process, RetryPolicy()) as through, through.stream() as stream:
            for start in range(0, len(unanswered), 1_000):
                answers = await stream.post(unanswered[start : start + 1_000])
                assert all(answer.done for answer in answers)

    process.start()
    asyncio.run(repeat())
    ids = [transfer_id for transfer_id, _ in north.rows()]
    assert len(ids) == len(set(ids)), "nothing is posted twice"
    assert set(ids) >= {*acknowledged, *(each.transfer_id for each in unanswered)}
    assert north.posted_fen()[CANTEEN] == len(acknowledged) + len(unanswered)


def test_an_idle_node_stops_at_once_and_its_log_says_how_it_lived(process: NodeProcess) -> None:
    assert process.terminate(timeout_s=10) == 0
    log = process.log_path.read_text()
    for event in ("node.ready", "ledger.state", "node.drains", "node.stopped"):
        assert f"event={event}" in log
    assert all("=" in line for line in log.splitlines())


def test_robbed_of_its_lease_it_says_so_raises_an_alarm_and_ends(north: Campus, process: NodeProcess) -> None:
    thief = SqliteStore(north.ledger_path)
    thief.take_over("a thief in a test", now_unix_ms=north.clock.unix_ms(), force=True)

    async def ask() -> None:
        async with client(north, process) as robbed:
            with pytest.raises(Unavailable):
                await robbed.post(north.purchase(1))

    asyncio.run(ask())
    assert process.wait_until_ended() == 1
    thief.close()
    assert "another process has taken over this ledger" in process.log_tail()
    with closing(sqlite3.connect(north.ledger_path)) as db:
        assert ("ledger.lease_lost",) in db.execute("SELECT name FROM alarms").fetchall()
    assert north.rows() == []


def test_a_second_node_on_the_same_campus_does_not_start_and_the_first_goes_on(
    north: Campus, process: NodeProcess
) -> None:
    second = NodeProcess(north.path, north.settings.domain, north.tls())
    second.log_path = north.path / "log" / "second.log"
    second.launch()
    assert second.wait_until_ended() != 0
    assert "stop it first" in second.log_tail() or "writer" in second.log_tail()
    assert north.directory.ports().pid == process.pid
    assert process.healthy()


@pytest.mark.parametrize("which", ["GRPC", "METRICS"])
def test_a_port_that_is_taken_is_named(north: Campus, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = {f"CAMPUS_{which}__LISTEN": f"127.0.0.1:{port}"}
        with NodeProcess(north.path, north.settings.domain, north.tls(), environment=listen) as node:
            node.launch()
            assert node.wait_until_ended() != 0
            assert f"{which.lower()}.listen: 127.0.0.1:{port} cannot be had" in node.log_tail()
    assert not north.directory.ports_path.exists()


def test_a_ledger_that_is_damaged_on_disk_ends_in_words_and_not_in_a_node(north: Campus) -> None:
    north.ledger_path.write_bytes(b"this is no database" * 1_000)
    with NodeProcess(north.path, north.settings.domain, north.tls()) as node:
        with pytest.raises(ProcessFailed, match="is no database: restore the backup"):
            node.start()
        assert "Traceback" not in node.log_tail()


def test_interrupt_drains_as_term_does(process: NodeProcess) -> None:
    os.kill(process.pid, signal.SIGINT)
    assert process.wait_until_ended() == 0
