"""A real node process is killed while records come in: what it acknowledged is there, the rest comes."""

import asyncio
import random
from dataclasses import dataclass

import grpc
import pytest

from campus_node.records.spooled import Outcome
from campuscard.v1.gateway_pb2_grpc import GatewaysStub
from tests.records.build import JOURNAL, books, placed, record, rows
from tests.records.node_process import kill, running_node
from tests.records.raw_gateway import RawGateway
from tests.serving.node import Campus

RECORDS = 2_000
A_MESSAGE = 50
UNANSWERED_MAX = 6
KILLS = 2


@dataclass
class _Sender:
    """A spool's side: what the node said is durable is never taken back."""

    acknowledged: int = 0


@pytest.mark.slow
def test_a_killed_node_lost_nothing_that_it_acknowledged_and_has_nothing_twice(
    campus: Campus, seed: int
) -> None:
    rng = random.Random(seed)
    sender = _Sender()
    for _ in range(KILLS):
        with running_node(campus.path) as node:
            stop_at = sender.acknowledged + rng.randint(2, 8) * A_MESSAGE
            asyncio.run(_send(campus, sender, stop_at))
            assert sender.acknowledged < RECORDS, "every kill hits messages without an answer"
            kill(node)
    with running_node(campus.path):
        asyncio.run(_send(campus, sender, RECORDS))
    db = books(campus)
    kept = rows(db)
    db.dispose()
    assert [row[:2] for row in kept] == [(JOURNAL, seq) for seq in range(1, RECORDS + 1)]
    assert {row[3] for row in kept} == {int(Outcome.PENDING)}


async def _send(campus: Campus, sender: _Sender, stop_at: int) -> None:
    """Send what is not acknowledged until enough is; then leave with messages under way."""
    async with _channel(campus) as channel:
        gateway = RawGateway(GatewaysStub(channel).Attach())
        welcome = await gateway.hello(RECORDS, 1)
        assert welcome.committed_through >= sender.acknowledged
        sent = sender.acknowledged = welcome.committed_through
        while sender.acknowledged < stop_at:
            while sent < RECORDS and sent - sender.acknowledged < UNANSWERED_MAX * A_MESSAGE:
                message = placed([record(seq) for seq in range(sent + 1, sent + A_MESSAGE + 1)], sent + 1)
                await gateway.records(*message)
                sent += A_MESSAGE
            taken = (await gateway.hear("taken")).taken
            assert taken.committed_through > sender.acknowledged
            sender.acknowledged = taken.committed_through
        if stop_at < RECORDS:
            assert sent > sender.acknowledged
        gateway.call.cancel()


def _channel(campus: Campus) -> grpc.aio.Channel:
    tls = campus.tls("gateway/canteen")
    credentials = grpc.ssl_channel_credentials(tls.trusted, tls.key, tls.chain)
    options = [("grpc.ssl_target_name_override", campus.settings.domain)]
    port = campus.directory.ports().grpc
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options)
