"""The head's end of all sessions of one line. Pure: instants, random bytes and numbers are arguments."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from campus_node.lines import handshake as shake
from campus_node.lines.envelope import Direction, label
from campus_node.lines.errors import Forged, FrameBroken, SessionMissing
from campus_node.lines.line import Peer
from campus_node.lines.sessions import RENEW_HINT_S, Channel, Random, Reservation, Taken
from campus_node.wording import Sentence

BEGUN_PER_PEER_MAX: Final = 4
BEGUN_S_MAX: Final = 5.0
HELLOS_PER_S_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class _Begun:
    peer: Peer
    terminal_id: bytes
    said: bytes
    channel: Channel


@dataclass(frozen=True, slots=True)
class _Standing:
    peer: Peer
    terminal_id: bytes
    channel: Channel


@dataclass(slots=True)
class _Place:
    """What is known of one address."""

    begun: deque[_Begun] = field(default_factory=deque)
    hellos: deque[float] = field(default_factory=deque)
    hinted_at_s: float = float("-inf")


class HeadSessions:
    """Sessions by terminal.

    Args:
        source: the counterpart of the PSAMs.
        numbers: of sessions, durable.
        random_bytes: nonces.
    """

    def __init__(self, source: shake.SecretSource, numbers: Reservation, random_bytes: Random) -> None:
        self._source = source
        self._numbers = numbers
        self._random = random_bytes
        self._places: dict[Peer, _Place] = {}
        self._by_number: dict[int, _Standing] = {}
        self._by_terminal: dict[bytes, _Standing] = {}

    def take(self, peer: Peer, message: bytes, now_s: float) -> Taken:
        """Take what the line delivered from an address.

        Raises:
            FrameBroken: it is none of ours.
            Forged, Replayed: a stranger, or the wire's own copy; nothing changed.
            Refused, Unavailable: what the source says of a HELLO.
        """
        match message[:1]:
            case b"\x01":
                return self._open(peer, message, now_s)
            case b"\x11":
                return self._answer(peer, shake.Hello.parse(message), now_s)
            case b"\x13":
                return self._prove(peer, shake.Proof.parse(message), now_s)
        raise FrameBroken(Sentence("no message of this kind goes to the head"))

    def seal(self, terminal_id: bytes, plaintext: bytes) -> bytes:
        """Return an envelope for a terminal. Raise SessionMissing, SessionSpent or MessageSize."""
        return self._standing(terminal_id).channel.seal(plaintext)

    def peer_of(self, terminal_id: bytes) -> Peer:
        """Return the address at which a terminal's session stands. Raise SessionMissing."""
        return self._standing(terminal_id).peer

    def terminals(self) -> dict[bytes, Peer]:
        """Return where each terminal with a session is; two at one address are a conflict."""
        return {terminal_id: standing.peer for terminal_id, standing in self._by_terminal.items()}

    def close(self, terminal_id: bytes) -> None:
        """End a terminal's session, if it has one, and what it has begun: it is revoked or was taken away."""
        standing = self._by_terminal.pop(terminal_id, None)
        if standing is not None:
            del self._by_number[standing.channel.number]
        for place in self._places.values():
            place.begun = deque(begun for begun in place.begun if begun.terminal_id != terminal_id)

    def renewals_due(self, now_s: float) -> list[tuple[Peer, bytes]]:
        """Return a RENEW for each terminal whose session ought to be followed by the next one."""
        return [
            (standing.peer, shake.Renew(number).encode())
            for number, standing in self._by_number.items()
            if standing.channel.renewal_due(now_s)
        ]

    def _open(self, peer: Peer, envelope: bytes, now_s: float) -> Taken:
        number = label(envelope).session
        standing = self._by_number.get(number)
        if standing is not None:
            if standing.peer != peer:
                raise Forged(Sentence("session {number} came from another address", number=number))
            return Taken(standing.channel.open(envelope), terminal_id=standing.terminal_id)
        begun = self._find_begun(peer, number, now_s)
        if begun is None:
            return self._hint(peer, number, now_s)
        plaintext = begun.channel.open(envelope)  # a right tag proves as much as a PROOF that was lost
        self._establish(begun)
        return Taken(plaintext, terminal_id=begun.terminal_id)

    def _answer(self, peer: Peer, hello: shake.Hello, now_s: float) -> Taken:
        if hello.address not in {0, peer}:
            raise FrameBroken(Sentence("a HELLO for another address"))
        place = self._places.setdefault(peer, _Place())
        while place.hellos and now_s - place.hellos[0] >= 1.0:
            place.hellos.popleft()
        if len(place.hellos) >= HELLOS_PER_S_MAX:
            return Taken()
        place.hellos.append(now_s)
        number, nonce = self._numbers.take(), self._random(shake.NONCE_BYTES)
        said = shake.transcript(hello, number, nonce)
        keys = shake.derive(self._source, hello, said)
        channel = Channel(number, keys, Direction.FROM_HEAD, now_s)
        place.begun.append(_Begun(peer, hello.terminal_id, said, channel))
        while len(place.begun) > BEGUN_PER_PEER_MAX:
            place.begun.popleft()
        proof = shake.proof_of(keys, Direction.FROM_HEAD, said)
        return Taken(reply=shake.Challenge(number, nonce, proof).encode())

    def _prove(self, peer: Peer, proof: shake.Proof, now_s: float) -> Taken:
        begun = self._find_begun(peer, proof.session, now_s)
        if begun is None:
            known = self._by_number.get(proof.session)
            return Taken() if known is not None else self._hint(peer, proof.session, now_s)
        shake.verify_proof(begun.channel.keys, Direction.FROM_TERMINAL, begun.said, proof.proof)
        self._establish(begun)
        return Taken(terminal_id=begun.terminal_id)

    def _find_begun(self, peer: Peer, number: int, now_s: float) -> _Begun | None:
        place = self._places.get(peer)
        if place is None:
            return None
        while place.begun and now_s - place.begun[0].channel.opened_at_s > BEGUN_S_MAX:
            place.begun.popleft()
        return next((begun for begun in place.begun if begun.channel.number == number), None)

    def _establish(self, begun: _Begun) -> None:
        self.close(begun.terminal_id)  # and whatever else it had begun
        standing = _Standing(begun.peer, begun.terminal_id, begun.channel)
        self._by_terminal[begun.terminal_id] = self._by_number[begun.channel.number] = standing

    def _hint(self, peer: Peer, number: int, now_s: float) -> Taken:
        place = self._places.setdefault(peer, _Place())
        if now_s - place.hinted_at_s < RENEW_HINT_S:
            return Taken()
        place.hinted_at_s = now_s
        return Taken(reply=shake.Renew(number).encode())

    def _standing(self, terminal_id: bytes) -> _Standing:
        standing = self._by_terminal.get(terminal_id)
        if standing is None:
            raise SessionMissing(
                Sentence("no session with terminal {terminal}", terminal=terminal_id.hex().upper())
            )
        return standing
