"""The card's own copy of the purse cryptography: 3DES and SM4 keys, session keys, MACs.

Objects of the cipher library cost more than the ciphers; a key makes each once, when it is first needed.
"""

from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

TDES: Final = 0x00
SM4_ALGORITHM: Final = 0x04
KEY_BYTES: Final = 16
MAC_BYTES: Final = 4

_PADDING: Final = b"\x80" + bytes(15)


def algorithm_of(byte: int) -> int | None:
    """Return the algorithm that a byte stands for: 00 and 01 are 3DES, 04 is SM4; None for others."""
    return {0x00: TDES, 0x01: TDES, 0x04: SM4_ALGORITHM}.get(byte)


class RunningMac:
    """CBC-MAC under one key, IV 0 or given: one encryptor runs on through all messages.

    The chaining value of the message before is taken out of the first block, which comes to the same as a new
    encryptor and costs a third of it.

    Args:
        key: 8 bytes = single DES, 16 bytes with `sm4`.
    """

    __slots__ = ("_block", "_last", "_update")

    def __init__(self, key: bytes, *, sm4: bool) -> None:
        self._block = 16 if sm4 else 8
        cipher = (
            Cipher(SM4(key), modes.CBC(bytes(16))) if sm4 else Cipher(TripleDES(key * 3), modes.CBC(bytes(8)))
        )
        self._update = cipher.encryptor().update
        self._last = 0

    def mac(self, message: bytes) -> bytes:
        """Return the left 4 bytes of the last block over the padded message, IV 0."""
        return self.last_block(message + _PADDING[: self._block - len(message) % self._block])[:MAC_BYTES]

    def last_block(self, blocks: bytes, iv: int = 0) -> bytes:
        """Return the whole last block over blocks that are padded already."""
        size = self._block
        first = int.from_bytes(blocks[:size]) ^ self._last ^ iv
        out = self._update(first.to_bytes(size) + blocks[size:])[-size:]
        self._last = int.from_bytes(out)
        return out


class TdesKey:
    """A double-length 3DES key."""

    __slots__ = ("_decryptor", "_encryptor", "_retail", "value")
    block: Final = 8

    def __init__(self, value: bytes) -> None:
        assert len(value) == KEY_BYTES
        self.value = value
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None
        self._retail: tuple[RunningMac, CipherContext, CipherContext] | None = None

    def encrypt(self, blocks: bytes) -> bytes:
        """Return whole blocks in ECB mode."""
        if self._encryptor is None:
            self._encryptor = _tdes_ecb(self.value + self.value[:8]).encryptor()
        return self._encryptor.update(blocks)

    def decrypt(self, blocks: bytes) -> bytes:
        """Return whole blocks in ECB mode."""
        if self._decryptor is None:
            self._decryptor = _tdes_ecb(self.value + self.value[:8]).decryptor()
        return self._decryptor.update(blocks)

    def diversified(self, factor: bytes) -> "TdesKey":
        """Return the key of the next level; the factor has 8 bytes."""
        return TdesKey(self.encrypt(factor + _inverted(factor)))

    def session(self, seed: bytes) -> RunningMac:
        """Return the MAC of one transaction; the seed has 8 bytes."""
        return RunningMac(self.encrypt(seed), sm4=False)

    def folded(self) -> RunningMac:
        """Return the MAC under left half ⊕ right half: the TAC, and RELOAD PIN."""
        return RunningMac(_xor(self.value[:8], self.value[8:]), sm4=False)

    def mac(self, message: bytes, iv: bytes = b"") -> bytes:
        """Return the MAC of secure messaging, ISO 9797-1 algorithm 3; the IV has 0 to 8 bytes, 00 follow."""
        padded = message + _PADDING[: 8 - len(message) % 8]
        return self.final(self.chain(padded, int.from_bytes(iv.ljust(8, b"\0"))))

    def chain(self, blocks: bytes, iv: int) -> bytes:
        """Return the chaining block after these blocks, of which more may follow."""
        return self._retail_parts()[0].last_block(blocks, iv)

    def final(self, chained: bytes) -> bytes:
        """Return the 4-byte MAC that ends a chain."""
        _, right, left = self._retail_parts()
        return left.update(right.update(chained))[:MAC_BYTES]

    def _retail_parts(self) -> tuple[RunningMac, CipherContext, CipherContext]:
        if self._retail is None:
            left, right = self.value[:8], self.value[8:]
            self._retail = (
                RunningMac(left, sm4=False),
                _tdes_ecb(right * 3).decryptor(),
                _tdes_ecb(left * 3).encryptor(),
            )
        return self._retail


class Sm4Key:
    """An SM4 key. No public trace with keys confirms how the purse uses SM4: unverified."""

    __slots__ = ("_decryptor", "_encryptor", "_running", "value")
    block: Final = 16

    def __init__(self, value: bytes) -> None:
        assert len(value) == KEY_BYTES
        self.value = value
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None
        self._running: RunningMac | None = None

    def encrypt(self, blocks: bytes) -> bytes:
        """Return whole blocks in ECB mode."""
        if self._encryptor is None:
            self._encryptor = Cipher(SM4(self.value), modes.ECB()).encryptor()  # noqa: S305 - single blocks
        return self._encryptor.update(blocks)

    def decrypt(self, blocks: bytes) -> bytes:
        """Return whole blocks in ECB mode."""
        if self._decryptor is None:
            self._decryptor = Cipher(SM4(self.value), modes.ECB()).decryptor()  # noqa: S305 - single blocks
        return self._decryptor.update(blocks)

    def diversified(self, factor: bytes) -> "Sm4Key":
        """Return the key of the next level; the factor has 8 bytes."""
        return Sm4Key(self.encrypt(factor + _inverted(factor)))

    def session(self, seed: bytes) -> RunningMac:
        """Return the MAC of one transaction; the seed has 8 bytes."""
        return RunningMac(self.encrypt(seed + _inverted(seed)), sm4=True)

    def folded(self) -> RunningMac:
        """Return the MAC of the TAC and of RELOAD PIN: under the whole key. Unverified."""
        return RunningMac(self.value, sm4=True)

    def mac(self, message: bytes, iv: bytes = b"") -> bytes:
        """Return the MAC of secure messaging, CBC; the IV has 0 to 16 bytes, 00 follow."""
        padded = message + _PADDING[: 16 - len(message) % 16]
        return self.final(self.chain(padded, int.from_bytes(iv.ljust(16, b"\0"))))

    def chain(self, blocks: bytes, iv: int) -> bytes:
        """Return the chaining block after these blocks, of which more may follow."""
        if self._running is None:
            self._running = RunningMac(self.value, sm4=True)
        return self._running.last_block(blocks, iv)

    def final(self, chained: bytes) -> bytes:
        """Return the 4-byte MAC that ends a chain."""
        return chained[:MAC_BYTES]


Key = TdesKey | Sm4Key


def key_of(algorithm: int, value: bytes) -> Key:
    """Return the key object of an algorithm 00 or 04."""
    return Sm4Key(value) if algorithm == SM4_ALGORITHM else TdesKey(value)


def authentication(key: Key, challenge: bytes) -> bytes:
    """Return what EXTERNAL AUTHENTICATE must carry for a challenge, 8 bytes.

    3DES takes a challenge of 4 (filled with 00) or 8 bytes; SM4 one of 16 (filled with 00), halves XORed.
    """
    cipher = key.encrypt(challenge.ljust(key.block, b"\0"))
    return cipher if len(cipher) == 8 else _xor(cipher[:8], cipher[8:])


def _tdes_ecb(key: bytes) -> "Cipher[modes.ECB]":
    return Cipher(TripleDES(key), modes.ECB())  # noqa: S305 - single blocks


def _inverted(part: bytes) -> bytes:
    return (int.from_bytes(part) ^ ((1 << 8 * len(part)) - 1)).to_bytes(len(part))


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
