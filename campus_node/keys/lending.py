"""A PSAM's session key on its way to a gateway: sealed to that gateway's certificate, good for some days.

    lease = 01 ‖ ephemeral point65 ‖ ciphertext43 ‖ tag16                                        125 bytes
    content = psam_serial10 ‖ terminal_id6 ‖ usage1 ‖ key_version1 ‖ algorithm1 ‖ expires8 ‖ key16

ECIES over P-256: ECDH with a key that is made for this lease alone, HKDF-SHA256 (salt: SHA-256 of both
points), AES-256-GCM with a nonce of zeros, since no key seals twice. The first 66 bytes and the receiver's
point are authenticated too. Who may send a lease at all is decided by the stream that brings it (mutual TLS):
a lease proves where it is going, not where it comes from. Worked example: tests/vectors/lending.toml.
"""

import struct
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from campus_node.lines.counterpart import LeasedKey
from campus_node.purse.algorithm import Algorithm
from campus_node.wording import Sentence
from federation.errors import Refused, Tampered

VERSION: Final = 0x01
POINT_BYTES: Final = 65
LEASE_BYTES: Final = 1 + POINT_BYTES + 43 + 16
_CONTENT: Final = struct.Struct(">10s6sBBBQ16s")
_NONCE: Final = bytes(12)
_PURPOSE: Final = b"campuscard lease 1"
_ALGORITHM_BYTES: Final = {Algorithm.TDES: 0x00, Algorithm.SM4: 0x04}


def seal_lease(
    lease: LeasedKey,
    psam_serial: bytes,
    gateway_certificate_pem: bytes,
    ephemeral: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """Return a lease that only the owner of a certificate's key can open; LEASE_BYTES long.

    Args:
        lease: what is lent.
        psam_serial: 10 bytes.
        gateway_certificate_pem: the gateway's leaf.
        ephemeral: for vectors only; otherwise a new key each time.

    Raises:
        Refused: the certificate's key is none on P-256.
    """
    receiver = _receiver(gateway_certificate_pem)
    once = ephemeral or ec.generate_private_key(ec.SECP256R1())
    head = bytes([VERSION]) + _point(once.public_key())
    content = _CONTENT.pack(
        psam_serial,
        lease.terminal_id,
        lease.usage,
        lease.key_version,
        _ALGORITHM_BYTES[lease.algorithm],
        lease.expires_at_unix_ms,
        lease.key,
    )
    agreed = once.exchange(ec.ECDH(), receiver)
    return head + _cipher(agreed, head, receiver).encrypt(_NONCE, content, head + _point(receiver))


def open_lease(sealed: bytes, gateway_key: ec.EllipticCurvePrivateKey) -> tuple[bytes, LeasedKey]:
    """Return the PSAM's serial number, 10 bytes, and what is lent; whoever uses it looks at its expiry.

    Raises:
        Tampered: it was changed or cut, or is sealed to another gateway.
    """
    wrong = Tampered(Sentence("a lent key was changed, or is not for this gateway"))
    head, body = sealed[: 1 + POINT_BYTES], sealed[1 + POINT_BYTES :]
    if len(sealed) != LEASE_BYTES or head[0] != VERSION:
        raise wrong
    own = gateway_key.public_key()
    try:
        once = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), head[1:])
        agreed = gateway_key.exchange(ec.ECDH(), once)
        content = _cipher(agreed, head, own).decrypt(_NONCE, body, head + _point(own))
        serial, terminal_id, usage, version, algorithm, expires, key = _CONTENT.unpack(content)
        return serial, LeasedKey(terminal_id, usage, version, Algorithm.from_byte(algorithm), key, expires)
    except (ValueError, InvalidTag, Refused) as error:
        raise wrong from error


def _receiver(certificate_pem: bytes) -> ec.EllipticCurvePublicKey:
    public = x509.load_pem_x509_certificate(certificate_pem).public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Refused(Sentence("keys are lent to certificates on P-256 only"))
    return public


def _cipher(agreed: bytes, head: bytes, receiver: ec.EllipticCurvePublicKey) -> AESGCM:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(head[1:] + _point(receiver))
    return AESGCM(HKDF(hashes.SHA256(), 32, digest.finalize(), _PURPOSE).derive(agreed))


def _point(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
