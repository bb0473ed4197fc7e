"""What is wrong is told in words, moves no money, and leaves the node as it was."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest

from campus_node.ledger.chart import Kind
from campus_node.ledger.client import Opening, Transfer
from campuscard.v1 import ledger_pb2 as pb
from campuscard.v1.ledger_pb2_grpc import LedgerStub
from federation.errors import NotFound, NotPermitted, Unavailable, Unreadable
from federation.identity import Role
from federation.transfer import Refusal, Verb
from tests.serving.node import CANTEEN, LI, OPENING_FEN, WANG, Campus, Served, serving

Attempt = Callable[[Served], Awaitable[None]]
MONEY = {LI: OPENING_FEN, WANG: OPENING_FEN, CANTEEN: 0}


def try_it(campus: Campus, attempt: Attempt) -> None:
    """Make an attempt at a node with books; then no money has moved and the node posts."""

    async def scenario() -> None:
        async with serving(campus) as served:
            await served.open_books()
            await attempt(served)
            posted = campus.posted_fen()
            assert {account: posted[account] for account in MONEY} == MONEY
            await served.require_alive()

    asyncio.run(scenario())


WRONG_TRANSFERS: list[tuple[dict[str, Any], Refusal]] = [
    ({"debit": LI + 77}, Refusal.UNKNOWN_ACCOUNT),
    ({"credit": 1}, Refusal.UNKNOWN_ACCOUNT),
    ({"debit": -5}, Refusal.MALFORMED),
    ({"amount_fen": 0}, Refusal.AMOUNT_NOT_POSITIVE),
    ({"amount_fen": -100}, Refusal.AMOUNT_NOT_POSITIVE),
    ({"amount_fen": 2**63 - 1}, Refusal.AMOUNT_TOO_LARGE),
    ({"amount_fen": 100_001}, Refusal.AMOUNT_HELD),
    ({"amount_fen": OPENING_FEN + 1}, Refusal.INSUFFICIENT_FUNDS),
    ({"currency": 840}, Refusal.WRONG_CURRENCY),
    ({"debit": LI, "credit": LI}, Refusal.SAME_ACCOUNT),
    ({"transfer_id": b"short"}, Refusal.MALFORMED),
    ({"transfer_id": b""}, Refusal.MALFORMED),
    ({"verb": Verb.EXPIRE}, Refusal.MALFORMED),
    ({"verb": 99}, Refusal.MALFORMED),
    ({"kind": 99}, Refusal.MALFORMED),
    ({"kind": 0}, Refusal.MALFORMED),
    ({"origin": 8}, Refusal.MALFORMED),
    ({"valid_for_ms": 5}, Refusal.MALFORMED),
    ({"made_at_unix_ms": -1}, Refusal.MALFORMED),
    ({"target_id": bytes(16)}, Refusal.MALFORMED),
    ({"target_originator": "node/1"}, Refusal.MALFORMED),
    ({"window_id": -1}, Refusal.MALFORMED),
    ({"verb": Verb.RESERVE}, Refusal.EXPIRY_MISSING),
]


def test_a_wrong_transfer_is_refused_by_name_alone_and_in_a_batch(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.client() as client, client.stream() as stream:
            for wrong, refusal in WRONG_TRANSFERS:
                alone = await client.post(north.purchase(**wrong))
                assert alone.refusal_name == refusal.name, wrong
            batch = [north.purchase(**wrong) for wrong, _ in WRONG_TRANSFERS]
            answers = await stream.post([*batch, *batch])
            expected = [refusal.name for _, refusal in WRONG_TRANSFERS]
            assert [each.refusal_name for each in answers] == [*expected, *expected]

    try_it(north, attempt)


def test_an_amount_that_fits_in_no_field_never_leaves_the_caller(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.client() as client:
            with pytest.raises(ValueError, match="out of range"):
                await client.post(north.purchase(2**63))

    try_it(north, attempt)


def test_an_oversized_message_is_refused_with_advice_and_the_channel_lives(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.client() as client, client.stream() as stream:
            huge = north.purchase(originator="terminal/" + "0" * 5_000_000)
            with pytest.raises(Unreadable, match=r"larger than max.*send fewer transfers in one message"):
                await client.post(huge)
            with pytest.raises(Unreadable, match=r"larger than max"):
                await stream.post([huge])
            assert (await stream.post([north.purchase(1, debit=LI + 5)]))[
                0
            ].refusal == Refusal.UNKNOWN_ACCOUNT

    try_it(north, attempt)


def test_a_batch_of_none_or_too_many_is_told_to_be_split_and_the_stream_goes_on(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.client() as client, client.stream() as stream:
            for count in (0, 1025):
                with pytest.raises(Unreadable, match=f"1 to 1024 transfers, this one {count}: split it"):
                    await stream.post([north.purchase() for _ in range(count)])
            assert (await stream.post([north.purchase(1, debit=LI + 5)]))[
                0
            ].refusal == Refusal.UNKNOWN_ACCOUNT

    try_it(north, attempt)


ASKED_TOO_MUCH: list[tuple[dict[str, Any], str]] = [
        ({"originator": "node/1"}, "may not speak for node/1"),
        ({"originator": "terminal/other"}, "may not speak for terminal/other"),
        ({"verb": Verb.REFUND, "kind": 0, "debit": 0, "credit": 0, "target_id": bytes(16),
          "target_originator": "node/1"}, "may not speak for node/1"),
        ({"kind": Kind.LOAD}, "may ask for PURCHASE only, not LOAD"),
        ({"kind": Kind.ADJUSTMENT}, "may ask for PURCHASE only, not ADJUSTMENT"),
        ({"fact": True}, "may not state facts"),
        ({"originator": "bank/1"}, "is not <node|gateway|terminal>/<name>"),
]  # fmt: skip


def test_a_terminal_that_asks_for_more_is_refused_alone_and_in_a_batch(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        north.issue(Role.TERMINAL, "0001")
        unknown = north.purchase(1, debit=LI + 5)
        async with served.client("terminal/0001") as client, client.stream() as stream:
            for wrong, why in ASKED_TOO_MUCH:
                with pytest.raises(NotPermitted, match=why):
                    await client.post(north.purchase(**wrong))
                with pytest.raises(NotPermitted, match=why):
                    await stream.post([north.purchase(), north.purchase(**wrong)])
                assert (await stream.post([unknown]))[0].refusal == Refusal.UNKNOWN_ACCOUNT

    try_it(north, attempt)


def test_a_terminal_may_open_no_account_and_read_none(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        north.issue(Role.TERMINAL, "0001")
        async with served.client("terminal/0001") as client:
            with pytest.raises(NotPermitted, match="may not open accounts"):
                await client.open_accounts([Opening(LI + 9, "me")])
            with pytest.raises(NotPermitted, match="may not read balances"):
                await client.balance(LI)
            with pytest.raises(NotPermitted, match="may not read statements"):
                await client.statement(LI)

    try_it(north, attempt)


def test_unknown_accounts_and_impossible_pages_are_told_so(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.client() as client:
            with pytest.raises(NotFound):
                await client.balance(LI + 9)
            with pytest.raises(NotFound):
                await client.statement(LI + 9)
            with pytest.raises(Unreadable, match="limit 0 to 500"):
                await client.statement(LI, limit=501)
            with pytest.raises(Unreadable, match="before_seq"):
                await client.statement(LI, before_seq=-1)

    try_it(north, attempt)


def test_openings_are_answered_one_by_one(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.client() as client:
            opened = await client.open_accounts(
                [
                    Opening(LI + 9, "new"),
                    Opening(LI, "li"),
                    Opening(LI, "somebody else"),
                    Opening(LI, "li", floor_fen=-1),
                    Opening(7, "no class"),
                    Opening(-1, "no class"),
                    Opening(LI + 10, ""),
                    Opening(LI + 10, "x" * 201),
                    Opening(LI + 10, "a\0b"),
                ]
            )
            names = [each.name for each in opened]
            assert names == ["NONE", "NONE", *["TRANSFER_CONFLICT"] * 2, *["MALFORMED"] * 5]
            with pytest.raises(Unreadable, match="1 to 1024 openings"):
                await client.open_accounts([])
            assert (await client.balance(LI + 9)).posted_fen == 0

    try_it(north, attempt)


GARBAGE = {
    "zeros": bytes(4096),
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "broken hello": b"\x16\x03\x01" + b"\xff" * 600,
    "nothing": b"",
    "noise": bytes(range(256)) * 400,
}


def test_garbage_on_the_port_is_dropped(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        for garbage in list(GARBAGE.values()) * 4:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.grpc_port)
            with suppress(OSError):  # cut off while it talks, as it should be
                writer.write(garbage)
                writer.write_eof()
                async with asyncio.timeout(15):
                    await reader.read()
            writer.close()

    try_it(north, attempt)


def test_a_client_without_tls_is_not_answered(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await LedgerStub(channel).Post(pb.PostRequest(), timeout=5)
            assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

    try_it(north, attempt)


def test_bytes_that_are_no_message_end_that_call_only(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.channel() as channel:
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            for method in ("Post", "OpenAccounts", "GetBalance", "GetStatement"):
                ask = channel.unary_unary(f"/campuscard.v1.Ledger/{method}")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await ask(b"\xff\xff\xff\xff", timeout=5)
                assert caught.value.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}

    try_it(north, attempt)


def test_a_call_without_a_deadline_is_answered(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.channel() as channel:
            response = await LedgerStub(channel).Post(pb.PostRequest(transfer=pb.Transfer(transfer_id=b"x")))
            assert int(response.answer.refusal) == Refusal.MALFORMED

    try_it(north, attempt)


def test_an_unknown_method_is_refused(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        async with served.channel() as channel:
            mint: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            mint = channel.unary_unary("/campuscard.v1.Ledger/Mint")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await mint(b"", timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    try_it(north, attempt)


def test_a_caller_of_an_address_where_nobody_listens_is_told_after_its_last_attempt(north: Campus) -> None:
    async def attempt(served: Served) -> None:
        client = served.client()
        await served.node.stop()
        async with client:
            with pytest.raises(Unavailable):
                await client.post(Transfer(bytes(16), Verb.POST))

    async def scenario() -> None:
        async with serving(north) as served:
            await attempt(served)

    asyncio.run(scenario())
