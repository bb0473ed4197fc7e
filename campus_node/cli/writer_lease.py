"""The writer's lease for a command that changes balances: nobody else can post meanwhile."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campus_node.cli.office import Office
from campus_node.ledger.postgres_store import PostgresStore
from campus_node.ledger.sqlite_store import SqliteStore
from campus_node.ledger.store import Store


@contextmanager
def writer_lease(office: Office) -> Iterator[None]:
    """Hold the lease.

    Raises:
        Misconfigured: a node is the writer now.
        StoreDown: the database does not answer.
    """
    path = office.url.removeprefix("sqlite:///")
    store: Store = PostgresStore(office.url) if path == office.url else SqliteStore(Path(path))
    holder = f"campus ledger rebuild on {socket.gethostname()}, process {os.getpid()}"
    try:
        store.take_over(holder, now_unix_ms=office.clock.unix_ms())
        yield
    finally:
        store.close()
