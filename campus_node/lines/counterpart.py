"""The two places that know a PSAM's session key: the PSAM itself, and its counterpart at the head."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from campus_node.lines.handshake import FACTOR_BYTES, Hello
from campus_node.purse.algorithm import Algorithm, diversify, encrypt
from campus_node.purse.psam import CipherMode, Psam
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import NotIdentified

KEY_BYTES: Final = 16


class PsamSecret:
    """The terminal's side: 80 1A, then 80 FA. The key and the secret's key never leave the PSAM.

    Args:
        psam: the application with the session key is selected here before each use.
        issuer: that application's name, 8 bytes.
    """

    def __init__(self, psam: Psam, issuer: bytes) -> None:
        self._psam = psam
        self._issuer = issuer

    def secret(self, hello: Hello, factor: bytes, blocks: bytes) -> bytes:
        self._psam.select_issuer(self._issuer)
        self._psam.deliver_key(hello.usage, hello.key_version, [factor] * hello.levels)
        return self._psam.cipher(CipherMode.ENCRYPT, blocks)


@dataclass(frozen=True, slots=True)
class LeasedKey:
    """The session key of one PSAM, as the node lends it to the gateway of that terminal.

    Args:
        terminal_id: 6 bytes.
        usage, key_version, algorithm: as the terminal's HELLO names the key.
        key: 16 bytes: the campus's `psam_session` key, diversified with the end of the PSAM's serial.
        expires_at_unix_ms: from then on it begins no session.
    """

    terminal_id: bytes
    usage: int
    key_version: int
    algorithm: Algorithm
    key: bytes
    expires_at_unix_ms: int

    def __post_init__(self) -> None:
        assert len(self.key) == KEY_BYTES

    def __repr__(self) -> str:
        return f"LeasedKey({self.terminal_id.hex().upper()}, version {self.key_version})"


class LeasedKeys:
    """The head's side.

    Args:
        keys: by the PSAM's serial number, 10 bytes. The mapping may change; a key that is gone is revoked.
        clock: says when a lease is over.
    """

    def __init__(self, keys: Mapping[bytes, LeasedKey], clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def secret(self, hello: Hello, factor: bytes, blocks: bytes) -> bytes:
        lease = self._keys.get(hello.psam_serial)
        if lease is None or lease.terminal_id != hello.terminal_id:
            raise NotIdentified(
                Sentence("no key for terminal {terminal}", terminal=hello.terminal_id.hex().upper())
            )
        asked = hello.usage, hello.key_version, _algorithm(hello.algorithm)
        if asked != (lease.usage, lease.key_version, lease.algorithm):
            raise NotIdentified(
                Sentence("terminal {terminal} names another key", terminal=hello.terminal_id.hex().upper())
            )
        if self._clock.unix_ms() >= lease.expires_at_unix_ms:
            raise NotIdentified(
                Sentence("the key of terminal {terminal} expired", terminal=hello.terminal_id.hex().upper())
            )
        return psam_secret(lease.algorithm, lease.key, hello.levels, factor, blocks)


def lend(algorithm: Algorithm, campus_key: bytes, psam_serial: bytes) -> bytes:
    """Return the session key of one PSAM, 16 bytes: the campus's, diversified with the end of the serial."""
    return diversify(algorithm, campus_key, psam_serial[-FACTOR_BYTES:])


def psam_secret(algorithm: Algorithm, key: bytes, levels: int, factor: bytes, blocks: bytes) -> bytes:
    """Return what a PSAM with this key answers to 80 1A with equal factors and 80 FA 00."""
    for _ in range(levels):
        key = diversify(algorithm, key, factor)
    return encrypt(algorithm, key, blocks)


def _algorithm(algorithm_byte: int) -> Algorithm | None:
    return {0x00: Algorithm.TDES, 0x01: Algorithm.TDES, 0x04: Algorithm.SM4}.get(algorithm_byte)
