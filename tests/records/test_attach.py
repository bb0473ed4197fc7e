"""The stream of a gateway, as the running node serves it."""

import asyncio

import grpc
import pytest

from campus_node.database.connect import writing
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.key_set import draw_missing
from campus_node.keys.lending import open_lease
from campus_node.keys.operations import KeyOperations
from campus_node.keys.sealed_file import SealedFile
from campus_node.pki import files
from campus_node.pki.campus_pki import Reason
from campus_node.purse.algorithm import Algorithm
from campus_node.records.spooled import Outcome
from campus_node.registry.terminals import TerminalState, by_name, set_state
from campus_node.watch.store import find as find_alarms
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import GatewaysStub
from federation.errors import Tampered
from federation.identity import Identity, Role
from tests.records.build import OTHER_SPOOL, SEVEN, alarms, books, record, rows, terminal
from tests.records.raw_gateway import RawGateway, attached
from tests.serving.node import Campus, serving

ISSUER = bytes.fromhex("4355434100000001")
PASSPHRASE = "seven green bottles on a wall"


def test_records_are_taken_after_commit_and_a_new_stream_goes_on_behind_them(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served:
            async with attached(served) as gateway:
                welcome = await gateway.hello()
                assert (welcome.committed_through, welcome.covered_through) == (0, 0)
                await gateway.records(*[record(seq) for seq in range(1, 101)])
                taken = (await gateway.hear("taken")).taken
                assert (taken.committed_through, taken.covered_through) == (100, 100)
                assert [verdict.position for verdict in taken.verdicts] == list(range(1, 101))
                assert {int(verdict.outcome) for verdict in taken.verdicts} == {int(Outcome.PENDING)}
            async with attached(served) as gateway:
                assert (await gateway.hello(100, 1)).committed_through == 100
                await gateway.records(record(100), record(101))
                assert (await gateway.hear("taken")).taken.committed_through == 101
        async with serving(campus) as served, attached(served) as gateway:
            assert (await gateway.hello(101, 1)).committed_through == 101
        db = books(campus)
        assert [row[1] for row in rows(db)] == list(range(1, 102))
        db.dispose()

    asyncio.run(scenario())


def test_only_gateways_attach_and_they_say_hello_first(campus: Campus) -> None:
    async def scenario() -> None:
        campus.issue(Role.TERMINAL, "till-7")
        async with serving(campus) as served:
            for who in ("terminal/till-7", "node/1"):
                async with served.channel(who) as channel:
                    call = GatewaysStub(channel).Attach()
                    assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
            async with attached(served) as gateway:
                await gateway.records(record(1))
                code, why = await gateway.ended()
                assert code is grpc.StatusCode.INVALID_ARGUMENT
                assert "hello" in why
            async with attached(served) as gateway:
                await gateway.say(hello=pb.GatewayHello(spool_id=b"short"))
                assert (await gateway.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(scenario())


def test_a_newer_stream_of_a_gateway_ends_the_older_one_and_no_other(campus: Campus) -> None:
    async def scenario() -> None:
        async with (
            serving(campus) as served,
            attached(served) as older,
            attached(served, "library") as other,
        ):
            await older.hello()
            await other.hello(spool_id=OTHER_SPOOL)
            async with attached(served) as newer:
                await newer.hello()
                code, why = await older.ended()
                assert code is grpc.StatusCode.FAILED_PRECONDITION
                assert "newer stream" in why
                await newer.records(record(1))
                assert (await newer.hear("taken")).taken.committed_through == 1
                await other.records(record(1, terminal_id=terminal(21).terminal_id, journal_id=b"M" * 16))
                assert (await other.hear("taken")).taken.committed_through == 1

    asyncio.run(scenario())


def test_a_gateway_whose_certificate_is_revoked_loses_its_stream(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await gateway.hello()
            stolen = Identity(campus.settings.campus.name, Role.GATEWAY, "canteen")
            campus.pki.revoke(stolen, Reason.KEY_COMPROMISE, campus.clock.unix_ms())
            code, why = await gateway.ended()
            assert code is grpc.StatusCode.UNAUTHENTICATED
            assert "revoked" in why

    asyncio.run(scenario())


def test_a_gateway_gets_the_keys_of_its_own_terminals_and_of_no_other(campus: Campus) -> None:
    store = SealedFile.create(campus.path / "keys", ISSUER, PASSPHRASE)
    draw_missing(store, 1, [Algorithm.SM4, Algorithm.TDES], campus.clock, [Usage.PSAM_SESSION])
    (campus.path / "keys.passphrase").write_text(PASSPHRASE + "\n")
    text = (campus.path / "campus.toml").read_text()
    text = text.replace('# store = ""', 'store = "keys"', 1)
    text = text.replace('# passphrase_file = ""', 'passphrase_file = "keys.passphrase"', 1)
    (campus.path / "campus.toml").write_text(text)

    async def scenario() -> pb.TerminalRoll:
        async with serving(campus) as served, attached(served) as gateway:
            await gateway.hello()
            return (await gateway.hear("roll")).roll

    roll = asyncio.run(scenario())
    assert [each.name for each in roll.terminals] == ["till-14", "till-7"]
    assert all(len(key) == 32 for key in roll.notice_keys)
    key, foreign = (
        files.read_key(campus.path / "pki" / "leaves" / f"gateway-{name}.key")
        for name in ("canteen", "library")
    )
    name = campus_key(Usage.PSAM_SESSION, 1, Algorithm.SM4, ISSUER)
    for each in roll.terminals:
        serial, lease = open_lease(each.sealed_key, key)
        assert serial == each.psam_serial
        assert lease.terminal_id == each.terminal_id
        assert lease.key == KeyOperations(store).lend_session_key(name, serial)
        assert lease.expires_at_unix_ms > campus.clock.unix_ms() + 100 * 3_600_000
        with pytest.raises(Tampered):
            open_lease(each.sealed_key, foreign)


def test_a_changed_roll_is_sent_at_once_without_the_revoked_terminal(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await gateway.hello()
            first = (await gateway.hear("roll")).roll
            assert [each.sealed_key for each in first.terminals] == [b"", b""]  # no key store, nothing lent
            db = books(campus)
            with writing(db) as connection:
                now = campus.clock.unix_ms()
                set_state(connection, by_name(connection, "till-7"), TerminalState.REVOKED, now)
                set_state(connection, by_name(connection, "till-14"), TerminalState.ISOLATED, now)
            db.dispose()
            second = (await gateway.hear("roll")).roll
            assert second.version > first.version
            assert [(each.name, each.isolated) for each in second.terminals] == [("till-14", True)]

    asyncio.run(scenario())


def test_an_alarm_of_a_gateway_is_raised_once_however_often_it_is_sent(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served:
            for _ in range(2):
                async with attached(served) as gateway:
                    await gateway.hello()
                    for number in (1, 1, 2):
                        alarm = pb.GatewayAlarm(
                            name="line.babbling",
                            severity="serious",
                            subject="can0/17",
                            evidence='{"frames": 4000}',
                            number=number,
                        )
                        await gateway.say(alarm=alarm)
                    await gateway.say(alarm=pb.GatewayAlarm(name="?!", severity="loud", number=3))
                    await gateway.hear("taken", lambda message: message.taken.alarms_through == 3)
            async with attached(served) as gateway:
                assert (await gateway.hello()).alarms_through == 3
        db = books(campus)
        assert alarms(db)["line.babbling"] == 2
        assert alarms(db)["gateway.alarm_unreadable"] == 1
        with db.connect() as connection:
            raised = {each.alarm.name: each.alarm for each in find_alarms(connection)}
        assert raised["line.babbling"].subject == "canteen/can0/17"
        assert raised["line.babbling"].evidence["frames"] == 4000
        db.dispose()

    asyncio.run(scenario())


def test_a_spool_that_was_put_back_is_taken_from_where_it_is(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served:
            async with attached(served) as gateway:
                await gateway.hello()
                await gateway.records(*[record(seq) for seq in range(1, 21)])
                await gateway.hear("taken")
            async with attached(served) as gateway:
                assert (await gateway.hello(5, 1)).committed_through == 5
                await gateway.records(record(21, 6))
                assert (await gateway.hear("taken")).taken.committed_through == 6
            async with attached(served) as gateway:  # and one whose covered records are gone for good
                assert (await gateway.hello(50, 31)).committed_through == 30
                await gateway.records(record(31))
                assert (await gateway.hear("taken")).taken.committed_through == 31
        db = books(campus)
        assert {"spool.rolled_back", "spool.records_missing"} <= set(alarms(db))
        db.dispose()

    asyncio.run(scenario())


def test_missing_records_are_asked_for_after_a_while(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_RECORDS__RECOLLECT_AFTER_S", "1")

    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await gateway.hello()
            await gateway.records(record(1, 1), record(5, 2))
            wanted = (await gateway.hear("recollect")).recollect
            assert wanted.terminal_id == SEVEN.terminal_id
            assert (wanted.recollect.first_seq, wanted.recollect.through_seq) == (2, 4)

    asyncio.run(scenario())


def test_the_figures_tell_of_gateways_and_records(campus: Campus) -> None:
    async def scenario() -> None:
        async with serving(campus) as served, attached(served) as gateway:
            await gateway.hello()
            await gateway.records(record(1), record(2, body=b""))
            await gateway.hear("taken")
            figures = await served.figures()
            assert figures["campus_gateways_attached"] == 1
            assert figures['campus_records_total{outcome="PENDING"}'] == 1
            assert figures['campus_records_total{outcome="QUARANTINED"}'] == 1

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_gateway_that_takes_no_answers_is_held_back_and_goes_on_when_it_does(campus: Campus) -> None:
    times = 600

    async def scenario() -> None:
        async with serving(campus) as served, served.channel("gateway/canteen", small_window=True) as channel:
            gateway = RawGateway(GatewaysStub(channel).Attach())
            await gateway.hello()
            sent = 0

            async def push() -> None:
                nonlocal sent
                for _ in range(times):
                    await gateway.records(*[record(seq) for seq in range(1, 257)])
                    sent += 1

            pushing = asyncio.create_task(push())
            async with asyncio.timeout(60):
                stuck_at = -1
                while stuck_at != sent or not sent:  # until nothing moves any more
                    stuck_at = sent
                    await asyncio.sleep(1)
            assert sent == stuck_at < times, "flow control held nothing back"
            async with attached(served, "library") as other:  # nobody else waits for it
                await other.hello(spool_id=OTHER_SPOOL)
            for _ in range(times):
                assert (await gateway.hear("taken")).taken.committed_through == 256
            await pushing
            gateway.call.cancel()

    asyncio.run(scenario())
