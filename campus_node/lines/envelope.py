"""The envelope: what keeps a stranger on the wire from reading, injecting, replaying and turning round.

    version1 ‖ session4 ‖ counter4 ‖ ciphertext ‖ tag8

AES-128-CCM with a tag of 8 bytes; the first 9 bytes are associated data. Pure: keys and counters are
arguments. Layout and reasons: docs/wire.md; vectors: tests/vectors/wire/envelope.txt.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from campus_node.lines.errors import Forged, FrameBroken, MessageSize, Replayed
from campus_node.lines.line import MESSAGE_BYTES_MAX
from campus_node.wording import Sentence

VERSION: Final = 0x01
KEY_BYTES: Final = 16
TAG_BYTES: Final = 8
HEAD_BYTES: Final = 9
OVERHEAD_BYTES: Final = HEAD_BYTES + TAG_BYTES
PLAINTEXT_BYTES_MAX: Final = MESSAGE_BYTES_MAX - OVERHEAD_BYTES
SESSION_MAX: Final = 0xFFFF_FFFF
COUNTER_MAX: Final = 0xFFFF_FFFF
WINDOW: Final = 64  # counters below the highest accepted one that may still come


class Direction(IntEnum):
    """Who seals; the first byte of the nonce."""

    FROM_TERMINAL = 0x00
    FROM_HEAD = 0x01

    @property
    def other(self) -> "Direction":
        """The way back."""
        return Direction(1 - self)


class Label(NamedTuple):
    """What stands before the ciphertext, not yet believed."""

    session: int
    counter: int


def seal(key: bytes, session: int, counter: int, direction: Direction, plaintext: bytes) -> bytes:
    """Return an envelope. No pair of session and counter may be used twice under one key and direction.

    Args:
        key: 16 bytes.
        session: 1 to SESSION_MAX.
        counter: 1 to COUNTER_MAX.
        direction: who seals.
        plaintext: 0 to PLAINTEXT_BYTES_MAX bytes.

    Raises:
        MessageSize: the plaintext is too long.
        ValueError: session or counter out of range, or the key's length is wrong.

    Source: NIST SP 800-38C for CCM. Vector: tests/vectors/wire/envelope.txt.
    """
    if not (1 <= session <= SESSION_MAX and 1 <= counter <= COUNTER_MAX):
        raise ValueError(f"session {session}, counter {counter}: must be 1 to FFFFFFFF")
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise MessageSize(len(plaintext), PLAINTEXT_BYTES_MAX)
    head = bytes((VERSION,)) + session.to_bytes(4, "big") + counter.to_bytes(4, "big")
    return head + _cipher(key).encrypt(_nonce(direction, head), plaintext, head)


def label(envelope: bytes) -> Label:
    """Return session and counter of what looks like an envelope; only `open_sealed` proves them.

    Raises:
        FrameBroken: wrong version or length, or a zero where none may stand.
    """
    if not OVERHEAD_BYTES <= len(envelope) <= MESSAGE_BYTES_MAX or envelope[0] != VERSION:
        raise FrameBroken(Sentence("this is no envelope of version {version}", version=VERSION))
    found = Label(int.from_bytes(envelope[1:5], "big"), int.from_bytes(envelope[5:9], "big"))
    if not (found.session and found.counter):
        raise FrameBroken(Sentence("this is no envelope of version {version}", version=VERSION))
    return found


def open_sealed(key: bytes, envelope: bytes, direction: Direction) -> bytes:
    """Return the plaintext of an envelope. Whether it is a replay is for a `ReplayWindow` to say, afterwards.

    Args:
        key: 16 bytes.
        direction: who must have sealed it.

    Raises:
        FrameBroken: it is no envelope.
        Forged: the tag does not follow: changed, another key, session, counter or direction.
        ValueError: the key's length is wrong.
    """
    label(envelope)
    head, sealed = envelope[:HEAD_BYTES], envelope[HEAD_BYTES:]
    try:
        return _cipher(key).decrypt(_nonce(direction, head), sealed, head)
    except InvalidTag as wrong:
        raise Forged(Sentence("the tag of an envelope is wrong")) from wrong


class ReplayWindow:
    """Which counters were accepted: each once, none that is WINDOW or more behind the highest one."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0  # bit n: the counter n below the highest was accepted

    @property
    def highest(self) -> int:
        """The highest accepted counter; 0 before the first."""
        return self._highest

    def check(self, counter: int) -> None:
        """Raise Replayed if this counter was accepted, or is too old to tell. Changes nothing."""
        behind = self._highest - counter
        if counter < 1 or behind >= WINDOW or (behind >= 0 and self._seen >> behind & 1):
            raise Replayed(Sentence("message {counter} of a session came again", counter=counter))

    def accept(self, counter: int) -> None:
        """Note a counter whose envelope had the right tag. Raise Replayed as `check` does."""
        self.check(counter)
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self._highest = counter
        else:
            self._seen |= 1 << -ahead


def _nonce(direction: Direction, head: bytes) -> bytes:
    return bytes((direction,)) + head[1:] + bytes(4)


def _cipher(key: bytes) -> AESCCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes, must be {KEY_BYTES}")
    return AESCCM(key, tag_length=TAG_BYTES)
