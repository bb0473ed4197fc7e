"""While the database is away the node says so, and says when it is back."""

import asyncio
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from campus_node.campus_directory import CampusDirectory, NewCampus
from campus_node.ledger.client import RetryPolicy
from campus_node.serving.health import LEDGER_SERVICE
from federation.clock import SystemClock
from federation.errors import Unavailable
from hil_rig.postgres_server import PostgresServer
from tests.kill.test_postgres_kills import kill_with_backends
from tests.serving.node import CANTEEN, Campus, serving

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.postgres
def test_health_follows_the_database_and_what_had_no_answer_is_posted_once(
    tmp_path: Path, postgres_to_kill: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUS_LEDGER__OUTAGE_HOLD_S", "0.5")
    path = tmp_path / "north"
    new = NewCampus("north", database=postgres_to_kill.dsn())
    campus = Campus(path, CampusDirectory(path).create(new, SystemClock().unix_ms()))
    patient = RetryPolicy(attempts_max=1_000, wait_max_ms=100)

    async def scenario() -> None:
        async with (
            serving(campus) as served,
            served.client() as client,
            served.client(retry=patient) as waiting,
        ):
            await served.open_books()
            async with served.channel() as channel:
                watch = channel.unary_stream(
                    "/grpc.health.v1.Health/Watch",
                    health_pb2.HealthCheckRequest.SerializeToString,
                    health_pb2.HealthCheckResponse.FromString,
                )(health_pb2.HealthCheckRequest(service=LEDGER_SERVICE))
                assert await told(watch) == SERVING
                await asyncio.to_thread(kill_with_backends, postgres_to_kill)
                lunch = campus.purchase(1_200)
                with pytest.raises(Unavailable):
                    await client.post(lunch)
                assert await told(watch) == NOT_SERVING
                assert (await served.get("/healthz"))[0] == 503

                insisting = asyncio.create_task(waiting.post(lunch))
                await asyncio.to_thread(postgres_to_kill.start)
                assert (await insisting).done
                assert await told(watch) == SERVING
                assert (await served.get("/healthz"))[0] == 200
                assert (await client.balance(CANTEEN)).posted_fen == 1_200

    asyncio.run(scenario())


async def told(
    watch: "grpc.aio.UnaryStreamCall[Message, health_pb2.HealthCheckResponse]",
) -> int:
    """Return the next status that the watcher is told."""
    async with asyncio.timeout(30):
        answer = await watch.read()
    assert isinstance(answer, health_pb2.HealthCheckResponse)
    return int(answer.status)
