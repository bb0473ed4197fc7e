"""A secret in a file, under a passphrase: argon2id makes the key, ChaCha20-Poly1305 seals.

One file is: the line `campuscard sealed 1`, a line of JSON that says how it was sealed, the ciphertext, and
32 bytes of SHA-256 over all of it. The checksum tells damage from a wrong passphrase; against somebody who
computes it anew stand the verifier of the passphrase and the AEAD, which covers the header too.
"""

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from campus_node.keys.store import StoreDamaged, WrongPassphrase
from campus_node.wording import Sentence
from federation.errors import Misconfigured

_MAGIC: Final = b"campuscard sealed 1\n"
_CHECKSUM_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_HEADER_BYTES_MAX: Final = 1024
_MEMORY_KIB_MAX: Final = 1 << 20  # a forged header must not take the machine's memory
_ITERATIONS_MAX: Final = 64
_LANES_MAX: Final = 64
PASSPHRASE_CHARACTERS_MIN: Final = 12


@dataclass(frozen=True, slots=True)
class Cost:
    """What guessing one passphrase costs; the default takes some 0.2 s and 64 MiB."""

    memory_kib: int = 65_536
    iterations: int = 3
    lanes: int = 4


DEFAULT_COST: Final = Cost()


@dataclass(frozen=True, slots=True, repr=False)
class Sealer:
    """A passphrase turned into keys, so that a store that stays open need not keep the passphrase."""

    salt: bytes
    cost: Cost
    sealing_key: bytes
    verifier: bytes

    @classmethod
    def make(cls, passphrase: str, cost: Cost = DEFAULT_COST, salt: bytes | None = None) -> "Sealer":
        """Return the keys of a passphrase, under a new salt where none is given."""
        salt = os.urandom(_SALT_BYTES) if salt is None else salt
        derived = Argon2id(
            salt=salt,
            length=2 * _KEY_BYTES,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        ).derive(passphrase.encode())
        return cls(salt, cost, derived[:_KEY_BYTES], hashlib.sha256(derived[_KEY_BYTES:]).digest())

    def seal(self, kind: str, generation: int, content: bytes) -> bytes:
        """Return a sealed file.

        Args:
            kind: what it is; a file of another kind is not opened.
            generation: counts up with every writing of the same file.
        """
        nonce = os.urandom(_NONCE_BYTES)
        header = {
            "kind": kind,
            "generation": generation,
            "memory_kib": self.cost.memory_kib,
            "iterations": self.cost.iterations,
            "lanes": self.cost.lanes,
            "salt": self.salt.hex(),
            "verifier": self.verifier.hex(),
            "nonce": nonce.hex(),
        }
        head = _MAGIC + json.dumps(header, sort_keys=True).encode() + b"\n"
        whole = head + ChaCha20Poly1305(self.sealing_key).encrypt(nonce, content, head)
        return whole + hashlib.sha256(whole).digest()

    def unseal_again(self, sealed: bytes, kind: str, where: object) -> "Unsealed":
        """Open a newer version of a file that this sealer opened; raises what `unseal` raises."""
        return _open(_parse(sealed, kind, where), self, where)


@dataclass(frozen=True, slots=True, repr=False)
class Unsealed:
    """A sealed file's content, and what seals its next version."""

    content: bytes
    generation: int
    sealer: Sealer


def require_good_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that is too short to be one.

    Raises:
        Misconfigured: under 12 characters.
    """
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise Misconfigured(
            Sentence(
                "the passphrase has {length} characters and needs at least {least}",
                length=len(passphrase),
                least=PASSPHRASE_CHARACTERS_MIN,
            )
        )


def unseal(sealed: bytes, kind: str, passphrase: str, where: object) -> Unsealed:
    """Open a sealed file.

    Args:
        where: the file's name, for people.

    Raises:
        StoreDamaged: cut, changed, or not such a file at all.
        WrongPassphrase: the file is whole and this is not its passphrase.
    """
    parts = _parse(sealed, kind, where)
    return _open(parts, Sealer.make(passphrase, parts.cost, parts.salt), where)


@dataclass(frozen=True, slots=True)
class _Parts:
    head: bytes
    body: bytes
    cost: Cost
    salt: bytes
    verifier: bytes
    nonce: bytes
    generation: int


def _parse(sealed: bytes, kind: str, where: object) -> _Parts:
    head, body = _split(sealed, where)
    try:
        header = json.loads(head[len(_MAGIC) :])
        cost = Cost(int(header["memory_kib"]), int(header["iterations"]), int(header["lanes"]))
        salt, verifier, nonce = (bytes.fromhex(header[name]) for name in ("salt", "verifier", "nonce"))
        generation, found = int(header["generation"]), header["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(where) from error
    if found != kind or not _is_sane(cost) or len(salt) != _SALT_BYTES or len(nonce) != _NONCE_BYTES:
        raise _damaged(where)
    return _Parts(head, body, cost, salt, verifier, nonce, generation)


def _open(parts: _Parts, sealer: Sealer, where: object) -> Unsealed:
    if sealer.salt != parts.salt or not hmac.compare_digest(sealer.verifier, parts.verifier):
        raise WrongPassphrase(Sentence("this is not the passphrase of {path}", path=where))
    try:
        content = ChaCha20Poly1305(sealer.sealing_key).decrypt(parts.nonce, parts.body, parts.head)
    except InvalidTag as error:
        raise _damaged(where) from error
    return Unsealed(content, parts.generation, sealer)


def _split(sealed: bytes, where: object) -> tuple[bytes, bytes]:
    whole, checksum = sealed[:-_CHECKSUM_BYTES], sealed[-_CHECKSUM_BYTES:]
    end = whole.find(b"\n", len(_MAGIC))
    if (
        not whole.startswith(_MAGIC)
        or not 0 < end < _HEADER_BYTES_MAX
        or not hmac.compare_digest(hashlib.sha256(whole).digest(), checksum)
    ):
        raise _damaged(where)
    return whole[: end + 1], whole[end + 1 :]


def _is_sane(cost: Cost) -> bool:
    return (
        1 <= cost.lanes <= _LANES_MAX
        and 1 <= cost.iterations <= _ITERATIONS_MAX
        and 8 * cost.lanes <= cost.memory_kib <= _MEMORY_KIB_MAX
    )


def _damaged(where: object) -> StoreDamaged:
    return StoreDamaged(Sentence("{path} was changed or cut: restore it from a good copy", path=where))
