"""One key on its way from one key store to another: sealed for the receiver, and provably from the sender.

Every store has a key pair on P-256; its public half is the store's identity, told apart by a fingerprint that
two people compare once. A package is enciphered under what the receiver's key agrees on with an ephemeral key
and with the sender's own key: only the receiver can open it, and only the named sender can have made it
(both, as in the authenticated mode of RFC 9180). A purchase key can leave its issuer in no other way (B2.3).
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from campus_node.keys.hierarchy import KEY_BYTES, KeyName, parse_key_name
from campus_node.keys.store import StoreDamaged
from campus_node.purse.algorithm import check_value
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Tampered

_IDENTITY_KIND: Final = "campuscard key store identity"
_PACKAGE_KIND: Final = "campuscard wrapped key"
_CURVE: Final = ec.SECP256R1()
_FINGERPRINT_BYTES: Final = 16
_NONCE: Final = bytes(12)  # each package has a key of its own


class SenderWrong(Tampered):
    """The package was not made by the store that it should come from, or not for this one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The public half of a store's key pair, and whose store it is.

    Args:
        owner: the issuer id, 8 bytes; of a ceremony: empty.
        public: the point, uncompressed, 65 bytes.
    """

    owner: bytes
    public: bytes

    @classmethod
    def of(cls, private: bytes, owner: bytes) -> "Identity":
        """Return the identity of a private key, 32 bytes."""
        return cls(owner, public_bytes(private_key_of(private).public_key()))

    @property
    def fingerprint(self) -> str:
        """What two people compare: 8 groups of 4 hexadecimal digits."""
        digest = hashlib.sha256(self.owner + self.public).digest()[:_FINGERPRINT_BYTES].hex().upper()
        return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))

    def to_json(self) -> str:
        """Return the text of an identity file."""
        content = {
            "kind": _IDENTITY_KIND,
            "owner": self.owner.hex().upper(),
            "public": self.public.hex().upper(),
            "fingerprint": self.fingerprint,
        }
        return json.dumps(content, indent=2) + "\n"


class Agreeing(Protocol):
    """Who can open what was sealed for it: a store's own key, wherever that is kept."""

    @property
    def identity(self) -> Identity: ...

    def shared_secret(self, public: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True, repr=False)
class OwnKey:
    """A key pair in memory, while a ceremony lasts."""

    identity: Identity
    private: bytes

    def shared_secret(self, public: bytes) -> bytes:
        """Return what this key and that public key agree on: 32 bytes."""
        return shared_secret(private_key_of(self.private), public)


@dataclass(frozen=True, slots=True)
class Package:
    """A wrapped key. Its text may be sent by any way.

    Args:
        foreign: the receiver may write it into PSAMs and do nothing else with it.
    """

    name: KeyName
    check_value: bytes
    foreign: bool
    sender: str
    receiver: str
    ephemeral: bytes
    wrapped: bytes

    def to_json(self) -> str:
        """Return the text of a package file."""
        content = {**self._told(), "wrapped": self.wrapped.hex().upper()}
        return json.dumps(content, indent=2) + "\n"

    def _told(self) -> dict[str, object]:
        return {
            "kind": _PACKAGE_KIND,
            "key": str(self.name),
            "check_value": self.check_value.hex().upper(),
            "foreign": self.foreign,
            "from": self.sender,
            "to": self.receiver,
            "ephemeral": self.ephemeral.hex().upper(),
        }

    @property
    def covered(self) -> bytes:
        """What the AEAD covers besides the key."""
        return json.dumps(self._told(), sort_keys=True).encode()


def wrap(name: KeyName, key: bytes, sender: Agreeing, receiver: Identity, *, foreign: bool) -> Package:
    """Return a key wrapped for another store.

    Args:
        key: 16 bytes; only a ceremony and a store's own code have one.
    """
    ephemeral = ec.generate_private_key(_CURVE)
    own = public_bytes(ephemeral.public_key())
    secret = shared_secret(ephemeral, receiver.public) + sender.shared_secret(receiver.public)
    told = Package(
        name,
        check_value(name.algorithm, key),
        foreign,
        sender.identity.fingerprint,
        receiver.fingerprint,
        own,
        b"",
    )
    wrapping = _wrapping_key(secret, own, sender.identity, receiver)
    wrapped = ChaCha20Poly1305(wrapping).encrypt(_NONCE, key, told.covered)
    return Package(name, told.check_value, foreign, told.sender, told.receiver, own, wrapped)


def unwrap(package: Package, receiver: Agreeing, sender: Identity) -> bytes:
    """Return the key of a package, 16 bytes, for the store that takes it in.

    Raises:
        SenderWrong: it is not from this sender or not for this receiver, or it was changed.
    """
    secret = receiver.shared_secret(package.ephemeral) + receiver.shared_secret(sender.public)
    wrapping = _wrapping_key(secret, package.ephemeral, sender, receiver.identity)
    try:
        key = ChaCha20Poly1305(wrapping).decrypt(_NONCE, package.wrapped, package.covered)
    except InvalidTag as error:
        raise SenderWrong(
            Sentence(
                "this package was not made by {sender} for {receiver}, or it was changed",
                sender=sender.fingerprint,
                receiver=receiver.identity.fingerprint,
            )
        ) from error
    if len(key) != KEY_BYTES or check_value(package.name.algorithm, key) != package.check_value:
        raise StoreDamaged(Sentence("the key in this package has not the check value that stands on it"))
    return key


def parse_identity(text: str, where: object) -> Identity:
    """Return the identity in a file.

    Raises:
        Misconfigured: none is in it, or its fingerprint is not its key's.
    """
    try:
        content = json.loads(text)
        identity = Identity(bytes.fromhex(content["owner"]), bytes.fromhex(content["public"]))
        if content["kind"] != _IDENTITY_KIND or content["fingerprint"] != identity.fingerprint:
            raise ValueError(where)
        _point(identity.public)
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            Sentence("{path} is no identity of a key store: campus keys identity", path=where)
        ) from error
    return identity


def parse_package(text: str, where: object) -> Package:
    """Return the package in a file.

    Raises:
        Misconfigured: none is in it.
    """
    try:
        content = json.loads(text)
        if content["kind"] != _PACKAGE_KIND:
            raise ValueError(where)
        package = Package(
            parse_key_name(content["key"]),
            bytes.fromhex(content["check_value"]),
            content["foreign"] is True,
            str(content["from"]),
            str(content["to"]),
            bytes.fromhex(content["ephemeral"]),
            bytes.fromhex(content["wrapped"]),
        )
        _point(package.ephemeral)
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(Sentence("{path} is no wrapped key: campus keys export", path=where)) from error
    return package


def private_key_of(private: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key of 32 bytes."""
    return ec.derive_private_key(int.from_bytes(private, "big"), _CURVE)


def public_bytes(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return the point, uncompressed, 65 bytes."""
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def shared_secret(private: ec.EllipticCurvePrivateKey, public: bytes) -> bytes:
    """Return what two keys agree on: 32 bytes."""
    return private.exchange(ec.ECDH(), _point(public))


def _point(public: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public)


def _wrapping_key(secret: bytes, ephemeral: bytes, sender: Identity, receiver: Identity) -> bytes:
    names = b"campuscard wrapped key" + ephemeral + sender.public + receiver.public
    return HKDF(hashes.SHA256(), 32, salt=None, info=names).derive(secret)
