"""May this card pay? Asked by tills through their gateway, answered by the ledger, alike for ever."""

import asyncio
from typing import Any

import pytest

from campus_node.database.connect import writing
from campus_node.registry import cards
from campus_node.registry.cards import Card, CardFlag, FlagSet
from campus_node.registry.terminals import TerminalState, by_name, set_state
from campuscard.v1 import common_pb2
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from tests.records.build import SEVEN, alarms, books, terminal
from tests.records.raw_gateway import RawGateway, attached
from tests.serving.node import LI, OPENING_FEN, Campus, Served, serving

LIS_CARD = bytes.fromhex("00000001000000000042")
STRANGE_CARD = bytes.fromhex("00000001000000009999")
ISSUER = bytes.fromhex("4355434100000001")


def asked(campus: Campus, **fields: Any) -> wire.AuthorizationAsked:  # any field of the question
    values: dict[str, Any] = {
        "transfer_id": campus.ids.next(),
        "asn": LIS_CARD,
        "amount_fen": 1_200,
        "made_at_unix_ms": campus.clock.unix_ms(),
        "terminal_seq": 5,
    }
    return wire.AuthorizationAsked(**(values | fields))


async def ask(
    gateway: RawGateway,
    question: wire.AuthorizationAsked,
    terminal_id: bytes = SEVEN.terminal_id,
    wait_ms: int = 15_000,
) -> pb.AnsweredAuthorization:
    forwarded = pb.ForwardedAuthorization(terminal_id=terminal_id, asked=question, wait_ms=wait_ms)
    await gateway.say(authorization=forwarded)
    heard = await gateway.hear(
        "authorization", lambda message: message.authorization.transfer_id == question.transfer_id
    )
    assert heard.authorization.terminal_id == terminal_id
    return heard.authorization


async def open_for_business(served: Served) -> None:
    await served.open_books()
    db = books(served.campus)
    with writing(db) as connection:
        cards.register(connection, Card(LIS_CARD, ISSUER, LI), served.campus.clock.unix_ms())
    db.dispose()


def flag(campus: Campus, which: CardFlag, effective_at_unix_ms: int = 0) -> None:
    db = books(campus)
    with writing(db) as connection:
        now = campus.clock.unix_ms()
        cards.set_flag(connection, LIS_CARD, FlagSet(which, effective_at_unix_ms or now, "told"), now)
    db.dispose()


def test_a_card_with_money_is_approved_once_and_the_repeat_gets_the_same_answer(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served:
            await open_for_business(served)
            question = asked(campus)
            async with attached(served) as gateway:
                await gateway.hello()
                answers = [await ask(gateway, question) for _ in range(3)]
                assert answers[0].answered.amount_fen == 1_200
                assert answers[0].answered.available_fen == OPENING_FEN - 1_200
                assert answers[0].answered.refusal == common_pb2.REFUSAL_NONE
                assert answers[1:] == answers[:1] * 2
            async with served.client() as node:
                assert (await node.balance(LI)).reserved_fen == 1_200
                page = await node.statement(LI, limit=1)
                assert page.lines[0].originator == "terminal/till-7"
        async with serving(campus) as served, attached(served) as gateway:  # nothing is remembered but by it
            await gateway.hello()
            again = await ask(gateway, question)
            assert again.answered.refusal == common_pb2.REFUSAL_NONE
            assert again.answered.amount_fen == 1_200
            async with served.client() as node:
                assert (await node.balance(LI)).reserved_fen == 1_200

    asyncio.run(scenario())


def test_a_repeat_with_less_time_left_is_the_same_question_even_of_a_refusal(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await open_for_business(served)
            await gateway.hello()
            strange = asked(campus, asn=STRANGE_CARD, valid_for_ms=5_000)
            approved = asked(campus, valid_for_ms=5_000)
            first = [await ask(gateway, question) for question in (strange, approved)]
            assert first[0].answered.refusal == common_pb2.REFUSAL_CARD_UNKNOWN
            assert first[1].answered.available_fen == OPENING_FEN - 1_200
            db = books(campus)
            with writing(db) as connection:  # asked for the first time now, it would be approved
                cards.register(connection, Card(STRANGE_CARD, ISSUER, LI), campus.clock.unix_ms())
            db.dispose()
            await ask(gateway, asked(campus))  # and so much less would be available
            for left_ms in (4_000, 1):
                strange.valid_for_ms = approved.valid_for_ms = left_ms
                assert [await ask(gateway, question) for question in (strange, approved)] == first
            strange.amount_fen += 1
            assert (await ask(gateway, strange)).answered.refusal == common_pb2.REFUSAL_NONE

    asyncio.run(scenario())


def test_each_refusal_has_its_name(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await open_for_business(served)
            await gateway.hello()
            for question, refusal in (
                (asked(campus, asn=STRANGE_CARD), common_pb2.REFUSAL_CARD_UNKNOWN),
                (asked(campus, amount_fen=OPENING_FEN + 1), common_pb2.REFUSAL_INSUFFICIENT_FUNDS),
                (asked(campus, amount_fen=0), common_pb2.REFUSAL_MALFORMED),
                (asked(campus, asn=b"1"), common_pb2.REFUSAL_MALFORMED),
                (asked(campus, amount_fen=200_000), common_pb2.REFUSAL_AMOUNT_HELD),
            ):
                answer = await ask(gateway, question)
                assert answer.answered.refusal == refusal
                assert answer.answered.amount_fen == 0
            flag(campus, CardFlag.BROKEN)
            assert (await ask(gateway, asked(campus))).answered.refusal == common_pb2.REFUSAL_NONE
            flag(campus, CardFlag.FROZEN, campus.clock.unix_ms() + 3_600_000)
            assert (await ask(gateway, asked(campus))).answered.refusal == common_pb2.REFUSAL_NONE
            flag(campus, CardFlag.LOST)
            assert (await ask(gateway, asked(campus))).answered.refusal == common_pb2.REFUSAL_CARD_BLOCKED

    asyncio.run(scenario())


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_approved_stays_so_for_its_repeat_when_the_card_is_lost_meanwhile(
    campus: Campus, restarted: bool
) -> None:
    question = asked(campus)

    async def before(served: Served) -> None:
        async with attached(served) as gateway:
            await gateway.hello()
            assert (await ask(gateway, question)).answered.refusal == common_pb2.REFUSAL_NONE
        flag(campus, CardFlag.LOST)

    async def after(served: Served) -> None:
        async with attached(served) as gateway:
            await gateway.hello()
            assert (await ask(gateway, question)).answered.refusal == common_pb2.REFUSAL_NONE
            assert (await ask(gateway, asked(campus))).answered.refusal == common_pb2.REFUSAL_CARD_BLOCKED
            async with served.client() as node:
                assert (await node.balance(LI)).reserved_fen == 1_200

    async def scenario() -> None:
        async with serving(campus) as served:
            await open_for_business(served)
            await before(served)
            if not restarted:
                await after(served)
        if restarted:
            async with serving(campus) as served:
                await after(served)

    asyncio.run(scenario())


def test_a_gateway_cannot_ask_for_terminals_that_are_not_its_own(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await open_for_business(served)
            await gateway.hello()
            db = books(campus)
            for foreign in (terminal(21).terminal_id, b"\x99" * 6):
                answer = await ask(gateway, asked(campus), foreign)
                assert answer.unable.reason == wire.UNABLE_REASON_ISOLATED
            with writing(db) as connection:
                isolated = by_name(connection, "till-7")
                set_state(connection, isolated, TerminalState.ISOLATED, campus.clock.unix_ms())
            assert (await ask(gateway, asked(campus))).unable.reason == wire.UNABLE_REASON_ISOLATED
            async with served.client() as node:
                assert (await node.balance(LI)).reserved_fen == 0
        assert alarms(db)["terminal.foreign"] == 1  # of either; the last one is counted
        db.dispose()

    asyncio.run(scenario())


def test_an_answer_that_comes_too_late_is_unable_and_the_repeat_tells_what_was_decided(
    campus: Campus,
) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await open_for_business(served)
            await gateway.hello()
            question = asked(campus)
            rushed = await ask(gateway, question, wait_ms=1)
            assert rushed.WhichOneof("result") in {"unable", "answered"}
            patient = await ask(gateway, question)
            assert patient.answered.refusal == common_pb2.REFUSAL_NONE
            async with served.client() as node:
                assert (await node.balance(LI)).reserved_fen == 1_200

    asyncio.run(scenario())


def test_two_hundred_tills_that_ask_at_once_are_all_answered_and_nobody_pays_more_than_there_is(
    campus: Campus,
) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await open_for_business(served)
            await gateway.hello()
            questions = [asked(campus, amount_fen=500) for _ in range(200)]
            for question in questions:
                forwarded = pb.ForwardedAuthorization(
                    terminal_id=SEVEN.terminal_id, asked=question, wait_ms=30_000
                )
                await gateway.say(authorization=forwarded)
            answers = [(await gateway.hear("authorization")).authorization for _ in questions]
            refusals = [answer.answered.refusal for answer in answers]
            approved = refusals.count(common_pb2.REFUSAL_NONE)
            assert approved == OPENING_FEN // 500
            assert refusals.count(common_pb2.REFUSAL_INSUFFICIENT_FUNDS) == 200 - approved

    asyncio.run(scenario())
