"""Who is let in, who is told why not, and who is cut off later."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from campus_node.ledger.client import LedgerClient, TlsFiles
from campus_node.pki.campus_pki import Reason, make_root_directory
from campus_node.serving.limits import ServingLimits
from campuscard.v1 import ledger_pb2 as pb
from campuscard.v1.ledger_pb2_grpc import LedgerStub
from federation.clock import SystemClock
from federation.errors import CampusCardError, NotIdentified, Unavailable
from federation.identity import Identity, Role
from federation.transfer import Refusal
from tests.serving.node import LI, ONE_TRY, Campus, Served, make_campus, serving

DAY_MS = 86_400_000
QUICK = ServingLimits(trust_poll_s=0.02)


def play(campus: Campus, scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with serving(campus, QUICK) as served:
            await served.open_books()
            before = campus.rows()
            await scenario(served)
            assert campus.rows() == before, "nobody who is kept out writes anything"
            await served.require_alive()

    asyncio.run(whole())


async def ask(served: Served, tls: TlsFiles) -> CampusCardError | None:
    """Post as somebody; return what that came to."""
    async with LedgerClient(served.address, tls, ONE_TRY) as client:
        try:
            await client.post(served.campus.purchase(1, debit=LI + 5, transfer_id=b"short"))
        except CampusCardError as error:
            return error
        return None


async def until(look: Callable[[], Awaitable[CampusCardError | None]]) -> CampusCardError:
    """Ask until it is refused; the node takes up a new list in its own time."""
    async with asyncio.timeout(20):
        while (error := await look()) is None:
            await asyncio.sleep(0.01)
    return error


def test_a_caller_without_a_certificate_is_not_let_in(north: Campus) -> None:
    async def scenario(served: Served) -> None:
        credentials = grpc.ssl_channel_credentials(north.tls().trusted)
        options = [("grpc.ssl_target_name_override", served.address.name)]
        async with grpc.aio.secure_channel(served.address.target, credentials, options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await LedgerStub(channel).Post(pb.PostRequest(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    play(north, scenario)


def test_an_expired_certificate_is_not_let_in(north: Campus) -> None:
    north.issue(Role.TERMINAL, "old", at_unix_ms=SystemClock().unix_ms() - 31 * DAY_MS)

    async def scenario(served: Served) -> None:
        error = await ask(served, north.tls("terminal/old"))
        assert isinstance(error, NotIdentified)
        assert "expired on" in str(error)
        assert "campus pki renew" in str(error)

    play(north, scenario)


def test_a_certificate_of_another_scheme_is_not_let_in(north: Campus, tmp_path: Path) -> None:
    stranger = make_campus(tmp_path / "stranger", "north")
    stranger.issue(Role.TERMINAL, "0001")
    theirs = stranger.tls("terminal/0001")

    async def scenario(served: Served) -> None:
        error = await ask(served, TlsFiles(north.tls().trusted, theirs.chain, theirs.key))
        assert isinstance(error, Unavailable)

    play(north, scenario)


def test_another_campus_of_the_scheme_is_told_that_it_is_at_the_wrong_door(tmp_path: Path) -> None:
    now = SystemClock().unix_ms()
    root = tmp_path / "root"
    make_root_directory(root, "test scheme", now - DAY_MS)
    north = make_campus(tmp_path / "north", "north", root)
    south = make_campus(tmp_path / "south", "south", root)
    south.issue(Role.GATEWAY, "library")

    async def scenario(served: Served) -> None:
        for machine in ("node/1", "gateway/library"):
            theirs = south.tls(machine)
            error = await ask(served, TlsFiles(north.tls().trusted, theirs.chain, theirs.key))
            assert isinstance(error, NotIdentified)
            assert "was issued by" in str(error)
            assert "south" in str(error)
            assert "north" in str(error)

    play(north, scenario)


def test_a_revoked_certificate_is_refused_and_its_open_stream_is_cut(north: Campus) -> None:
    terminal = north.issue(Role.TERMINAL, "stolen")
    north.issue(Role.TERMINAL, "honest")

    async def scenario(served: Served) -> None:
        async with (
            served.client("terminal/stolen") as stolen,
            served.client("terminal/honest") as honest,
            stolen.stream() as theirs,
            honest.stream() as ours,
        ):
            nothing = served.campus.purchase(1, transfer_id=b"short")
            for stream in (theirs, ours):
                assert (await stream.post([nothing]))[0].refusal == Refusal.MALFORMED
            assert (await served.figures())["campus_posting_streams"] == 2

            north.pki.revoke(terminal, Reason.KEY_COMPROMISE, north.clock.unix_ms())
            error = await until(lambda: ask(served, north.tls("terminal/stolen")))
            assert isinstance(error, NotIdentified)
            assert "was revoked on" in str(error)
            with pytest.raises(NotIdentified, match="was revoked on"):
                await theirs.post([nothing])
            assert (await ours.post([nothing]))[0].refusal == Refusal.MALFORMED

    play(north, scenario)


def test_a_node_takes_up_its_renewed_certificate_without_a_restart(north: Campus) -> None:
    async def scenario(served: Served) -> None:
        before = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", served.grpc_port))
        north.pki.issue(Identity("north", Role.NODE, "1"), north.clock.unix_ms(), renew=True)
        now = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", served.grpc_port))
        leaf_path = north.path / north.settings.pki.node_certificate
        assert now != before
        assert now.strip() in leaf_path.read_text()

    play(north, scenario)


def test_a_damaged_revocation_list_is_an_alarm_and_the_last_good_one_counts(north: Campus) -> None:
    north.issue(Role.TERMINAL, "0001")

    async def scenario(served: Served) -> None:
        (north.path / north.settings.pki.crl).write_text("nonsense")
        async with asyncio.timeout(20):
            while not any("trust.not_reloaded" in name for name in await served.figures()):
                await asyncio.sleep(0.01)
        assert await ask(served, north.tls("terminal/0001")) is None

    play(north, scenario)
