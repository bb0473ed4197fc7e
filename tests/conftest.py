"""Fixtures that every test may use: a real PostgreSQL for the session, a fresh database for each test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from campus_node.database import migrate
from hil_rig.postgres_server import ADVICE, PostgresServer, find_programs

pytest_plugins = ["tests.ci_rules"]

DSN_VARIABLE = "CAMPUS_TEST_POSTGRES_DSN"


@pytest.fixture(scope="session")
def postgres_server(worker_id: str) -> Iterator[str]:
    """Give the address of a server where databases can be created.

    The first of: the server that CAMPUS_TEST_POSTGRES_DSN names; one of our own, started from the programs of
    this machine and stopped at the end. With neither the tests are skipped; in CI they fail.
    """
    if given := os.environ.get(DSN_VARIABLE):
        yield given
        return
    if find_programs() is None:
        pytest.skip(f"no PostgreSQL here: {ADVICE}")
    directory = _server_directory(worker_id)
    try:
        with PostgresServer(directory) as server:
            yield server.dsn()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str, worker_id: str) -> Iterator[str]:
    """Give the name of a database that has our schema and is only ever copied."""
    name = f"campus_template_{worker_id}_{os.getpid()}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    try:
        migrate.upgrade(_database(postgres_server, name))
        yield name
    finally:
        _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_dsn(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """Give the address of a new database with our schema; psycopg2 and campus_node.database both take it."""
    name = postgres_template.replace("template", "test")
    _run(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    try:
        yield _database(postgres_server, name)
    finally:
        _run(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres_dsn(postgres_server: str, worker_id: str) -> Iterator[str]:
    """Give the address of a new database without any table."""
    name = f"campus_empty_{worker_id}_{os.getpid()}"
    _run(postgres_server, f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield _database(postgres_server, name)
    finally:
        _run(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def postgres_to_kill(worker_id: str) -> Iterator[PostgresServer]:
    """Give a running server without our schema that the test may kill and start again."""
    if find_programs() is None:
        pytest.skip(f"no PostgreSQL here: {ADVICE}")
    directory = _server_directory(worker_id)
    try:
        with PostgresServer(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory)


def _server_directory(worker_id: str) -> Path:
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else Path("/var/tmp")  # both open to the server's account
    return Path(tempfile.mkdtemp(prefix=f"campus-postgres-{worker_id}-", dir=parent))


def _database(server: str, name: str) -> str:
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _run(server: str, statement: str) -> None:
    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)
