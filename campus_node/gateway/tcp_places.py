"""Whom TCP lines admit, and under which address: by the certificate, and by the roll (B3, A10).

An address on TCP is a place only while this process runs: the planned one, else the lowest that is free.
"""

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from campus_node.gateway.leases import Leases
from campus_node.lines.line import TERMINAL_MAX, TERMINAL_MIN, Peer
from campus_node.lines.tcp_tls import admission, server_context
from campus_node.pki import files
from campus_node.pki.trust import CampusTrust, make_trust
from federation.clock import Clock
from federation.identity import Identity


class TcpPlaces:
    """Gives terminals their addresses on TCP lines.

    Args:
        campus: its name.
        authority, crl, certificate, key: PEM files.
        leases: the terminals of this gateway.
        clock: for validity.
    """

    def __init__(
        self,
        campus: str,
        authority: Path,
        crl: Path,
        certificate: Path,
        key: Path,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._campus = campus
        self._authority, self._crl = authority, crl
        self._certificate, self._key = certificate, key
        self._leases = leases
        self._clock = clock
        self._given: dict[str, dict[str, Peer]] = {}
        self._giving = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """Return what a head shows and demands. Raise Misconfigured."""
        return server_context(self._authority, self._certificate, self._key)

    def admission(self, line: str) -> Callable[[bytes], Peer]:
        """Return what gives a certificate its address on a line; see `tcp_tls.admission`."""
        return admission(self._trust, self._clock, lambda identity: self._address(line, identity))

    def _trust(self) -> CampusTrust:
        """Return authority and revocations as they are in the files now."""
        return make_trust(self._campus, files.read_certificate(self._authority), files.read_crl(self._crl))

    def _address(self, line: str, identity: Identity) -> Peer | None:
        terminal = self._leases.named(identity.name)
        if terminal is None or terminal.isolated:
            return None
        if terminal.line and terminal.line != line:
            return None
        with self._giving:
            given = self._given.setdefault(line, {})
            if identity.name not in given:
                taken = set(given.values()) | {
                    each.address for each in self._leases.terminals() if each.line == line and each.address
                }
                wanted = terminal.address if terminal.line == line and terminal.address else None
                free = (Peer(each) for each in range(TERMINAL_MIN, TERMINAL_MAX + 1) if each not in taken)
                address = Peer(wanted) if wanted else next(free, None)
                if address is None:
                    return None
                given[identity.name] = address
            return given[identity.name]
