"""What two ends of a TCP line owe each other over any number of connections: whole, in order, at most once.

Pure: a link knows neither sockets nor TLS nor a clock. It is told what arrived and when, and says which bytes
go out and when it wants to be asked again. docs/wire.md, "TCP".
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campus_node.lines.errors import FrameBroken, PeerGone
from campus_node.lines.tcp_frames import (
    END_BYTES,
    NO_END,
    NUMBER_MAX,
    Frame,
    Kind,
    Opening,
    encode,
    encode_message,
    encode_open,
    parse_open,
)
from campus_node.wording import Sentence
from federation.errors import Overloaded

QUEUED_MAX: Final = 256  # messages that are not taken yet
WINDOW: Final = 64  # of them on their way
WINDOW_BYTES: Final = 65_536
NEVER_S: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Tempo:
    """How a line spends bytes and patience; all in seconds and bytes.

    Args:
        ping_after_s: after so long without a byte from the other side it is asked for one.
        dead_after_s: after so long the connection is given up.
        gone_after_s: so long without a connection, and the peer counts as gone; what waits is dropped.
        batch_s: so long a message that is not urgent may wait for others.
        batch_bytes: with so many they go at once.
        taken_s: so long what arrived may wait to be acknowledged, if nothing else goes out.
    """

    ping_after_s: float = 15.0
    dead_after_s: float = 45.0
    gone_after_s: float = 60.0
    batch_s: float = 0.0
    batch_bytes: int = 0
    taken_s: float = 0.0


BROAD: Final = Tempo()
METERED: Final = Tempo(
    ping_after_s=240.0, dead_after_s=300.0, gone_after_s=600.0, batch_s=30.0, batch_bytes=1024, taken_s=5.0
)


class Link:
    """One end of the line to one peer.

    Args:
        name: of the peer, for people.
        tempo: how it works.
        random_bytes: draws the names of ends.
        now_s: when it begins; from here on the peer may take its time to connect.
    """

    def __init__(self, name: str, tempo: Tempo, random_bytes: Callable[[int], bytes], now_s: float) -> None:
        self._name = name
        self._tempo = tempo
        self._random = random_bytes
        self._end = random_bytes(END_BYTES)
        self._other = NO_END
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._urgent: deque[bytes] = deque()
        self._sent: deque[tuple[int, bytes]] = deque()
        self._sent_bytes = 0
        self._number = 0  # of the last message sent
        self._received = 0
        self._told = 0  # up to here the other side knows what arrived
        self._taken_since_s: float | None = None
        self._connected = False
        self._opened = False
        self._heard_at_s = now_s
        self._asked = False
        self._lost_at_s = now_s
        self._flush = False
        self._control = bytearray()

    @property
    def connected(self) -> bool:
        """Whether there is a connection on which the other side has said OPEN."""
        return self._opened

    def gone(self, now_s: float) -> bool:
        """Tell whether the peer was away for so long that nothing waits for it any more."""
        return not self._opened and now_s - self._lost_at_s >= self._tempo.gone_after_s

    def push(self, message: bytes, urgent: bool, now_s: float) -> None:
        """Queue a message. Raise PeerGone or Overloaded."""
        if self.gone(now_s):
            raise PeerGone(Sentence("{name} is not connected", name=self._name))
        if len(self._waiting) + len(self._urgent) + len(self._sent) >= QUEUED_MAX:
            raise Overloaded(retry_after_ms=100)
        if urgent:
            self._urgent.append(message)
        else:
            self._waiting.append((now_s, message))

    def connect(self, now_s: float) -> None:
        """Begin on a new connection: OPEN goes out first."""
        self._connected, self._opened, self._asked = True, False, False
        self._heard_at_s = now_s
        self._control = bytearray(encode_open(Opening(self._end, self._other, self._received)))
        self._told, self._taken_since_s = self._received, None

    def disconnect(self, now_s: float) -> None:
        """The connection is gone; what was not taken waits for the next one."""
        if self._opened:
            self._lost_at_s = now_s
        self._connected = self._opened = False
        self._control.clear()
        if self._spent():
            self._begin_anew()

    def take(self, frame: Frame, now_s: float) -> bytes | None:
        """Take a frame and return the message in it, if there is one.

        Raises:
            FrameBroken: against the rules; give the connection up.
        """
        self._heard_at_s, self._asked = now_s, False
        if frame.kind is Kind.OPEN:
            self._take_open(parse_open(frame.body))
            return None
        if not self._opened:
            raise FrameBroken(Sentence("a connection that does not begin with OPEN"))
        match frame.kind:
            case Kind.MESSAGE:
                return self._take_message(frame.body, now_s)
            case Kind.TAKEN:
                self._drop_through(int.from_bytes(frame.body, "big"))
            case Kind.PING:
                self._control += encode(Kind.PONG)
        return None

    def output(self, now_s: float) -> bytes:
        """Return the bytes that go out now."""
        if not self._connected:
            if self.gone(now_s):
                self._forget()
            return b""
        if now_s - self._heard_at_s >= self._tempo.ping_after_s and not self._asked:
            self._asked = True
            self._control += encode(Kind.PING)
        out, self._control = self._control, bytearray()
        if self._opened:
            if self._batch_due_s() <= now_s:
                self._flush = True
            while self._flush and self._room() and (self._urgent or self._waiting):
                out += self._next_message()
            self._flush = self._flush and bool(self._waiting or self._urgent)
            since_s = self._taken_since_s
            if since_s is not None and (out or now_s >= since_s + self._tempo.taken_s):
                out += encode(Kind.TAKEN, self._received.to_bytes(4, "big"))
                self._told, self._taken_since_s = self._received, None
        return bytes(out)

    def dead(self, now_s: float) -> bool:
        """Tell whether to give the connection up: it was silent for too long, or all numbers are used."""
        silent = now_s - self._heard_at_s >= self._tempo.dead_after_s
        return self._connected and (silent or self._spent())

    def due_s(self) -> float:
        """Return when to call `output` and `dead` again, if nothing arrives and nothing is pushed."""
        if not self._connected:
            return self._lost_at_s + self._tempo.gone_after_s if self._keeps_something() else NEVER_S
        ask_s = self._heard_at_s + (self._tempo.dead_after_s if self._asked else self._tempo.ping_after_s)
        taken_s = NEVER_S if self._taken_since_s is None else self._taken_since_s + self._tempo.taken_s
        batch_s = self._batch_due_s() if self._opened and self._room() else NEVER_S
        return min(ask_s, taken_s, batch_s)

    def _batch_due_s(self) -> float:
        if self._urgent or self._flush:
            return -NEVER_S if self._urgent or self._waiting else NEVER_S
        if not self._waiting:
            return NEVER_S
        if sum(len(message) for _, message in self._waiting) >= self._tempo.batch_bytes:
            return -NEVER_S
        return self._waiting[0][0] + self._tempo.batch_s

    def _room(self) -> bool:
        return len(self._sent) < WINDOW and self._sent_bytes < WINDOW_BYTES and self._number < NUMBER_MAX

    def _next_message(self) -> bytes:
        message = self._urgent.popleft() if self._urgent else self._waiting.popleft()[1]
        self._number += 1
        self._sent.append((self._number, message))
        self._sent_bytes += len(message)
        return encode_message(self._number, message)

    def _take_open(self, opening: Opening) -> None:
        if self._opened:
            raise FrameBroken(Sentence("a second OPEN on one connection"))
        if opening.end != self._other:  # another process: what the one before had not taken is lost
            if self._other != NO_END:
                self._sent.clear()
                self._sent_bytes = 0
                self._number = 0
            self._other, self._received, self._told = opening.end, 0, 0
        if opening.other == self._end:
            self._drop_through(opening.received)
        elif self._number and not (self._sent and self._sent[0][0] == 1):  # it met somebody else since
            self._begin_anew()
            raise FrameBroken(Sentence("an OPEN for another end"))
        self._opened = True
        for number, message in self._sent:
            self._control += encode_message(number, message)

    def _take_message(self, body: bytes, now_s: float) -> bytes | None:
        number = int.from_bytes(body[:4], "big")
        if number != self._received + 1:
            raise FrameBroken(Sentence("a message out of order on a connection"))
        self._received = number
        if self._taken_since_s is None:
            self._taken_since_s = now_s
        return body[4:]

    def _drop_through(self, received: int) -> None:
        if received > self._number or (self._sent and received < self._sent[0][0] - 1):
            raise FrameBroken(Sentence("messages are acknowledged that were never sent"))
        while self._sent and self._sent[0][0] <= received:
            self._sent_bytes -= len(self._sent.popleft()[1])

    def _spent(self) -> bool:
        return self._number == NUMBER_MAX and not self._sent

    def _keeps_something(self) -> bool:
        return bool(self._sent or self._waiting or self._urgent)

    def _forget(self) -> None:
        """Drop what waits. As another end, so that nobody takes the rest for the whole."""
        if self._keeps_something():
            self._waiting.clear()
            self._urgent.clear()
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._end, self._other = self._random(END_BYTES), NO_END
        self._sent.clear()
        self._sent_bytes = self._number = self._received = self._told = 0
