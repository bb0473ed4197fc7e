"""Who is on the other end of a connection: identities by certificate, remembered until they may have changed.

gRPC checks the chain at the handshake only. A certificate that was seen is checked again when the files of
our trust change (a new revocation list), when it expires, and once an hour.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography import x509

from campus_node.pki.trust import CampusTrust, identify
from federation.clock import Clock
from federation.errors import NotIdentified, NotPermitted
from federation.identity import Identity

RECHECK_MS: Final = 3_600_000
CALLERS_MAX: Final = 4_096  # certificates remembered; beyond it all are checked anew
NAMES_MAX: Final = 65_536  # originators remembered per caller

PEM_KEY: Final = "x509_pem_cert"  # of gRPC's authentication context


class PeerContext(Protocol):
    """What of a gRPC call tells who calls."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]: ...


@dataclass(slots=True)
class Caller:
    """One certificate that was recognised.

    Args:
        identity: whom it names.
        leaf_pem: the certificate.
        good_until_unix_ms: when it must be checked again.
        numbers: originators that this caller may name and has named, by name; "" = the caller itself.
    """

    identity: Identity
    leaf_pem: bytes
    good_until_unix_ms: int
    numbers: dict[str, int] = field(default_factory=dict)

    def learn(self, numbers: dict[str, int]) -> None:
        """Keep the numbers of names that were checked."""
        if len(self.numbers) + len(numbers) > NAMES_MAX:
            self.numbers.clear()
        self.numbers |= numbers


class Callers:
    """Recognises callers.

    Args:
        load_trust: reads our trust from its files.
        clock: wall time.
    """

    def __init__(self, load_trust: Callable[[], CampusTrust], clock: Clock) -> None:
        self._load_trust = load_trust
        self._clock = clock
        self._trust = load_trust()
        self._known: dict[bytes, Caller] = {}

    @property
    def trust(self) -> CampusTrust:
        """The trust in force."""
        return self._trust

    def of(self, context: PeerContext) -> Caller:
        """Return the caller of a call.

        Raises:
            NotIdentified: no certificate, or one that is not accepted (any more); says why.
        """
        pems = tuple(context.auth_context().get(PEM_KEY, ()))
        if not pems:
            raise NotIdentified("no certificate was shown: connect with a certificate of this campus (mTLS)")
        return self._look_up(pems[0])

    def renew(self, caller: Caller) -> Caller:
        """Return a caller as it is now; raise NotIdentified if it is not accepted any more."""
        return self._look_up(caller.leaf_pem)

    def reload(self) -> None:
        """Take our trust from its files again, and check everybody anew.

        Raises:
            Misconfigured: a file is missing or wrong; the trust in force stays as it was.
        """
        self._trust = self._load_trust()
        self._known.clear()

    def _look_up(self, leaf_pem: bytes) -> Caller:
        known = self._known.get(leaf_pem)
        if known is not None and self._clock.unix_ms() < known.good_until_unix_ms:
            return known
        return self._recognise(leaf_pem)

    def _recognise(self, leaf_pem: bytes) -> Caller:
        now = self._clock.unix_ms()
        self._known.pop(leaf_pem, None)
        try:
            identity = identify(leaf_pem, self._trust, now)
        except NotPermitted as error:
            raise NotIdentified(str(error)) from error
        expires_at = x509.load_pem_x509_certificate(leaf_pem).not_valid_after_utc
        expires_at_unix_ms = int(expires_at.timestamp() * 1000)
        if len(self._known) >= CALLERS_MAX:
            self._known.clear()
        caller = Caller(identity, leaf_pem, min(now + RECHECK_MS, expires_at_unix_ms))
        self._known[leaf_pem] = caller
        return caller
