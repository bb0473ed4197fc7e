"""How our certificates look: root → campus intermediate with name constraints → leaves of 30 days; CRL.

Profile: RFC 5280. Keys are on P-256, signatures ECDSA with SHA-256. Instants are arguments, in ms since 1970.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from federation.identity import Identity, Role

ROOT_DAYS: Final = 20 * 365
CAMPUS_DAYS: Final = 5 * 365
LEAF_DAYS: Final = 30
CRL_DAYS: Final = 30
CLOCK_DRIFT: Final = timedelta(minutes=5)  # machines whose clock is a little behind accept new ones at once

_NAME_MAX: Final = 64  # X.520; the full identity stands in the URI SAN

_CA_USAGE: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_LEAF_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority(NamedTuple):
    """What signs: a certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def instant(unix_ms: int) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return datetime.fromtimestamp(unix_ms // 1000, UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(scheme: str, now_unix_ms: int) -> Authority:
    """Make the root of a scheme; it signs campus intermediates and nothing else."""
    key = new_key()
    subject = _name(f"{scheme} root", scheme)
    builder = _start(subject, subject, key.public_key(), now_unix_ms, ROOT_DAYS, not_after=None)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    builder = builder.add_extension(_CA_USAGE, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def make_campus_authority(root: Authority, campus: str, domain: str, now_unix_ms: int) -> Authority:
    """Make the intermediate of a campus: it can vouch for this campus's names only.

    Its name constraints permit DNS names in `domain` and URIs whose host is the campus, and no IP address.
    """
    key = new_key()
    builder = _start(
        _name(f"{campus} campus authority", campus),
        root.certificate.subject,
        key.public_key(),
        now_unix_ms,
        CAMPUS_DAYS,
        not_after=root.certificate.not_valid_after_utc,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_CA_USAGE, critical=True)
    builder = builder.add_extension(
        x509.NameConstraints(
            permitted_subtrees=[x509.DNSName(domain), x509.UniformResourceIdentifier(campus)],
            excluded_subtrees=[x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))],
        ),
        critical=True,
    )
    builder = builder.add_extension(_issued_by(root), critical=False)
    return Authority(builder.sign(root.key, hashes.SHA256()), key)


def dns_names(identity: Identity, domain: str) -> list[str]:
    """Return the DNS names of a machine: `<name>.<role>.<domain>`, and for a node the domain itself."""
    own = f"{identity.name}.{identity.role}.{domain}"
    return [domain, own] if identity.role is Role.NODE else [own]


def make_leaf(
    authority: Authority, identity: Identity, domain: str, public: ec.EllipticCurvePublicKey, now_unix_ms: int
) -> x509.Certificate:
    """Make the certificate of a machine, good for 30 days as server and as client."""
    builder = _start(
        _name(f"{identity.campus}/{identity.originator_name}", identity.campus),
        authority.certificate.subject,
        public,
        now_unix_ms,
        LEAF_DAYS,
        not_after=authority.certificate.not_valid_after_utc,
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names(identity, domain)]
    names.append(x509.UniformResourceIdentifier(identity.uri))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_LEAF_USAGE, critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        critical=False,
    )
    builder = builder.add_extension(_issued_by(authority), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def make_crl(
    authority: Authority, revoked: Iterable[x509.RevokedCertificate], number: int, now_unix_ms: int
) -> x509.CertificateRevocationList:
    """Make the campus's list of revoked certificates; its number only ever grows."""
    now = instant(now_unix_ms)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now)
        .next_update(now + timedelta(days=CRL_DAYS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_issued_by(authority), critical=False)
    )
    for certificate in revoked:
        builder = builder.add_revoked_certificate(certificate)
    return builder.sign(authority.key, hashes.SHA256())


def _name(common_name: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:_NAME_MAX]),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_NAME_MAX]),
        ]
    )


def _start(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now_unix_ms: int,
    days: int,
    not_after: datetime | None,
) -> x509.CertificateBuilder:
    now = instant(now_unix_ms)
    ends = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_DRIFT)
        .not_valid_after(min(ends, not_after) if not_after else ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _issued_by(authority: Authority) -> x509.AuthorityKeyIdentifier:
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)
