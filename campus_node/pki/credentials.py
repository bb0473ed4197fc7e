"""What a node needs to speak TLS and to recognise who speaks to it, from the files that its settings name."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from campus_node.pki import files
from campus_node.pki.certificates import instant
from campus_node.pki.trust import CampusTrust, identity_in, make_trust
from campus_node.settings import Settings
from campus_node.wording import Sentence
from federation.errors import Misconfigured
from federation.identity import Identity


@dataclass(frozen=True, slots=True)
class Credentials:
    """A node's own certificate with its key, and its trust in its own campus.

    Args:
        identity: who the node is.
        certificate: its leaf.
        key_pem, chain_pem: for gRPC: the key; the leaf followed by the intermediate.
        authority_pem: for gRPC: the only root certificate that this campus's machines are checked against.
        trust: for `trust.identify`.
    """

    identity: Identity
    certificate: x509.Certificate
    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    authority_pem: bytes
    trust: CampusTrust


def load_credentials(directory: Path, settings: Settings, now_unix_ms: int) -> Credentials:
    """Read and check a campus's node credentials.

    Raises:
        Misconfigured: a file is missing, unreadable or belongs to something else, or the leaf is out of date.
    """
    pki, campus = settings.pki, settings.campus.name
    leaf_path, key_path = directory / pki.node_certificate, directory / pki.node_key
    leaf, key = files.read_certificate(leaf_path), files.read_key(key_path)
    authority = files.read_certificate(directory / pki.campus_ca)
    if leaf.public_key() != key.public_key():
        raise Misconfigured(
            Sentence(
                "{key} is not the key of {certificate}: put back the two files that belong together",
                key=key_path,
                certificate=leaf_path,
            )
        )
    if leaf.issuer != authority.subject:
        raise Misconfigured(
            Sentence(
                "{certificate} was not issued by {authority}", certificate=leaf_path, authority=pki.campus_ca
            )
        )
    now = instant(now_unix_ms)
    if now > leaf.not_valid_after_utc:
        raise Misconfigured(
            Sentence(
                "{certificate} expired on {on:%Y-%m-%d %H:%M} UTC. Renew it with: "
                "campus pki renew {machine} -C {directory}",
                certificate=leaf_path,
                on=leaf.not_valid_after_utc,
                machine=identity_in(leaf).originator_name,
                directory=directory,
            )
        )
    identity = identity_in(leaf)
    if identity.campus != campus:
        raise Misconfigured(
            Sentence(
                "{certificate} names the campus {other}, the settings name {campus}",
                certificate=leaf_path,
                other=identity.campus,
                campus=campus,
            )
        )
    return Credentials(
        identity=identity,
        certificate=leaf,
        key_pem=files.key_pem(key),
        chain_pem=files.read(leaf_path),
        authority_pem=files.certificate_pem(authority),
        trust=make_trust(campus, authority, files.read_crl(directory / pki.crl)),
    )
