"""Fixtures that every test may use: a real PostgreSQL and a real PC/SC service for the session.

Each test gets a fresh database, and empty readers.
"""

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
from hil_rig import pcsc_daemon as virtual_readers
from hil_rig.pcsc_daemon import PcscDaemon
from hil_rig.pcsc_machine import Slot, missing, readers_to_ourselves
from hil_rig.postgres_server import ADVICE, PostgresServer, find_programs
from hil_rig.virtual.vpcd import VpcdSlot

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


@pytest.fixture(scope="session")
def pcsc_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PcscDaemon]:
    """Give the PC/SC service with two virtual readers: one that runs, or one of our own until the end.

    Another run on this machine that has it is waited for. Where something is missing the tests are skipped;
    in CI they fail.
    """
    if lacks := missing():
        pytest.skip(f"no virtual readers here, {', '.join(lacks)} missing: {virtual_readers.ADVICE}")
    with readers_to_ourselves(), PcscDaemon(tmp_path_factory.mktemp("pcscd")) as daemon:
        yield daemon


@pytest.fixture
def card_slot(pcsc_daemon: PcscDaemon) -> Iterator[VpcdSlot]:
    """Give the hand at the first virtual reader; its name is the reader's. Empty at the end."""
    with _slot(pcsc_daemon.slots[0]) as slot:
        yield slot


@pytest.fixture
def psam_slot(pcsc_daemon: PcscDaemon) -> Iterator[VpcdSlot]:
    """Give the hand at the second virtual reader."""
    with _slot(pcsc_daemon.slots[1]) as slot:
        yield slot


def _slot(slot: Slot) -> VpcdSlot:
    return VpcdSlot(slot.host, slot.port, slot.reader)


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
