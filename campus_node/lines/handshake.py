"""How a session begins: HELLO, CHALLENGE, PROOF, and the keys that follow from them. Pure.

Layout and reasons: docs/wire.md, "A session begins"; vectors: tests/vectors/wire/session.txt.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from campus_node.lines.envelope import Direction
from campus_node.lines.errors import Forged, FrameBroken
from campus_node.wording import Sentence

HELLO: Final = 0x11
CHALLENGE: Final = 0x12
PROOF: Final = 0x13
RENEW: Final = 0x14
NONCE_BYTES: Final = 8
PROOF_BYTES: Final = 8
FACTOR_BYTES: Final = 8
SECRET_BYTES: Final = 32
HELLO_BYTES: Final = 33
LEVELS_MAX: Final = 3

_PROTOCOL: Final = b"campuscard line 1"


@dataclass(frozen=True, slots=True)
class Hello:
    """What a terminal says first; nothing of it is proven yet.

    Args:
        address: the terminal's on this line, 0 where the line has none of its own.
        terminal_id: 6 bytes, file 16 of the PSAM.
        psam_serial: 10 bytes, file 15 of the PSAM.
        usage: levels << 5 | type of the PSAM's session key.
        key_version: of that key, 0 to 255.
        algorithm: 00 or 01 3DES, 04 SM4.
        number: the terminal's own, 1 to FFFFFFFF, never used twice.
        nonce: 8 random bytes.
    """

    address: int
    terminal_id: bytes
    psam_serial: bytes
    usage: int
    key_version: int
    algorithm: int
    number: int
    nonce: bytes

    @property
    def levels(self) -> int:
        """How many factors 80 1A takes, 0 to 3 in what `parse` accepts."""
        return self.usage >> 5

    def encode(self) -> bytes:
        """Return the 33 bytes."""
        assert (len(self.terminal_id), len(self.psam_serial), len(self.nonce)) == (6, 10, NONCE_BYTES)
        key = bytes((self.usage, self.key_version, self.algorithm))
        start = bytes((HELLO, self.address)) + self.terminal_id + self.psam_serial + key
        return start + self.number.to_bytes(4, "big") + self.nonce

    @classmethod
    def parse(cls, message: bytes) -> "Hello":
        """Return the fields. Raise FrameBroken if this is no HELLO."""
        _expect(message, HELLO, HELLO_BYTES)
        number = int.from_bytes(message[21:25], "big")
        if message[18] >> 5 > LEVELS_MAX or not number:
            raise FrameBroken(Sentence("a HELLO that no terminal sends"))
        return cls(
            message[1],
            message[2:8],
            message[8:18],
            message[18],
            message[19],
            message[20],
            number,
            message[25:],
        )


class Challenge(NamedTuple):
    """The head's answer: session 1 to FFFFFFFF, nonce and proof 8 bytes each."""

    session: int
    nonce: bytes
    proof: bytes

    def encode(self) -> bytes:
        """Return the 21 bytes."""
        return challenge_head(self.session, self.nonce) + self.proof

    @classmethod
    def parse(cls, message: bytes) -> "Challenge":
        """Return the fields. Raise FrameBroken if this is no CHALLENGE."""
        _expect(message, CHALLENGE, 21)
        return cls(_session(message), message[5:13], message[13:])


class Proof(NamedTuple):
    """The terminal's end of it: session 1 to FFFFFFFF, proof 8 bytes."""

    session: int
    proof: bytes

    def encode(self) -> bytes:
        """Return the 13 bytes."""
        return bytes((PROOF,)) + self.session.to_bytes(4, "big") + self.proof

    @classmethod
    def parse(cls, message: bytes) -> "Proof":
        """Return the fields. Raise FrameBroken if this is no PROOF."""
        _expect(message, PROOF, 13)
        return cls(_session(message), message[5:])


class Renew(NamedTuple):
    """A hint: the head has no such session."""

    session: int

    def encode(self) -> bytes:
        """Return the 5 bytes."""
        return bytes((RENEW,)) + self.session.to_bytes(4, "big")

    @classmethod
    def parse(cls, message: bytes) -> "Renew":
        """Return the fields. Raise FrameBroken if this is no RENEW."""
        _expect(message, RENEW, 5)
        return cls(_session(message))


class SecretSource(Protocol):
    """Where the secret of a session comes from: the PSAM, or its counterpart at the head."""

    def secret(self, hello: Hello, factor: bytes, blocks: bytes) -> bytes:
        """Return what the PSAM's session key makes of the blocks, 32 bytes.

        Args:
            hello: which PSAM and which of its keys.
            factor: 8 bytes, used for each level of the key's usage.
            blocks: 32 bytes, encrypted in ECB.

        Raises:
            Refused: no such terminal or key, or it is revoked.
            Unavailable: the PSAM or the key's keeper does not answer.
        """


class SessionKeys(NamedTuple):
    """What both ends have and nobody else: 16 bytes for envelopes, 32 for the two proofs."""

    traffic: bytes
    proof: bytes


def challenge_head(session: int, nonce: bytes) -> bytes:
    """Return a CHALLENGE without its proof, 13 bytes: what the proofs cover."""
    assert len(nonce) == NONCE_BYTES
    return bytes((CHALLENGE,)) + session.to_bytes(4, "big") + nonce


def transcript(hello: Hello, session: int, nonce: bytes) -> bytes:
    """Return what was said, 46 bytes."""
    return hello.encode() + challenge_head(session, nonce)


def derive(source: SecretSource, hello: Hello, said: bytes) -> SessionKeys:
    """Return the keys of the session that this transcript begins. Raise what the source raises."""
    factor = hashlib.sha256(_PROTOCOL + b" factor" + said).digest()[:FACTOR_BYTES]
    blocks = hashlib.sha256(_PROTOCOL + b" blocks" + said).digest()
    secret = source.secret(hello, factor, blocks)
    if len(secret) != SECRET_BYTES:
        raise FrameBroken(
            Sentence("the PSAM made {given} bytes of {asked}", given=len(secret), asked=SECRET_BYTES)
        )
    salt = hashlib.sha256(said).digest()
    made = HKDF(hashes.SHA256(), 48, salt, _PROTOCOL).derive(secret)
    return SessionKeys(made[:16], made[16:])


def proof_of(keys: SessionKeys, direction: Direction, said: bytes) -> bytes:
    """Return the proof of one end, 8 bytes."""
    return hmac.digest(keys.proof, bytes((1 if direction is Direction.FROM_HEAD else 0,)) + said, "sha256")[
        :PROOF_BYTES
    ]


def verify_proof(keys: SessionKeys, direction: Direction, said: bytes, given: bytes) -> None:
    """Raise Forged unless `given` is the proof of that end."""
    if not hmac.compare_digest(proof_of(keys, direction, said), given):
        raise Forged(Sentence("the proof of a session is wrong"))


def _expect(message: bytes, kind: int, length: int) -> None:
    if len(message) != length or message[0] != kind:
        raise FrameBroken(
            Sentence("{given} bytes are no message {kind}", given=len(message), kind=f"{kind:02X}")
        )


def _session(message: bytes) -> int:
    session = int.from_bytes(message[1:5], "big")
    if not session:
        raise FrameBroken(Sentence("a session of number 0"))
    return session
