"""kill -9 of PostgreSQL, server and backends, under load: the node waits, recovers, and loses nothing."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from campus_node.database import migrate
from hil_rig.postgres_server import PostgresServer
from tests.kill.siege import besiege, campus_in
from tests.soak import size

pytestmark = pytest.mark.postgres

KILLS = size(4, 60)


def kill_with_backends(server: PostgresServer) -> None:
    """End the server and every process it has forked, all by SIGKILL, the server first."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    server.kill()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


@pytest.fixture
def server(postgres_to_kill: PostgresServer) -> PostgresServer:
    """A durable server: a commit is on the disk, as far as the server knows, before it is answered."""
    migrate.upgrade(postgres_to_kill.dsn())
    return postgres_to_kill


def test_a_node_survives_kills_of_its_database_and_loses_nothing(
    tmp_path: Path, server: PostgresServer, seed: int
) -> None:
    def strike() -> None:
        kill_with_backends(server)
        server.start()

    with campus_in(tmp_path, database=server.dsn()) as campus:
        verdict = besiege(campus, "postgresql", seed, KILLS, strike, cuts_off=False)
        verdict.demand()
        assert campus.node.starts == 1, "the node came back by itself"


def test_node_and_database_that_are_killed_together_lose_nothing(
    tmp_path: Path, server: PostgresServer, seed: int
) -> None:
    with campus_in(tmp_path, database=server.dsn()) as campus:

        def strike() -> None:
            campus.node.kill()
            kill_with_backends(server)
            server.start()
            campus.node.start()

        besiege(campus, "node and postgresql", seed, size(1, 20), strike, cuts_off=True).demand()
