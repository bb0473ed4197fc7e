"""The terminal's end of a session, and what both ends share. Pure: instants, random bytes, numbers come in.

`TerminalSession` here and `HeadSessions` (head_sessions.py, the gateway's with all its terminals) take what
the line delivered and say what it was: plaintext for the caller, an answer for the line, both or neither.
Who drives them sends what `Taken.reply` holds and calls `TerminalSession.step` when it is due.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from campus_node.lines import handshake as shake
from campus_node.lines.envelope import (
    COUNTER_MAX,
    Direction,
    ReplayWindow,
    label,
    open_sealed,
    seal,
)
from campus_node.lines.errors import FrameBroken, SessionMissing, SessionSpent
from campus_node.wording import Sentence

RENEW_COUNTER: Final = 0xFFFF_0000  # from here on the next session is begun
SESSION_S_MAX: Final = 24 * 3600.0
HELLO_RETRY_S_MIN: Final = 0.5
HELLO_RETRY_S_MAX: Final = 30.0
HELLO_JITTER: Final = 0.25
RENEW_HINT_S: Final = 2.0  # an unauthenticated hint moves a HELLO at most this often
CHALLENGES_PER_HELLO_MAX: Final = 8  # each costs the PSAM a computation

Random = Callable[[int], bytes]


class Reservation(Protocol):
    """Where numbers come from; see reservations.py for one in a file."""

    def take(self) -> int:
        """Return a number from 1 to FFFFFFFF, higher than every one before, also before a restart.

        Raises:
            Unavailable, Refused: there is none; nothing was given out.
        """


class Taken(NamedTuple):
    """What became of a message.

    Args:
        plaintext: what the peer said, proven; None if it said nothing that concerns the caller.
        reply: to be sent back on the line, to the peer that the message came from.
        terminal_id: who said it, 6 bytes; only at the head, and only with a plaintext or a new session.
    """

    plaintext: bytes | None = None
    reply: bytes | None = None
    terminal_id: bytes | None = None


class Channel:
    """One session at one end: seals in one direction, opens the other.

    Args:
        number: the session's.
        keys: of this session only.
        direction: in which this end seals.
        opened_at_s: monotonic seconds.
    """

    def __init__(
        self, number: int, keys: shake.SessionKeys, direction: Direction, opened_at_s: float
    ) -> None:
        self.number = number
        self.keys = keys
        self.opened_at_s = opened_at_s
        self._direction = direction
        self._sealed = 0
        self._window = ReplayWindow()

    def seal(self, plaintext: bytes) -> bytes:
        """Return an envelope under the next counter. Raise SessionSpent, or MessageSize."""
        if self._sealed >= COUNTER_MAX:
            raise SessionSpent(Sentence("session {number} has no counter left", number=self.number))
        envelope = seal(self.keys.traffic, self.number, self._sealed + 1, self._direction, plaintext)
        self._sealed += 1
        return envelope

    def open(self, envelope: bytes) -> bytes:
        """Return the plaintext, once. Raise FrameBroken, Forged or Replayed; then nothing changed."""
        plaintext = open_sealed(self.keys.traffic, envelope, self._direction.other)
        self._window.accept(label(envelope).counter)
        return plaintext

    @property
    def renew_at_s(self) -> float:
        """When the next session ought to be begun."""
        used = max(self._sealed, self._window.highest)
        return self.opened_at_s + (0.0 if used >= RENEW_COUNTER else SESSION_S_MAX)

    def renewal_due(self, now_s: float) -> bool:
        """Tell whether the next session ought to be begun."""
        return now_s >= self.renew_at_s


@dataclass(frozen=True, slots=True)
class TerminalNames:
    """Who the terminal is and which key its PSAM has; see `handshake.Hello`."""

    terminal_id: bytes
    psam_serial: bytes
    usage: int
    key_version: int
    algorithm: int
    address: int = 0

    def hello(self, number: int, nonce: bytes) -> shake.Hello:
        """Return the HELLO of this terminal with this number, 1 to FFFFFFFF, and nonce, 8 bytes."""
        return shake.Hello(
            self.address, self.terminal_id, self.psam_serial,
            self.usage, self.key_version, self.algorithm, number, nonce,
        )  # fmt: skip


@dataclass(slots=True)
class _Begun:
    hello: shake.Hello
    challenges: int = 0


@dataclass(slots=True)
class _Retry:
    due_s: float = 0.0
    wait_s: float = HELLO_RETRY_S_MIN
    said_at_s: float = field(default=float("-inf"))


class TerminalSession:
    """The terminal's end.

    Args:
        names: who it is.
        source: the PSAM.
        numbers: of its HELLOs, durable.
        random_bytes: nonces, and jitter.
    """

    def __init__(
        self, names: TerminalNames, source: shake.SecretSource, numbers: Reservation, random_bytes: Random
    ) -> None:
        self._names = names
        self._source = source
        self._numbers = numbers
        self._random = random_bytes
        self._begun: _Begun | None = None
        self._current: Channel | None = None
        self._previous: Channel | None = None
        self._wanted = True
        self._retry = _Retry()

    @property
    def ready(self) -> bool:
        """Whether `seal` works."""
        return self._current is not None

    @property
    def due_s(self) -> float:
        """When `step` wants to be called: for the next HELLO, or when the session has been long enough."""
        if self._wanted or self._current is None:
            return self._retry.due_s
        return max(self._current.renew_at_s, self._retry.due_s)

    def step(self, now_s: float) -> bytes | None:
        """Return a HELLO to be sent if one is due. Raise what the reservation raises."""
        if self._current is not None and self._current.renewal_due(now_s):
            self._wanted = True
        if not self._wanted or now_s < self._retry.due_s:
            return None
        jitter = 1 + HELLO_JITTER * (self._random(1)[0] / 127.5 - 1)
        retry = self._retry
        retry.said_at_s = now_s
        retry.due_s = now_s + retry.wait_s * jitter  # also if no number can be had now
        retry.wait_s = min(retry.wait_s * 2, HELLO_RETRY_S_MAX)
        hello = self._names.hello(self._numbers.take(), self._random(shake.NONCE_BYTES))
        self._begun = _Begun(hello)
        return hello.encode()

    def seal(self, plaintext: bytes) -> bytes:
        """Return an envelope for the head. Raise SessionMissing, SessionSpent or MessageSize."""
        if self._current is None:
            raise SessionMissing(Sentence("no session stands with the head yet"))
        return self._current.seal(plaintext)

    def take(self, message: bytes, now_s: float) -> Taken:
        """Take what the line delivered.

        Raises:
            FrameBroken: it is none of ours.
            Forged, Replayed: a stranger, or the wire's own copy; nothing changed.
            Refused, Unavailable: what the PSAM raises.
        """
        match message[:1]:
            case b"\x01":
                return Taken(self._open(message))
            case b"\x12":
                return Taken(reply=self._answer(shake.Challenge.parse(message), now_s))
            case b"\x14":
                self._hint(shake.Renew.parse(message), now_s)
                return Taken()
        raise FrameBroken(Sentence("no message of this kind goes to a terminal"))

    def _open(self, envelope: bytes) -> bytes:
        number = label(envelope).session
        for channel in (self._current, self._previous):
            if channel is not None and channel.number == number:
                return channel.open(envelope)
        raise SessionMissing(Sentence("an envelope of session {number}, which is not ours", number=number))

    def _answer(self, challenge: shake.Challenge, now_s: float) -> bytes | None:
        begun = self._begun
        if begun is None or begun.challenges >= CHALLENGES_PER_HELLO_MAX:
            return None  # answered already, or a stranger makes the PSAM work
        begun.challenges += 1
        said = shake.transcript(begun.hello, challenge.session, challenge.nonce)
        keys = shake.derive(self._source, begun.hello, said)
        shake.verify_proof(keys, Direction.FROM_HEAD, said, challenge.proof)
        self._previous = self._current
        self._current = Channel(challenge.session, keys, Direction.FROM_TERMINAL, now_s)
        self._begun, self._wanted = None, False
        self._retry = _Retry(said_at_s=self._retry.said_at_s)
        return shake.Proof(challenge.session, shake.proof_of(keys, Direction.FROM_TERMINAL, said)).encode()

    def _hint(self, renew: shake.Renew, now_s: float) -> None:
        current = self._current
        if current is None or renew.session != current.number or self._wanted:
            return
        self._wanted = True
        self._retry = _Retry(
            max(now_s, self._retry.said_at_s + RENEW_HINT_S), said_at_s=self._retry.said_at_s
        )
