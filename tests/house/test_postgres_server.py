"""The servers that the tests lean on (hil_rig/postgres_server.py, tests/conftest.py)."""

from contextlib import closing

import psycopg2
import pytest

from campus_node.database import migrate
from hil_rig.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


def test_what_was_committed_survives_a_kill_of_the_server(postgres_to_kill: PostgresServer) -> None:
    with closing(psycopg2.connect(postgres_to_kill.dsn())) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (amount_fen bigint); INSERT INTO kept VALUES (1200)")
        connection.commit()
        cursor.execute("INSERT INTO kept VALUES (1)")  # never committed
        postgres_to_kill.kill()

    postgres_to_kill.start()
    with closing(psycopg2.connect(postgres_to_kill.dsn())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT amount_fen FROM kept")
        assert cursor.fetchall() == [(1200,)]


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_gets_an_empty_database_of_this_releases_schema(postgres_dsn: str, turn: int) -> None:
    assert migrate.current(postgres_dsn) is not None
    with closing(psycopg2.connect(postgres_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts")
        assert cursor.fetchone() == (0,)
        cursor.execute("INSERT INTO accounts VALUES (%s, 'left behind', 0)", (2100_000000000001,))
        connection.commit()
