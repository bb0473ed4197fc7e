"""TLS of TCP lines: both ends show certificates of this campus, nothing older than TLS 1.3."""

import ssl
from collections.abc import Callable
from pathlib import Path

from campus_node.lines.line import Peer
from campus_node.pki.trust import CampusTrust, identify
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured, NotIdentified
from federation.identity import Identity, Role


def server_context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what the head shows and demands.

    Args:
        authority: PEM of the campus's authority, alone trusted.
        certificate, key: PEM of the gateway's own.

    Raises:
        Misconfigured: a file is missing or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, authority, certificate, key)


def client_context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a terminal shows and demands; see `server_context`."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), authority, certificate, key)


def admission(
    trust: Callable[[], CampusTrust], clock: Clock, addresses: Callable[[Identity], Peer | None]
) -> Callable[[bytes], Peer]:
    """Return what gives a certificate its address.

    Args:
        trust: authority and revocations as they are now.
        clock: for validity.
        addresses: which terminal has which address, None = it belongs to another gateway.
    """

    def admit(leaf_der: bytes) -> Peer:
        identity = identify(ssl.DER_cert_to_PEM_cert(leaf_der).encode(), trust(), clock.unix_ms())
        peer = addresses(identity) if identity.role is Role.TERMINAL else None
        if peer is None:
            raise NotIdentified(Sentence("{identity} has no address on this line", identity=identity.uri))
        return peer

    return admit


def _loaded(context: ssl.SSLContext, authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # the campus's authority is the anchor, not its root
    try:
        context.load_verify_locations(cafile=authority)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(Sentence("{path}: {cause}", path=certificate, cause=error)) from error
    return context
