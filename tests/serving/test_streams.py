"""A stream of batches: pipelined, matched by number, held back when too much is under way."""

import asyncio
import random
from typing import Any

import grpc
import pytest

from campus_node.ledger.chart import Kind
from campus_node.ledger.client import RetryPolicy
from campus_node.ledger.client_messages import transfer_to_wire
from campus_node.serving.limits import ServingLimits
from campuscard.v1 import ledger_pb2 as pb
from campuscard.v1.ledger_pb2_grpc import LedgerStub
from federation.errors import NotPermitted, Overloaded
from federation.grpc_status import error_of_number
from federation.identity import Role
from federation.transfer import Refusal, Verb
from tests.serving.node import CANTEEN, LI, OPENING_FEN, WANG, Campus, serving


def batch(number: int, *transfers: pb.Transfer) -> pb.PostBatch:
    return pb.PostBatch(batch=number, transfers=transfers)


async def result_of(call: Any) -> pb.PostBatchResult:  # a call of the stub; its type has no name at run time
    result = await call.read()
    assert isinstance(result, pb.PostBatchResult)
    return result


def test_a_lunch_is_reserved_confirmed_and_partly_refunded_over_the_wire(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served:
            await served.open_books()
            north.issue(Role.TERMINAL, "0001")
            async with served.client("terminal/0001") as till, till.stream() as stream:
                lunch = north.purchase(1_200, verb=Verb.RESERVE, valid_for_ms=60_000)
                (reserved,) = await stream.post([lunch])
                assert reserved.done
                assert 0 < reserved.valid_for_ms <= 60_000
                follow = lunch._replace(
                    kind=0, debit=0, credit=0, valid_for_ms=0, target_id=lunch.transfer_id
                )
                confirm = follow._replace(transfer_id=north.ids.next(), verb=Verb.CONFIRM, amount_fen=1_000)
                refund = follow._replace(transfer_id=north.ids.next(), verb=Verb.REFUND, amount_fen=300)
                assert [each.done for each in await stream.post([confirm, refund])] == [True, True]
                assert (await till.post(confirm)).seq == (await stream.post([confirm]))[0].seq
            async with served.client() as node:
                assert (await node.balance(CANTEEN)).posted_fen == 700
                page = await node.statement(LI, limit=2)
                assert [line.posted_fen for line in page.lines] == [300, -1_000]
                assert {line.originator for line in page.lines} == {"terminal/0001"}
                assert page.lines[1].target_id == lunch.transfer_id
                rest = await node.statement(LI, before_seq=page.next_before_seq)
                assert [(line.posted_fen, line.reserved_fen) for line in rest.lines] == [
                    (0, 1_200),
                    (OPENING_FEN, 0),
                ]
                assert rest.next_before_seq == 0

    asyncio.run(scenario())


def test_what_is_left_of_a_reservation_shrinks_with_every_repeat(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served, served.client() as client:
            await served.open_books()
            lunch = north.purchase(100, verb=Verb.RESERVE, valid_for_ms=60_000)
            left = [(await client.post(lunch)).valid_for_ms]
            async with asyncio.timeout(20):
                while left[-1] == left[0]:
                    left.append((await client.post(lunch)).valid_for_ms)
            assert left == sorted(left, reverse=True)
            assert 0 < left[-1] < left[0] <= 60_000

    asyncio.run(scenario())


def test_ids_of_two_originators_never_collide_and_a_gateway_speaks_for_its_terminals(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served:
            await served.open_books()
            for role, name in ((Role.TERMINAL, "0001"), (Role.TERMINAL, "0002"), (Role.GATEWAY, "library")):
                north.issue(role, name)
            same_id = north.purchase(1)
            for terminal in ("terminal/0001", "terminal/0002"):
                async with served.client(terminal) as client:
                    assert (await client.post(same_id)).done
            async with served.client("gateway/library") as gateway, gateway.stream() as stream:
                repeated = [same_id._replace(originator=f"terminal/000{n}") for n in (1, 2)]
                own, repeat_1, repeat_2 = await stream.post([same_id, *repeated])
                assert len({own.seq, repeat_1.seq, repeat_2.seq}) == 3
                with pytest.raises(NotPermitted, match="may not speak for node/1"):
                    await stream.post([same_id._replace(originator="node/1")])
            async with served.client() as node:
                assert (await node.balance(CANTEEN)).posted_fen == 3

    asyncio.run(scenario())


def test_many_tasks_share_one_stream_and_each_gets_its_own_answers(north: Campus) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    async def scenario() -> None:
        async with serving(north) as served, served.client() as client, client.stream() as stream:
            await served.open_books()

            async def shop(sizes: list[int]) -> int:
                spent = 0
                for size in sizes:
                    amounts = [rng.choice([1, 2, 0]) for _ in range(size)]
                    answers = await stream.post([north.purchase(fen) for fen in amounts])
                    expected = [Refusal.NONE if fen else Refusal.AMOUNT_NOT_POSITIVE for fen in amounts]
                    assert [answer.refusal for answer in answers] == expected
                    spent += sum(amounts)
                return spent

            spent = await asyncio.gather(*(shop([rng.randint(1, 40) for _ in range(10)]) for _ in range(20)))
            assert (await client.balance(CANTEEN)).posted_fen == sum(spent)

    asyncio.run(scenario())


def test_a_full_queue_is_told_when_to_come_back_and_the_client_brings_everything_through(
    north: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUS_LEDGER__QUEUE_ITEMS_MAX", "64")
    monkeypatch.setenv("CAMPUS_LEDGER__BATCH_ITEMS_MAX", "32")
    patient = RetryPolicy(attempts_max=100, wait_max_ms=100)

    async def scenario() -> None:
        async with serving(north) as served, served.client(retry=patient) as client:
            await served.open_books()
            async with client.stream() as stream:
                bags = [[north.purchase(1) for _ in range(32)] for _ in range(30)]
                answers = await asyncio.gather(*(stream.post(bag) for bag in bags))
                assert all(answer.done for bag in answers for answer in bag)
            alone = await asyncio.gather(*(client.post(north.purchase(1)) for _ in range(200)))
            assert all(answer.done for answer in alone)
            assert (await client.balance(CANTEEN)).posted_fen == 30 * 32 + 200
            assert (await served.figures())["campus_posting_overloads_total"] > 0, "the queue was never full"

    asyncio.run(scenario())


def test_an_overload_is_a_result_with_a_hint_and_not_the_end_of_the_stream(
    north: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUS_LEDGER__QUEUE_ITEMS_MAX", "16")

    async def scenario() -> None:
        async with serving(north) as served, served.channel() as channel:
            await served.open_books()
            call = LedgerStub(channel).PostStream()
            items = [transfer_to_wire(north.purchase(1)) for _ in range(17)]
            await call.write(batch(7, *items))
            await call.write(batch(8, *items[:16]))
            too_many, fits = [await result_of(call) for _ in range(2)]
            assert (too_many.batch, fits.batch) == (7, 8)
            error = error_of_number(
                too_many.error.code, too_many.error.message, too_many.error.retry_after_ms
            )
            assert isinstance(error, Overloaded)
            assert error.retry_after_ms > 0
            assert [int(answer.refusal) for answer in fits.answers] == [Refusal.NONE] * 16
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF

    asyncio.run(scenario())


def test_a_caller_that_takes_no_results_is_read_no_further(north: Campus) -> None:
    limits = ServingLimits(batches_in_flight_max=2)

    async def scenario() -> None:
        async with serving(north, limits) as served:
            await served.open_books()
            async with served.channel(small_window=True) as channel:
                call = LedgerStub(channel).PostStream()
                nothing = [transfer_to_wire(north.purchase(transfer_id=b"short"))] * 1_000
                sent = 0

                async def push() -> None:
                    nonlocal sent
                    for number in range(1_000):
                        await call.write(batch(number, *nothing))
                        sent += 1

                pushing = asyncio.create_task(push())
                async with asyncio.timeout(60):
                    stuck_at = -1
                    while stuck_at != sent or not sent:  # until nothing moves any more
                        stuck_at = sent
                        await asyncio.sleep(0.5)
                await served.require_alive()
                assert sent == stuck_at < 1_000, "flow control held nothing back"
                taken = [(await result_of(call)).batch for _ in range(1_000)]
                assert taken == list(range(1_000)), "everything comes through once results are taken"
                await pushing

    asyncio.run(scenario())


def test_more_streams_than_allowed_are_told_to_come_back(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north, ServingLimits(streams_max=1)) as served, served.client() as client:
            await served.open_books()
            async with client.stream() as first:
                assert (await first.post([north.purchase(1)]))[0].done
                async with client.stream() as second:
                    with pytest.raises(Overloaded):
                        await second.post([north.purchase(1)])

    asyncio.run(scenario())


def test_kinds_that_create_money_are_refused_without_an_approval(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served, served.client() as client, client.stream() as stream:
            await served.open_books()
            mint = north.purchase(kind=Kind.ADJUSTMENT, debit=WANG, credit=LI)
            for attempt in (client.post(mint), client.post(mint, approval="none"), stream.post([mint])):
                with pytest.raises(NotPermitted, match="approval"):
                    await attempt

    asyncio.run(scenario())
