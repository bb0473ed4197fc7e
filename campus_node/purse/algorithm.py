"""The card's cryptography, 3DES and SM4 behind one switch.

Keys are 16 bytes. Under 3DES a session key and the TAC key are 8 bytes and single DES: an old card's TAC
has 56 bits of strength, which is why such cards have lower limits. Blocks are 8 bytes under 3DES, 16 under
SM4.

Source: PBOC 2.0 e-purse as card manuals and terminals have it; vectors in tests/vectors/purse.toml. SM4 as a
whole is **unverified** against a card: one public program shows it and no public trace has its keys. What
rests on less is marked where it is decided, once.
"""

import hmac
from enum import IntEnum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from campus_node.purse.errors import AlgorithmUnknown, MacWrong
from campus_node.wording import Sentence

_ONES = (1 << 64) - 1


class Algorithm(IntEnum):
    """What a key is for; the value is the algorithm byte of new cards."""

    TDES = 0x00
    SM4 = 0x04

    @classmethod
    def from_byte(cls, algorithm_byte: int) -> "Algorithm":
        """Return what a card's algorithm byte means: 00 and 01 both 3DES, 04 SM4.

        Raises:
            AlgorithmUnknown: any other byte.
        """
        if algorithm_byte in {0x00, 0x01}:
            return cls.TDES
        if algorithm_byte == cls.SM4:
            return cls.SM4
        raise AlgorithmUnknown(algorithm_byte)

    @property
    def block_size(self) -> int:
        """Bytes of one block: 8 or 16."""
        return 16 if self is Algorithm.SM4 else 8


def diversify(algorithm: Algorithm, key: bytes, factor: bytes) -> bytes:
    """Return the key one level down, 16 bytes (密钥分散).

    Args:
        key: 16 bytes.
        factor: 8 bytes: a region, an issuer, or the last 8 bytes of a card's serial number.

    Raises:
        ValueError: a length is wrong.
    """
    _check("key", key, 16)
    _check("factor", factor, 8)
    return encrypt(algorithm, key, factor + complement(factor))


def session_key(algorithm: Algorithm, key: bytes, seed: bytes) -> bytes:
    """Return the key of one transaction (过程密钥): 8 bytes under 3DES, 16 under SM4.

    Args:
        key: 16 bytes, as in the card.
        seed: 8 bytes; see campus_node/purse/mac.py.

    Raises:
        ValueError: a length is wrong.
    """
    _check("key", key, 16)
    _check("seed", seed, 8)
    return encrypt(algorithm, key, seed if algorithm is Algorithm.TDES else seed + complement(seed))


def session_mac(algorithm: Algorithm, session_key: bytes, message: bytes) -> bytes:
    """Return MAC1, MAC2 or MAC3, 4 bytes, with a session key.

    Args:
        session_key: 8 bytes (3DES) or 16 (SM4).
        message: any number of bytes; padding is added here.

    Raises:
        ValueError: the key's length is wrong.
    """
    _check("session key", session_key, algorithm.block_size)
    return _cbc_mac(algorithm, session_key, bytes(algorithm.block_size), message)


def tac_session_key(algorithm: Algorithm, tac_key: bytes) -> bytes:
    """Return the key that a TAC is really made with: 8 bytes under 3DES, 16 under SM4.

    Under 3DES it is the left half XOR the right half. Under SM4 it is the whole key: **unverified**, no
    public trace has an SM4 TAC with its key.

    Raises:
        ValueError: the key is not 16 bytes.
    """
    _check("TAC key", tac_key, 16)
    return tac_key if algorithm is Algorithm.SM4 else _halves_xored(tac_key)


def tac(algorithm: Algorithm, tac_key: bytes, message: bytes) -> bytes:
    """Return a TAC, 4 bytes (交易验证码).

    Args:
        tac_key: 16 bytes, as in the card.

    Raises:
        ValueError: the key is not 16 bytes.
    """
    return session_mac(algorithm, tac_session_key(algorithm, tac_key), message)


def pin_reload_mac(algorithm: Algorithm, key: bytes, new_pin: bytes) -> bytes:
    """Return the MAC of RELOAD PIN, 4 bytes: made as a TAC is, over the new PIN alone.

    Under SM4 **unverified**, as the TAC is.

    Raises:
        ValueError: the key is not 16 bytes.
    """
    return tac(algorithm, key, new_pin)


def messaging_mac(algorithm: Algorithm, key: bytes, challenge: bytes, message: bytes) -> bytes:
    """Return the MAC of a secure message, 4 bytes.

    Under 3DES this is ISO/IEC 9797-1 algorithm 3 (retail MAC), with a key of 8 bytes a plain CBC-MAC.

    Args:
        key: 16 bytes; 8 for single DES.
        challenge: what GET CHALLENGE gave, 4, 8 or 16 bytes; zeros fill it up to a block.
        message: CLA, INS, P1, P2, Lc with the 4 bytes of the MAC counted, and the bytes before the MAC.

    Raises:
        ValueError: a length is wrong.
    """
    size = algorithm.block_size
    if len(challenge) not in {4, 8, 16} or len(challenge) > size:
        raise ValueError(f"the challenge has {len(challenge)} bytes, must be 4, 8 or, under SM4, 16")
    start = challenge.ljust(size, b"\0")
    if algorithm is Algorithm.TDES and len(key) == 16:
        last = _cbc_last(algorithm, key[:8], start, message)
        return encrypt(algorithm, key[:8], decrypt(algorithm, key[8:], last))[:4]
    return _cbc_mac(algorithm, key, start, message)


def messaging_encrypt(algorithm: Algorithm, key: bytes, plaintext: bytes) -> bytes:
    """Return the encrypted body of a secure message: length and plaintext, padded only if need be, in ECB.

    Args:
        key: 16 bytes.
        plaintext: up to 255 bytes.

    Raises:
        ValueError: a length is wrong.
    """
    _check("key", key, 16)
    if len(plaintext) > 255:
        raise ValueError(f"{len(plaintext)} bytes are too many, 255 at most")
    block = bytes([len(plaintext)]) + plaintext
    return encrypt(algorithm, key, pad(algorithm, block) if len(block) % algorithm.block_size else block)


def authentication(algorithm: Algorithm, key: bytes, challenge: bytes) -> bytes:
    """Return the cryptogram of EXTERNAL AUTHENTICATE, 8 bytes.

    Args:
        key: 16 bytes; 8 for single DES.
        challenge: 4 or 8 bytes under 3DES; 16 under SM4, whose result is folded into 8 bytes.

    Raises:
        ValueError: a length is wrong.
    """
    if algorithm is Algorithm.SM4:
        _check("challenge", challenge, 16)
        return _halves_xored(encrypt(algorithm, key, challenge))
    if len(challenge) not in {4, 8}:
        raise ValueError(f"the challenge has {len(challenge)} bytes, must be 4 or 8")
    return encrypt(algorithm, key, challenge.ljust(8, b"\0"))


def verify_mac(made: bytes, given: bytes, what: Sentence | str) -> None:
    """Compare a MAC or TAC with the one made here, without telling by time where they differ.

    Args:
        what: which MAC of what, for people.

    Raises:
        MacWrong: they differ.
    """
    if not hmac.compare_digest(made, given):
        raise MacWrong(Sentence("{what} is wrong", what=what))


def check_value(algorithm: Algorithm, key: bytes) -> bytes:
    """Return a key's check value (KCV), 3 bytes: may be shown, tells two keys apart, gives nothing away."""
    _check("key", key, 16)
    return encrypt(algorithm, key, bytes(algorithm.block_size))[:3]


def encrypt(algorithm: Algorithm, key: bytes, blocks: bytes) -> bytes:
    """Return whole blocks encrypted in ECB. Raise ValueError for a wrong key length or a broken block."""
    return _run(_cipher(algorithm, key, modes.ECB()).encryptor(), blocks)  # noqa: S305  # single blocks, as the card does


def decrypt(algorithm: Algorithm, key: bytes, blocks: bytes) -> bytes:
    """Return whole blocks decrypted in ECB. Raise ValueError for a wrong key length or a broken block."""
    return _run(_cipher(algorithm, key, modes.ECB()).decryptor(), blocks)  # noqa: S305


def pad(algorithm: Algorithm, message: bytes) -> bytes:
    """Return the message with 80 and then zeros up to a block; a whole block is added to whole blocks."""
    marked = message + b"\x80"
    return marked + bytes(-len(marked) % algorithm.block_size)


def complement(block: bytes) -> bytes:
    """Return the 8 bytes with every bit turned."""
    return (int.from_bytes(block, "big") ^ _ONES).to_bytes(8, "big")


def _cbc_mac(algorithm: Algorithm, key: bytes, start: bytes, message: bytes) -> bytes:
    return _cbc_last(algorithm, key, start, message)[:4]


def _cbc_last(algorithm: Algorithm, key: bytes, start: bytes, message: bytes) -> bytes:
    chained = _run(_cipher(algorithm, key, modes.CBC(start)).encryptor(), pad(algorithm, message))
    return chained[-algorithm.block_size :]


def _cipher(algorithm: Algorithm, key: bytes, mode: modes.ECB | modes.CBC) -> Cipher[modes.ECB | modes.CBC]:
    if algorithm is Algorithm.SM4:
        _check("key", key, 16)
        return Cipher(SM4(key), mode)
    if len(key) not in {8, 16}:
        raise ValueError(f"the key has {len(key)} bytes, must be 8 or 16")
    whole = key * 3 if len(key) == 8 else key + key[:8]  # 24 bytes: K, K, K is single DES
    return Cipher(TripleDES(whole), mode)


def _run(context: CipherContext, blocks: bytes) -> bytes:
    return context.update(blocks) + context.finalize()


def _halves_xored(whole: bytes) -> bytes:
    left, right = int.from_bytes(whole[:8], "big"), int.from_bytes(whole[8:], "big")
    return (left ^ right).to_bytes(8, "big")


def _check(what: str, given: bytes, length: int) -> None:
    if len(given) != length:
        raise ValueError(f"the {what} has {len(given)} bytes, must be {length}")
