"""What the messages of a line are: who begins a session, what is sealed, and with keys what it says.

Keys are derived from handshakes that were heard; a session that began before is not opened. Signatures of
notices are not checked: what is shown of a notice is what it claims.
"""

from collections import deque
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from campus_node.lines import handshake as shake
from campus_node.lines.envelope import (
    OVERHEAD_BYTES,
    Direction,
    ReplayWindow,
    label,
    open_sealed,
)
from campus_node.lines.errors import Forged, FrameBroken, Replayed
from campus_node.lines.line import HEAD
from campus_node.lines.monitor.inside import said_by_gateway, said_by_terminal
from campus_node.lines.monitor.notices import said_by_notice
from campus_node.lines.monitor.seen import Seen, message_seen
from campus_node.lines.notice import HEAD_BYTES as NOTICE_HEAD_BYTES
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import CampusCardError

HELLOS_KEPT: Final = 4  # of an address
SESSIONS_MAX: Final = 1024
_ALGORITHMS: Final = {0x00: "3DES", 0x01: "3DES", 0x04: "SM4"}


class Heard(NamedTuple):
    """A whole message between two ends."""

    source: int
    target: int
    message: bytes


class _Session(NamedTuple):
    keys: shake.SessionKeys
    windows: dict[Direction, ReplayWindow]


class Talk:
    """All conversations of one line.

    Args:
        source: where keys come from; None = what is sealed stays so.
        open_asn: show card numbers whole.
    """

    def __init__(self, source: shake.SecretSource | None = None, *, open_asn: bool = False) -> None:
        self.opened_count = 0
        self.sealed_count = 0  # that nobody could open here
        self._source = source
        self._open_asn = open_asn
        self._hellos: dict[int, deque[shake.Hello]] = {}
        self._sessions: dict[int, _Session] = {}

    def take(self, heard: Heard) -> list[Seen]:
        """Return what a message is, then what is inside of it; without time and place."""
        try:
            match heard.message[:1]:
                case b"\x01":
                    return self._envelope(heard)
                case b"\x11":
                    return [self._hello(heard)]
                case b"\x12":
                    return [self._challenge(heard)]
                case b"\x13":
                    return [_proof(heard.message)]
                case b"\x14":
                    return [_renew(heard.message)]
                case b"\x21":
                    return [self._notice(heard.message)]
        except FrameBroken as broken:
            words = Sentence("no message of ours: {reason}", reason=_reason(broken))
            return [message_seen("broken", words, True, bytes=len(heard.message))]
        words = Sentence("no message of ours, {bytes} bytes", bytes=len(heard.message))
        return [message_seen("foreign", words, True, bytes=len(heard.message))]

    # How sessions begin.

    def _hello(self, heard: Heard) -> Seen:
        hello = shake.Hello.parse(heard.message)
        self._hellos.setdefault(heard.source, deque(maxlen=HELLOS_KEPT)).append(hello)
        terminal, psam = hello.terminal_id.hex().upper(), hello.psam_serial.hex().upper()
        algorithm = _ALGORITHMS.get(hello.algorithm, f"{hello.algorithm:02X}")
        words = Sentence(
            "HELLO {number}: terminal {terminal}, PSAM {psam}, session key version {version}, {algorithm}",
            number=hello.number,
            terminal=terminal,
            psam=psam,
            version=hello.key_version,
            algorithm=algorithm,
        )
        fields = {
            "number": hello.number,
            "terminal_id": terminal,
            "psam_serial": psam,
            "usage": f"{hello.usage:02X}",
        }
        more = {"key_version": hello.key_version, "algorithm": algorithm, "address": hello.address}
        wrong = hello.address not in {0, heard.source} or heard.target != HEAD
        return message_seen("HELLO", words, wrong, **fields, **more)

    def _challenge(self, heard: Heard) -> Seen:
        challenge = shake.Challenge.parse(heard.message)
        known, why = self._derive(heard, challenge)
        words = Sentence("CHALLENGE: session {session}", session=challenge.session)
        if known:
            words = Sentence(
                "CHALLENGE: session {session}, its keys are known here", session=challenge.session
            )
        elif why is not None:
            words = Sentence(
                "CHALLENGE: session {session}; not to be opened here: {reason}",
                session=challenge.session,
                reason=why,
            )
        return message_seen("CHALLENGE", words, session=challenge.session, key_known=known)

    def _derive(self, heard: Heard, challenge: shake.Challenge) -> tuple[bool, Sentence | None]:
        """Find the HELLO that was answered and keep the session's keys; tell why that failed."""
        if self._source is None:
            return False, None
        why = Sentence("its HELLO was not heard")
        for hello in reversed(self._hellos.get(heard.target, ())):
            said = shake.transcript(hello, challenge.session, challenge.nonce)
            try:
                keys = shake.derive(self._source, hello, said)
                shake.verify_proof(keys, Direction.FROM_HEAD, said, challenge.proof)
            except CampusCardError as error:
                why = _reason(error)
                continue
            while len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            windows = {direction: ReplayWindow() for direction in Direction}
            self._sessions[challenge.session] = _Session(keys, windows)
            return True, None
        return False, why

    # What goes on in them.

    def _envelope(self, heard: Heard) -> list[Seen]:
        session, counter = label(heard.message)
        inside = len(heard.message) - OVERHEAD_BYTES
        fields: dict[str, object] = {"session": session, "counter": counter, "inside_bytes": inside}
        known = self._sessions.get(session)
        if known is None:
            self.sealed_count += 1
            words = Sentence(
                "sealed, session {session}, message {counter}, {bytes} bytes inside",
                session=session,
                counter=counter,
                bytes=inside,
            )
            return [message_seen("envelope", words, **fields)]
        direction = Direction.FROM_TERMINAL if heard.target == HEAD else Direction.FROM_HEAD
        try:
            plaintext = open_sealed(known.keys.traffic, heard.message, direction)
        except Forged:
            words = Sentence(
                "sealed, session {session}, message {counter}: the seal is wrong",
                session=session,
                counter=counter,
            )
            return [message_seen("envelope", words, True, **fields, forged=True)]
        self.opened_count += 1
        again = _again(known.windows[direction], counter)
        return self._inside(plaintext, direction, fields, again)

    def _inside(
        self, plaintext: bytes, direction: Direction, fields: dict[str, object], again: bool
    ) -> list[Seen]:
        said = said_by_terminal if direction is Direction.FROM_TERMINAL else said_by_gateway
        first, *rest = said(plaintext, open_asn=self._open_asn)
        words = Sentence(
            "session {session}, message {counter}: {said}",
            session=fields["session"],
            counter=fields["counter"],
            said=first.words,
        )
        if again:
            words = Sentence("{what} (came before: a copy, or a replay)", what=words)
        fields = {**fields, **first.fields, "again": again}
        return [message_seen(first.kind, words, again or first.trouble, **fields), *rest]

    def _notice(self, message: bytes) -> Seen:
        if len(message) <= NOTICE_HEAD_BYTES:
            raise FrameBroken(Sentence("this is no notice"))
        notice = wire.Notice()
        try:
            notice.ParseFromString(message[NOTICE_HEAD_BYTES:])
        except DecodeError as error:
            raise FrameBroken(Sentence("this is no notice")) from error
        return said_by_notice(notice, message[1:5].hex().upper(), open_asn=self._open_asn)


def _proof(message: bytes) -> Seen:
    proof = shake.Proof.parse(message)
    return message_seen(
        "PROOF", Sentence("PROOF: session {session}", session=proof.session), session=proof.session
    )


def _renew(message: bytes) -> Seen:
    renew = shake.Renew.parse(message)
    words = Sentence("RENEW: the head has no session {session}", session=renew.session)
    return message_seen("RENEW", words, session=renew.session)


def _again(window: ReplayWindow, counter: int) -> bool:
    try:
        window.accept(counter)
    except Replayed:
        return True
    return False


def _reason(error: CampusCardError) -> Sentence:
    told = error.args[0] if error.args else None
    return told if isinstance(told, Sentence) else Sentence("{text}", text=error)
