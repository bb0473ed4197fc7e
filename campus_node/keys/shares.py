"""A secret cut into N shares: any M of them give it back, fewer say nothing about it (Shamir, over GF(256)).

Every byte of the secret is the value at 0 of its own random polynomial of degree M − 1; share x holds the
values at x. Addition is XOR; multiplication is modulo x⁸ + x⁴ + x³ + x + 1, as in AES.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from campus_node.wording import Sentence
from federation.errors import Misconfigured

SECRET_BYTES: Final = 32
SHARES_MAX: Final = 16
THRESHOLD_MIN: Final = 2  # with 1, every share would be the secret
CEREMONY_BYTES: Final = 4
_FORMAT: Final = 1
_CHECKSUM_BYTES: Final = 4
_LINE_BYTES: Final = 8
_HEAD_BYTES: Final = 4 + CEREMONY_BYTES
_SHARE_BYTES: Final = _HEAD_BYTES + SECRET_BYTES + _CHECKSUM_BYTES
LINES: Final = -(-_SHARE_BYTES // _LINE_BYTES)  # of a share on paper


def _tables() -> tuple[list[int], list[int]]:
    powers, logarithms = [0] * 510, [0] * 256
    value = 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logarithms[value] = exponent
        value ^= (value << 1) ^ (0x11B if value & 0x80 else 0)  # times 3, which generates all
        value &= 0xFF
    return powers, logarithms


_POWERS, _LOGARITHMS = _tables()


@dataclass(frozen=True, slots=True, repr=False)
class Share:
    """One custodian's share.

    Args:
        ceremony: 4 bytes, the same in all shares of one secret.
        threshold: how many are needed.
        number: 1 to 16; where the polynomials were evaluated.
        values: 32 bytes.
    """

    ceremony: bytes
    threshold: int
    number: int
    values: bytes

    def to_lines(self) -> list[str]:
        """Return the share as it is printed: lines of 8 bytes, each with a check byte that finds a slip."""
        encoded = self._encoded()
        return [
            " ".join([*_groups(encoded[at : at + _LINE_BYTES]), _line_check(at, encoded)])
            for at in range(0, len(encoded), _LINE_BYTES)
        ]

    def _encoded(self) -> bytes:
        head = bytes([_FORMAT, self.threshold, self.number, len(self.values)]) + self.ceremony
        return head + self.values + _checksum(head + self.values)


def parse_share(text: str) -> Share:
    """Return the share that somebody typed or a file holds.

    Raises:
        Misconfigured: it is none; the message names the line with the slip and says nothing of the share.
    """
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    encoded = bytearray()
    for number, line in enumerate(lines, start=1):
        try:
            typed = bytes.fromhex(line.replace(" ", ""))
        except ValueError:
            typed = b""
        part, check = typed[:-1], typed[-1:]
        if not part or len(part) > _LINE_BYTES or not hmac.compare_digest(check, _check(len(encoded), part)):
            raise Misconfigured(Sentence("line {number} of the share has a slip", number=number))
        encoded += part
    whole = bytes(encoded)
    body, checksum = whole[:-_CHECKSUM_BYTES], whole[-_CHECKSUM_BYTES:]
    if len(whole) != _SHARE_BYTES or body[0] != _FORMAT or not hmac.compare_digest(checksum, _checksum(body)):
        raise Misconfigured(
            Sentence("this is no whole share: a line is missing, or twice, or in the wrong place")
        )
    return Share(body[4:_HEAD_BYTES], body[1], body[2], body[_HEAD_BYTES:])


def split(
    secret: bytes, threshold: int, count: int, ceremony: bytes, random_bytes: Callable[[int], bytes]
) -> list[Share]:
    """Return `count` shares of a secret, any `threshold` of which give it back.

    Args:
        secret: 32 bytes.
        random_bytes: makes the polynomials; must be a cryptographic source.

    Raises:
        Misconfigured: not 2 ≤ threshold ≤ count ≤ 16.
    """
    if not THRESHOLD_MIN <= threshold <= count <= SHARES_MAX:
        raise Misconfigured(
            Sentence(
                "{threshold} of {count} cannot be: at least {least} must be needed, of {most} at most",
                threshold=threshold,
                count=count,
                least=THRESHOLD_MIN,
                most=SHARES_MAX,
            )
        )
    assert len(secret) == SECRET_BYTES, "a root secret has 32 bytes"
    polynomials = [bytes([byte]) + random_bytes(threshold - 1) for byte in secret]
    return [
        Share(ceremony, threshold, x, bytes(_value_at(x, polynomial) for polynomial in polynomials))
        for x in range(1, count + 1)
    ]


def combine(shares: Sequence[Share]) -> bytes:
    """Return the secret of these shares; the first `threshold` of them are used.

    Raises:
        Misconfigured: too few, of different ceremonies, or one twice.
    """
    if not shares:
        raise Misconfigured(Sentence("no share was given"))
    first = shares[0]
    if any((share.ceremony, share.threshold) != (first.ceremony, first.threshold) for share in shares):
        raise Misconfigured(Sentence("these shares are of different ceremonies"))
    numbers = [share.number for share in shares]
    if len(set(numbers)) != len(numbers) or 0 in numbers:
        raise Misconfigured(Sentence("one of these shares was given twice"))
    if len(shares) < first.threshold:
        raise Misconfigured(
            Sentence(
                "{given} shares are too few: {needed} are needed", given=len(shares), needed=first.threshold
            )
        )
    used = shares[: first.threshold]
    weights = [_weight(share.number, [other.number for other in used]) for share in used]
    return bytes(
        _sum(_times(weight, share.values[at]) for weight, share in zip(weights, used, strict=True))
        for at in range(SECRET_BYTES)
    )


def _value_at(x: int, polynomial: bytes) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = _times(value, x) ^ coefficient
    return value


def _weight(x: int, all_x: Sequence[int]) -> int:
    """Return Lagrange's coefficient of x at 0."""
    weight = 1
    for other in all_x:
        if other != x:
            weight = _times(weight, _divided(other, other ^ x))
    return weight


def _times(a: int, b: int) -> int:
    return _POWERS[_LOGARITHMS[a] + _LOGARITHMS[b]] if a and b else 0


def _divided(a: int, b: int) -> int:
    return _POWERS[_LOGARITHMS[a] + 255 - _LOGARITHMS[b]] if a else 0


def _sum(terms: Iterable[int]) -> int:
    total = 0
    for term in terms:
        total ^= term
    return total


def _groups(part: bytes) -> list[str]:
    digits = part.hex().upper()
    return [digits[at : at + 4] for at in range(0, len(digits), 4)]


def _line_check(at: int, encoded: bytes) -> str:
    return _check(at, encoded[at : at + _LINE_BYTES]).hex().upper()


def _check(at: int, part: bytes) -> bytes:
    return hashlib.sha256(b"line %d " % at + part).digest()[:1]


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"campuscard share " + body).digest()[:_CHECKSUM_BYTES]
