"""Which terminals a gateway serves, each with the session key of its PSAM, sealed to that gateway."""

from pathlib import Path
from typing import Final, Protocol

import sqlalchemy

from campus_node.database.connect import reading
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.key_set import CampusKeys
from campus_node.keys.lending import seal_lease
from campus_node.keys.opening import open_store
from campus_node.keys.operations import KeyOperations
from campus_node.keys.store import KeyForbidden, KeyUnknown
from campus_node.lines.counterpart import LeasedKey
from campus_node.registry.terminals import Terminal, TerminalState, roll_of, version
from campus_node.settings import KeySettings
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from federation.clock import Clock
from federation.errors import Misconfigured

_RENEWAL_BITS: Final = 24
_HOUR_MS: Final = 3_600_000


class Alarm(Protocol):
    """Who is told of a key that cannot be lent."""

    def __call__(self, name: str, severity: str, subject: str, evidence: dict[str, object], /) -> None: ...


class Rolls:
    """Makes the rolls of all gateways, from database and key store. Safe to call from several threads.

    Args:
        db: where terminals are registered.
        keys: the campus's key store; None = nothing can be lent.
        clock: wall time.
        lease_hours: how long a lent key begins sessions; it is renewed after half of that.
        notice_key: under which notices are believed: Ed25519, 32 bytes.
        alarm: told when a key is missing.
    """

    def __init__(
        self,
        db: sqlalchemy.Engine,
        keys: CampusKeys | None,
        clock: Clock,
        lease_hours: int,
        notice_key: bytes,
        alarm: Alarm,
    ) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._lease_ms = lease_hours * _HOUR_MS
        self._notice_key = notice_key
        self._alarm = alarm

    def version(self) -> int:
        """Return a number that goes up with each change of a terminal, and when keys are to be renewed."""
        with reading(self._db) as connection:
            changes = version(connection)
        return changes << _RENEWAL_BITS | self._clock.unix_ms() // (self._lease_ms // 2)

    def roll(self, gateway: str, certificate_pem: bytes) -> pb.TerminalRoll:
        """Return the terminals of one gateway, all of them, and of no other.

        Args:
            certificate_pem: of the gateway, as it is connected now.

        Raises:
            StoreDown: the database does not answer.
        """
        number = self.version()  # before the terminals: one that changes meanwhile is told again
        with reading(self._db) as connection:
            terminals = roll_of(connection, gateway)
        rolled = [self._rolled(terminal, certificate_pem) for terminal in terminals]
        return pb.TerminalRoll(version=number, terminals=rolled, notice_keys=[self._notice_key])

    def _rolled(self, terminal: Terminal, certificate_pem: bytes) -> pb.RolledTerminal:
        return pb.RolledTerminal(
            terminal_id=terminal.terminal_id,
            name=terminal.name,
            model=terminal.model,
            psam_serial=terminal.psam_serial,
            sealed_key=self._lend(terminal, certificate_pem),
            line=terminal.line,
            address=terminal.address,
            isolated=terminal.state is TerminalState.ISOLATED,
            ring=terminal.ring,
        )

    def _lend(self, terminal: Terminal, certificate_pem: bytes) -> bytes:
        if self._keys is None:
            return b""
        key = terminal.psam_key
        name = campus_key(Usage.PSAM_SESSION, key.version, key.algorithm, self._keys.issuer)
        try:
            lent = KeyOperations(self._keys).lend_session_key(name, terminal.psam_serial)
        except (KeyUnknown, KeyForbidden) as error:
            subject = f"terminal/{terminal.terminal_id.hex().upper()}"
            self._alarm("keys.not_lent", "serious", subject, {"key": str(name), "why": str(error)})
            return b""
        expires_at_unix_ms = self._clock.unix_ms() + self._lease_ms
        lease = LeasedKey(
            terminal.terminal_id, key.usage, key.version, key.algorithm, lent, expires_at_unix_ms
        )
        return seal_lease(lease, terminal.psam_serial, certificate_pem)


def open_keys(directory: Path, settings: KeySettings) -> CampusKeys | None:
    """Open the node's key store; None if the settings name none.

    Raises:
        Misconfigured: there is no store, or no passphrase, at the place named.
        Refused, Tampered: what `campus_node.keys.opening.open_store` says.
    """
    if not settings.store:
        return None
    if not settings.passphrase_file:
        raise Misconfigured(Sentence("keys.store needs keys.passphrase_file"))
    path = directory / settings.passphrase_file
    try:
        passphrase = path.read_text(encoding="utf-8").split("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            Sentence("keys.passphrase_file: {path} cannot be read: {reason}", path=path, reason=error)
        ) from error
    place = settings.store if settings.store.startswith("pkcs11:") else str(directory / settings.store)
    module = directory / settings.pkcs11_module if settings.pkcs11_module else None
    return open_store(place, module, passphrase)
