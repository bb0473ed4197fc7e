"""What takes two people is posted once, exactly as they agreed, and by nobody else."""

import asyncio
from collections.abc import Mapping

import pytest

from campus_node.database.connect import connect
from campus_node.ledger.chart import AccountClass, Kind, account_number
from campus_node.ledger.client import LedgerClient, Opening, Transfer
from campus_node.operators.approvals import Approvals
from campus_node.operators.audit import Actor
from campus_node.operators.permissions import Grant, Role, parse_scope
from campus_node.operators.requests import ApprovalRequest
from campus_node.operators.requests import Kind as RequestKind
from campus_node.operators.roster import Roster
from campus_node.serving.approved import approval_payload
from federation.errors import NotPermitted
from federation.identity import Role as Machine
from federation.transfer import Verb
from tests.serving.node import LI, OPENING_FEN, Campus, Served, serving

NORTH = parse_scope("north")
ROOT, CLERK, CHIEF = (Actor(name, "console 127.0.0.1") for name in ("root", "clerk", "chief"))
RISK = account_number(AccountClass.RISK, 1)
LOSS = approval_payload(Kind.LOSS, RISK, LI, 700)


def employ(approvals_of: Campus) -> Approvals:
    db = connect(approvals_of.directory.database_url(approvals_of.settings))
    roster = Roster(db, approvals_of.clock)
    roster.enrol_first("root", "The first one", NORTH, "campus init")
    for actor in (CLERK, CHIEF):
        roster.enrol(ROOT, actor.operator, actor.operator, NORTH, "works here")
        roster.grant(ROOT, actor.operator, Grant(Role.FINANCE, NORTH), "contract 12")
    return Approvals(db, approvals_of.clock)


def the_loss(campus: Campus, asked: ApprovalRequest, **other: object) -> Transfer:
    assert asked.transfer_id is not None
    agreed = campus.purchase(
        700, transfer_id=asked.transfer_id, kind=Kind.LOSS, debit=RISK, credit=LI, made_at_unix_ms=1
    )
    return agreed._replace(**other)  # type: ignore[arg-type]  # any field


async def open_risk(served: Served) -> None:
    await served.open_books()
    async with served.client() as client:
        await client.open_accounts([Opening(RISK, "risk")])


def test_an_approved_transfer_is_posted_once_however_often_it_is_carried_out(north: Campus) -> None:
    async def scenario() -> None:
        async with serving(north) as served, served.client() as client:
            await open_risk(served)
            approvals = employ(north)
            asked = approvals.request(CLERK, "r1", RequestKind.TRANSFER, NORTH, LOSS, "torn card, case 7")
            for early in (None, "r1"):
                with pytest.raises(NotPermitted, match="approv"):
                    await client.post(
                        north.purchase(700, kind=Kind.LOSS, debit=RISK, credit=LI), approval=early
                    )
            approvals.approve(CHIEF, "r1", asked.payload_hash, "seen")

            loop = asyncio.get_running_loop()
            seqs: list[int] = []

            def carry_out(begun: ApprovalRequest) -> Mapping[str, object]:
                posting = client.post(the_loss(north, begun), approval="r1")
                seqs.append(asyncio.run_coroutine_threadsafe(posting, loop).result().seq)
                return {"seq": seqs[-1]}

            ended = await asyncio.to_thread(approvals.execute, CHIEF, "r1", carry_out)
            repeated = await client.post(the_loss(north, ended), approval="r1")
            assert {*seqs, repeated.seq} == {seqs[0]}
            assert (await client.balance(LI)).posted_fen == OPENING_FEN + 700

    asyncio.run(scenario())


def test_an_approval_is_good_for_nothing_else_and_for_nobody_else(north: Campus) -> None:
    async def refused(client: LedgerClient, transfer: Transfer, why: str) -> None:
        with pytest.raises(NotPermitted, match=why):
            await client.post(transfer, approval="r1")

    async def scenario() -> None:
        async with serving(north) as served, served.client() as client:
            await open_risk(served)
            north.issue(Machine.TERMINAL, "0001")
            approvals = employ(north)
            asked = approvals.request(CLERK, "r1", RequestKind.TRANSFER, NORTH, LOSS, "torn card, case 7")
            approvals.approve(CHIEF, "r1", asked.payload_hash, "seen")

            async def attempts(begun: ApprovalRequest) -> None:
                await refused(client, the_loss(north, begun, amount_fen=701), "for another transfer")
                await refused(client, the_loss(north, begun, credit=LI + 1), "for another transfer")
                await refused(client, the_loss(north, begun, kind=Kind.ADJUSTMENT), "for another transfer")
                await refused(client, the_loss(north, begun, transfer_id=north.ids.next()), "transfer id")
                await refused(client, the_loss(north, begun, verb=Verb.RESERVE, valid_for_ms=9), "one POST")
                async with served.client("terminal/0001") as till:
                    await refused(till, the_loss(north, begun), "may not carry out approvals")
                async with client.stream() as stream:
                    with pytest.raises(NotPermitted, match="send it alone with Post"):
                        await stream.post([the_loss(north, begun)])

            loop = asyncio.get_running_loop()

            def carry_out(begun: ApprovalRequest) -> Mapping[str, object]:
                asyncio.run_coroutine_threadsafe(attempts(begun), loop).result()
                return {}

            await asyncio.to_thread(approvals.execute, CHIEF, "r1", carry_out)
            assert (await client.balance(LI)).posted_fen == OPENING_FEN

    asyncio.run(scenario())
