"""kill -9 of PostgreSQL, server and backends, under load: the node waits, recovers, and loses nothing."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from campus_node.database import migrate
from hil_rig.postgres_server import PostgresServer
from tests.kill.siege import Strike, besiege, campus_in
from tests.soak import size

pytestmark = pytest.mark.postgres

KILLS = size(4, 60)


def signal_all(server: PostgresServer, number: signal.Signals) -> None:
    """Send a signal to every process that the server has forked, and to the server itself, it first."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for pid in (server.pid, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_with_backends(server: PostgresServer) -> None:
    """End the server and all that it has forked: no checkpoint, no goodbye."""
    signal_all(server, signal.SIGKILL)
    server.kill()  # it is dead; this only buries it


@pytest.fixture
def server(postgres_to_kill: PostgresServer) -> PostgresServer:
    """A durable server: a commit is on the disk, as far as the server knows, before it is answered."""
    migrate.upgrade(postgres_to_kill.dsn())
    return postgres_to_kill


def test_a_node_survives_kills_of_its_database_and_loses_nothing(
    tmp_path: Path, server: PostgresServer, seed: int
) -> None:
    strike = Strike(
        freeze=lambda: signal_all(server, signal.SIGSTOP),
        kill=lambda: kill_with_backends(server),
        revive=server.start,
        cuts_off=False,
    )
    with campus_in(tmp_path, database=server.dsn()) as campus:
        verdict = besiege(campus, "postgresql", seed, KILLS, strike)
        verdict.demand()
        assert campus.node.starts == 1, "the node came back by itself"


def test_node_and_database_that_are_killed_together_lose_nothing(
    tmp_path: Path, server: PostgresServer, seed: int
) -> None:
    with campus_in(tmp_path, database=server.dsn()) as campus:

        def kill_both() -> None:
            campus.node.kill()
            kill_with_backends(server)

        def revive_both() -> None:
            server.start()
            campus.node.start()

        strike = Strike(campus.node.freeze, kill_both, revive_both, cuts_off=True)
        besiege(campus, "node and postgresql", seed, size(2, 20), strike).demand()
