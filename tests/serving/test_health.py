"""What others see of a node: health, metrics, reflection."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]

from campus_node.serving.health import LEDGER_SERVICE
from federation.transfer import Refusal
from tests.serving.node import Campus, serving

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_node_is_healthy_while_it_serves_and_says_so_when_it_stops(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served, served.channel() as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know the other kind of channel only
            for service in ("", LEDGER_SERVICE):
                checked = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
                assert checked.status == SERVING
            assert await served.get("/healthz") == (200, "serving\n")

            watch = stub.Watch(health_pb2.HealthCheckRequest(service=LEDGER_SERVICE))
            assert (await watch.read()).status == SERVING
            stopping = asyncio.create_task(served.node.stop())
            assert (await watch.read()).status == NOT_SERVING
            assert await watch.read() is grpc.aio.EOF, "a watcher does not hold the node back"
            status, text = await served.get("/healthz")
            assert (status, text) == (503, "not serving: the ledger cannot post now\n")
            await stopping

    asyncio.run(scenario())


def test_metrics_tell_what_was_asked_refused_and_committed(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served, served.client() as client, client.stream() as stream:
            await served.open_books()
            before = await served.figures()
            poor = north.purchase(60_000)
            assert (await stream.post([north.purchase(), poor]))[1].refusal == Refusal.INSUFFICIENT_FUNDS
            await client.post(north.purchase())
            after = await served.figures()

            def grown(name: str) -> float:
                return after[name] - before.get(name, 0)

            assert grown('campus_posting_asked_total{verb="POST"}') == 3
            assert grown('campus_ledger_refusals_total{refusal="INSUFFICIENT_FUNDS"}') == 1
            assert grown("campus_ledger_rows_total") == 3
            assert grown("campus_ledger_batch_items_sum") == 3
            assert grown("campus_ledger_commit_seconds_count") == 2
            assert after["campus_ledger_queued_items"] == 0
            assert after["campus_ledger_serving"] == 1
            assert after["campus_posting_streams"] == 1
            assert after["process_resident_memory_bytes"] > 10_000_000
            assert after["process_cpu_seconds_total"] > 0
            assert (await served.get("/elsewhere"))[0] == 404

    asyncio.run(scenario())


@pytest.mark.parametrize("wanted", [False, True])
def test_reflection_is_off_unless_asked_for(
    north: Campus, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.setenv("CAMPUS_GRPC__REFLECTION", str(wanted).lower())

    async def scenario() -> None:
        async with serving(north) as served, served.channel() as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            call = stub.ServerReflectionInfo()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            if not wanted:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call.read()
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
                return
            services = (await call.read()).list_services_response.service
            assert LEDGER_SERVICE in {service.name for service in services}

    asyncio.run(scenario())
