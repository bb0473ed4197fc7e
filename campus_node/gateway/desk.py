"""One line of the gateway and its sessions: what arrives is proven, read, passed on; answers are sealed (B3).

A desk is driven like the line itself, by one thread (`step`). Others reach it through `tell` and
`end_session`, which queue and wake it. No message of anybody makes `step` raise.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol, runtime_checkable

from campus_node.gateway.attendant import Act, Say, attend
from campus_node.lines import messages
from campus_node.lines.errors import FrameBroken, LineDown, Replayed
from campus_node.lines.events import Event
from campus_node.lines.handshake import HELLO, Hello
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import Line, Peer, Received
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import CampusCardError, NotIdentified, Tampered

MESSAGES_A_STEP_MAX: Final = 64
TOLD_MAX: Final = 1_024  # messages that wait to be sealed; whoever needs an answer repeats
RENEW_EVERY_S: Final = 10.0
NEVER_S: Final = float("inf")


class HeadLine(Line, Protocol):
    """The head's end of any wire."""

    def step(self, now_s: float) -> float: ...

    def descriptor(self) -> int | None: ...

    def events(self) -> list[Event]: ...


@runtime_checkable
class HearsOfForgery(Protocol):
    """A line that keeps a node off which forges again and again."""

    def report_forged(self, peer: Peer, times: int = 1) -> None: ...


@runtime_checkable
class Expecting(Protocol):
    """A line that asks its terminals in turn, and asks those first that should be there."""

    def expect(self, addresses: Iterable[int]) -> None: ...


@runtime_checkable
class Droppable(Protocol):
    """A line on which a terminal's connection can be cut."""

    def drop(self, peer: Peer) -> None: ...


class Floor(Protocol):
    """Whom a desk tells. Called by the desk's thread; never waits and never raises."""

    def isolated(self, terminal_id: bytes) -> bool:
        """Tell whether a terminal is kept off its line."""

    def acted(self, line: str, terminal_id: bytes, act: Act) -> None:
        """Take what a message leads to."""

    def began(self, line: str, peer: Peer, terminal_id: bytes) -> None:
        """Learn that a session begins."""

    def stranger(self, line: str, peer: Peer, terminal_id: bytes, why: str) -> None:
        """Learn that somebody asked for a session who gets none; the number is what it claims."""


class Counts:
    """What a desk counted since it was opened."""

    __slots__ = ("broken", "forged", "received", "replayed", "unsent")

    def __init__(self) -> None:
        self.received = self.broken = self.forged = self.replayed = self.unsent = 0


class LineDesk:
    """See the module.

    Args:
        line: open; the desk closes it.
        sessions: of this line alone.
        floor: whom it tells.
        clock: tells the time of messages.
    """

    def __init__(self, line: HeadLine, sessions: HeadSessions, floor: Floor, clock: Clock) -> None:
        self.line = line
        self.counts = Counts()
        self.places: dict[bytes, Peer] = {}  # where each terminal's session stands; read by any thread
        self.heard_unix_ms: dict[Peer, int] = {}
        self.down: LineDown | None = None
        self._sessions = sessions
        self._floor = floor
        self._clock = clock
        self._told: deque[tuple[bytes, wire.FromGateway, bool]] = deque()
        self._ending: deque[bytes] = deque()
        self._renew_at_s = 0.0
        self._wake: Callable[[], None] = _asleep

    @property
    def name(self) -> str:
        return self.line.name

    @property
    def wake(self) -> Callable[[], None]:
        """What ends the waiting of whoever drives this desk."""
        return self._wake

    @wake.setter
    def wake(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        if hasattr(self.line, "wake"):
            self.line.wake = wake

    def tell(self, terminal_id: bytes, message: wire.FromGateway, *, urgent: bool = False) -> bool:
        """Queue a message for a terminal; False if it has no session here or too much waits. Any thread."""
        if terminal_id not in self.places or len(self._told) >= TOLD_MAX:
            self.counts.unsent += 1
            return False
        self._told.append((terminal_id, message, urgent))
        self._wake()
        return True

    def end_session(self, terminal_id: bytes) -> None:
        """End a terminal's session soon: it is revoked, isolated, or has gone elsewhere. Any thread."""
        self._ending.append(terminal_id)
        self._wake()

    def descriptor(self) -> int | None:
        return self.line.descriptor()

    def close(self) -> None:
        self.line.close()

    def step(self, now_s: float) -> float:
        """Drive the line, take what arrived, send what waits; see `Stepped.step`."""
        due_s = self.line.step(now_s)
        try:
            while self._ending:
                self._end(self._ending.popleft())
            again = self._take_arrived(now_s)
            again = self._send_told() or again
            if now_s >= self._renew_at_s:
                self._renew_at_s = now_s + RENEW_EVERY_S
                for peer, renew in self._sessions.renewals_due(now_s):
                    self._send(peer, renew, urgent=False)
        except LineDown as error:
            self.down = error
            return NEVER_S
        return now_s if again else min(due_s, self._renew_at_s)

    def _take_arrived(self, now_s: float) -> bool:
        for _ in range(MESSAGES_A_STEP_MAX):
            received = self.line.receive(0)
            if received is None:
                return False
            self.counts.received += 1
            self.heard_unix_ms[received.peer] = self._clock.unix_ms()
            self._take(received, now_s)
        return True

    def _take(self, received: Received, now_s: float) -> None:
        peer, message = received
        try:
            taken = self._sessions.take(peer, message, now_s)
        except FrameBroken:
            self.counts.broken += 1
            return
        except NotIdentified as error:
            self._floor.stranger(self.name, peer, _claimed(message), str(error))
            return
        except Tampered as error:
            self._tampered(peer, error)
            return
        except CampusCardError:  # no number for a session can be had now: the terminal begins again
            self.counts.unsent += 1
            return
        if taken.reply is not None:
            self._send(peer, taken.reply, urgent=False)
        if taken.terminal_id is None:
            return
        if self.places.get(taken.terminal_id) != peer or taken.plaintext is None:
            self.places[taken.terminal_id] = peer
            self._floor.began(self.name, peer, taken.terminal_id)
        if taken.plaintext is not None:
            self._attend(taken.terminal_id, taken.plaintext)

    def _tampered(self, peer: Peer, error: Tampered) -> None:
        if isinstance(error, Replayed):  # the wire's own copy, or a stranger's: harmless
            self.counts.replayed += 1
            return
        self.counts.forged += 1
        if isinstance(self.line, HearsOfForgery):
            self.line.report_forged(peer)

    def _attend(self, terminal_id: bytes, plaintext: bytes) -> None:
        try:
            message = messages.from_terminal(plaintext)
        except FrameBroken:
            self.counts.broken += 1
            return
        isolated = self._floor.isolated(terminal_id)
        for act in attend(terminal_id, message, isolated, self._clock.unix_ms()):
            if isinstance(act, Say):
                self._told.append((terminal_id, act.message, False))
            else:
                self._floor.acted(self.name, terminal_id, act)

    def _send_told(self) -> bool:
        sent = False
        while self._told:
            terminal_id, message, urgent = self._told.popleft()
            try:
                envelope = self._sessions.seal(terminal_id, messages.write(message))
                peer = self._sessions.peer_of(terminal_id)
            except CampusCardError:  # its session is over: it asks again in the next one
                self.counts.unsent += 1
                continue
            sent = self._send(peer, envelope, urgent=urgent) or sent
        return sent

    def _send(self, peer: Peer, message: bytes, *, urgent: bool) -> bool:
        try:
            self.line.send(peer, message, urgent=urgent)
        except CampusCardError:  # too much waits, nobody is there, the line is down: the terminal repeats
            self.counts.unsent += 1
            return False
        return True

    def _end(self, terminal_id: bytes) -> None:
        self._sessions.close(terminal_id)
        peer = self.places.pop(terminal_id, None)
        if peer is not None and isinstance(self.line, Droppable):
            self.line.drop(peer)


def _claimed(message: bytes) -> bytes:
    """Return whom a HELLO names; empty if it is none."""
    return Hello.parse(message).terminal_id if message[:1] == bytes((HELLO,)) else b""


def _asleep() -> None:
    """No thread drives this desk."""
