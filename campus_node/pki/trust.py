"""Who a peer is, by its certificate: what the TLS layer does not check, checked here.

gRPC verifies that a leaf chains to what a server trusts and is in date when the handshake happens. It knows
no revocation and does not look at identities. `identify` does, from the leaf alone, at any later moment too.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from campus_node.pki.certificates import CLOCK_DRIFT, instant
from campus_node.wording import Sentence
from federation.errors import Misconfigured, NotPermitted
from federation.identity import Identity, parse_identity

RENEW_AHEAD: Final = timedelta(days=10)  # a third of a leaf's life: time to notice


@dataclass(frozen=True, slots=True)
class CampusTrust:
    """What is needed to recognise the machines of one campus.

    Args:
        campus: its name.
        authority: its intermediate; nothing else vouches for its machines.
        crl: what that intermediate revoked; see `make_trust`.
    """

    campus: str
    authority: x509.Certificate
    crl: x509.CertificateRevocationList

    def crl_is_stale(self, now_unix_ms: int) -> bool:
        """Tell whether the list should have been renewed. It still counts: an old one beats none."""
        return self.crl.next_update_utc is None or self.crl.next_update_utc < instant(now_unix_ms)


def make_trust(campus: str, authority: x509.Certificate, crl: x509.CertificateRevocationList) -> CampusTrust:
    """Return the trust in one campus.

    Raises:
        Misconfigured: the list was not signed by that intermediate.
    """
    key = authority.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "our authorities have keys on P-256"
    if crl.issuer != authority.subject or not crl.is_signature_valid(key):
        raise Misconfigured(
            Sentence(
                "the revocation list was not signed by the campus authority {authority}. "
                "Make a new one with: campus pki crl",
                authority=authority.subject.rfc4514_string(),
            )
        )
    return CampusTrust(campus, authority, crl)


def identify(leaf_pem: bytes, trust: CampusTrust, now_unix_ms: int) -> Identity:
    """Return who a peer is.

    Args:
        leaf_pem: the peer's certificate, as gRPC gives it in the authentication context.
        trust: the campus that the peer must belong to.
        now_unix_ms: the instant at which all must hold.

    Raises:
        NotPermitted: no certificate, issued by another campus, expired, not valid yet, revoked, not meant
            for a client, without identity, or with another campus's name.
    """
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem)
    except ValueError as error:
        raise NotPermitted(Sentence("the peer's certificate cannot be read")) from error
    _require_issuer(leaf, trust.authority)
    now = instant(now_unix_ms)
    _require_in_date(trust.authority, now)
    _require_in_date(leaf, now)
    revoked = trust.crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
    if revoked is not None:
        raise NotPermitted(
            Sentence(
                "certificate {serial} of {subject} was revoked on {on:%Y-%m-%d %H:%M} UTC",
                serial=f"{leaf.serial_number:X}",
                subject=common_name(leaf),
                on=revoked.revocation_date_utc,
            )
        )
    _require_client(leaf)
    identity = identity_in(leaf)
    if identity.campus != trust.campus:
        raise NotPermitted(
            Sentence("{uri} bears another campus's name, not {campus}", uri=identity.uri, campus=trust.campus)
        )
    return identity


def identity_in(leaf: x509.Certificate) -> Identity:
    """Return the identity that a leaf claims, without checking who signed it.

    Raises:
        NotPermitted: it has no URI SAN, several, or one that is no identity of ours.
    """
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise NotPermitted(
            Sentence("the certificate of {subject} has no URI SAN", subject=common_name(leaf))
        ) from error
    if len(uris) != 1:
        raise NotPermitted(
            Sentence(
                "the certificate of {subject} has {count} URI SANs, must be one",
                subject=common_name(leaf),
                count=len(uris),
            )
        )
    return parse_identity(uris[0])


def common_name(certificate: x509.Certificate) -> str:
    """Return the readable name of a certificate's subject."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _require_issuer(leaf: x509.Certificate, authority: x509.Certificate) -> None:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise NotPermitted(
            Sentence(
                "the certificate of {subject} was issued by {issuer}, not by {authority}",
                subject=common_name(leaf),
                issuer=leaf.issuer.rfc4514_string(),
                authority=common_name(authority),
            )
        ) from error


def _require_in_date(certificate: x509.Certificate, now: datetime) -> None:
    if now > certificate.not_valid_after_utc:
        raise NotPermitted(
            Sentence(
                "the certificate of {subject} expired on {on:%Y-%m-%d %H:%M} UTC",
                subject=common_name(certificate),
                on=certificate.not_valid_after_utc,
            )
        )
    if now < certificate.not_valid_before_utc - CLOCK_DRIFT:
        raise NotPermitted(
            Sentence(
                "the certificate of {subject} is not valid before {on:%Y-%m-%d %H:%M} UTC: "
                "compare the clocks",
                subject=common_name(certificate),
                on=certificate.not_valid_before_utc,
            )
        )


def _require_client(leaf: x509.Certificate) -> None:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        is_client = ExtendedKeyUsageOID.CLIENT_AUTH in usages
    except x509.ExtensionNotFound:
        is_client = False
    if not is_client:
        raise NotPermitted(
            Sentence("the certificate of {subject} is not meant for a client", subject=common_name(leaf))
        )
