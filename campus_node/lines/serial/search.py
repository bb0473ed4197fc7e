"""Who is there, at which rate, and whether two share an address. Pure (B4.2, A12).

Two terminals of one address answer at once, and nobody understands them. A DISCOVER with a pattern is
answered only by those whose serial number's SHA-256 begins with it: bit by bit longer, until each is heard
alone."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

PATTERN_BITS_MAX: Final = 24
QUESTIONS_MAX: Final = 24


class Pattern(NamedTuple):
    """The first bits of the SHA-256 of a serial number."""

    bits: int
    value: int

    def encode(self) -> bytes:
        """Return the payload of DISCOVER: bits1 ‖ the bits, the last byte filled with zeros."""
        count = -(-self.bits // 8)
        return bytes((self.bits,)) + (self.value << (8 * count - self.bits)).to_bytes(count)

    def longer(self) -> tuple["Pattern", "Pattern"]:
        """Return the two patterns that are one bit longer."""
        return Pattern(self.bits + 1, self.value << 1), Pattern(self.bits + 1, self.value << 1 | 1)


def matches(payload: bytes, digest: bytes) -> bool:
    """Tell whether the payload of a DISCOVER asks for the serial number of this SHA-256."""
    bits = payload[0]
    count = -(-bits // 8)
    if not 1 <= bits <= PATTERN_BITS_MAX or len(payload) != 1 + count:
        return False
    rest = 8 * count - bits
    return int.from_bytes(payload[1:]) >> rest == int.from_bytes(digest[:count]) >> rest


def rate_payload(baud: int) -> bytes:
    """Return the payload of a DISCOVER that goes out at another rate: 00 ‖ the rate of the line, 3 bytes."""
    return b"\0" + baud.to_bytes(3)


def rate_told(payload: bytes) -> int | None:
    """Return the rate of the line that a DISCOVER tells, None if it tells none."""
    if len(payload) != 4 or payload[0]:
        return None
    return int.from_bytes(payload[1:]) or None


class Singling:
    """Tells those apart who share an address."""

    def __init__(self) -> None:
        self.serials: set[bytes] = set()
        self._questions = deque(Pattern(0, 0).longer())
        self._asked = 0

    @property
    def question(self) -> Pattern | None:
        """What to ask next; None when all is known that can be."""
        return self._questions[0] if self._questions and self._asked < QUESTIONS_MAX else None

    def answered(self, serial: bytes | None, broken: bool) -> None:
        """Take what came of the question: a serial number, bytes that nobody understands, or nothing."""
        pattern = self._questions.popleft()
        self._asked += 1
        if serial is not None:
            self.serials.add(serial)
        elif broken and pattern.bits < PATTERN_BITS_MAX:
            self._questions.extend(pattern.longer())


class Rota:
    """Whom to look for next among those who may be there: each in turn, and never all at once.

    Args:
        addresses: to begin with.
    """

    def __init__(self, addresses: Iterable[int]) -> None:
        self._waiting: deque[int] = deque(addresses)

    def add(self, address: int) -> None:
        """Put an address at the end, if it is not there."""
        if address not in self._waiting:
            self._waiting.append(address)

    def remove(self, address: int) -> None:
        """Look for it no more."""
        if address in self._waiting:
            self._waiting.remove(address)

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> int | None:
        """Return the next address, which goes to the end."""
        if not self._waiting:
            return None
        address = self._waiting.popleft()
        self._waiting.append(address)
        return address
