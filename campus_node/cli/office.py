"""What commands work with: the campus's directory, its database, its running node, who is at the keyboard."""

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from campus_node.campus_directory import CampusDirectory
from campus_node.database import migrate
from campus_node.database.connect import connect
from campus_node.ledger.client import BlockingLedgerClient, LedgerClient, RetryPolicy, ServerAddress, TlsFiles
from campus_node.operators.audit import Actor
from campus_node.operators.permissions import Scope, parse_scope
from campus_node.pki.credentials import load_credentials
from campus_node.settings import Settings
from campus_node.settings_checks import split_listen
from campus_node.wording import Sentence
from federation.clock import Clock, SystemClock
from federation.errors import Refused

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_ATTEMPTS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Office:
    """One campus, opened for a command."""

    place: CampusDirectory
    settings: Settings
    db: Engine
    clock: Clock

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.place.database_url(self.settings)

    @property
    def campus_scope(self) -> Scope:
        """All of the campus."""
        return Scope((self.settings.campus.name,))

    def actor(self, operator: str) -> Actor:
        """Return who acts, and from where."""
        return Actor(operator, f"cli:{getpass.getuser()}@{socket.gethostname()}")

    @contextmanager
    def client(self) -> Iterator[BlockingLedgerClient]:
        """Give a channel to the running node, as the node itself: its key lies in this directory.

        Raises:
            Unavailable: no node runs here.
        """
        port = self.place.ports().grpc
        host, _ = split_listen(self.settings.grpc.listen)
        host = _EVERYWHERE.get(host, host)
        credentials = load_credentials(self.place.path, self.settings, self.clock.unix_ms())
        address = ServerAddress(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", self.settings.domain)
        tls = TlsFiles(credentials.authority_pem, credentials.chain_pem, credentials.key_pem)
        retry = RetryPolicy(attempts_max=_ATTEMPTS_MAX)
        with BlockingLedgerClient(lambda: LedgerClient(address, tls, retry)) as client:
            yield client


@contextmanager
def opened(directory: Path, clock: Clock | None = None) -> Iterator[Office]:
    """Open the campus in a directory.

    Raises:
        Misconfigured: no campus there, or its database is of another release.
        StoreDown: its database does not answer.
    """
    place = CampusDirectory(directory)
    settings = place.settings()
    url = place.database_url(settings)
    migrate.require_current(url)
    db = connect(url)
    try:
        yield Office(place, settings, db, clock or SystemClock())
    finally:
        db.dispose()


def scope_named(text: str, office: Office) -> Scope:
    """Return the scope that somebody typed; empty is the whole campus.

    Raises:
        Refused: malformed, or not of this campus.
    """
    if not text:
        return office.campus_scope
    try:
        scope = parse_scope(text)
    except ValueError as error:
        raise Refused(
            Sentence(
                "{text} is no scope: write CAMPUS, CAMPUS/DEPARTMENT or CAMPUS/DEPARTMENT/MERCHANT", text=text
            )
        ) from error
    if not office.campus_scope.covers(scope):
        raise Refused(
            Sentence("{text} is not within this campus, {campus}", text=text, campus=office.campus_scope)
        )
    return scope
