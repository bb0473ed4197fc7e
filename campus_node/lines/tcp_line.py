"""TCP lines: what both ends have in common, and the terminal's end, which calls; the head's: tcp_head.py.

Both are driven by `step`, which never blocks, or by a `Drive`; `send` and `receive` may be called by any
thread. TLS with certificates of both sides; what a connection owes its peer is in tcp_link.py.
"""

import selectors
import socket
import ssl
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from campus_node.lines.errors import FrameBroken, LineDown, PeerGone
from campus_node.lines.line import HEAD, Peer, Received, check_message
from campus_node.lines.tcp_connection import Connection, Stage
from campus_node.lines.tcp_frames import FrameReader, Kind, Reason, encode
from campus_node.lines.tcp_link import BROAD, NEVER_S, Link, Tempo
from campus_node.wording import Sentence
from federation.errors import CampusCardError

RECEIVED_MAX: Final = 1024  # messages that wait for the caller; then nothing is read until there is room
HANDSHAKE_S_MAX: Final = 10.0
RETRY_S_MIN: Final = 0.5
RETRY_S_MAX: Final = 60.0
RETRY_JITTER: Final = 0.25
UNSENT_BYTES_MAX: Final = 65_536

Random = Callable[[int], bytes]


class Called:
    """A connection and what is known of it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reader = FrameReader()
        self.peer: Peer | None = None


class TcpLine:
    """What both ends have in common; see `TcpTerminalLine`, and `TcpHeadLine` in tcp_head.py."""

    def __init__(self, name: str, tempo: Tempo, random_bytes: Random) -> None:
        self.refused: deque[str] = deque(maxlen=100)  # why connections were given up, latest last
        self._name = name
        self._tempo = tempo
        self._random = random_bytes
        self._lock = threading.RLock()
        self._arrival = threading.Condition(self._lock)
        self._received: deque[Received] = deque()
        self._links: dict[Peer, Link] = {}
        self._calls: dict[Peer, Called] = {}
        self._selector = selectors.EpollSelector()  # has a descriptor itself, for whoever drives the line
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self._ring.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._closed = False
        self._parted = False  # then there is more to do at once
        self._now_s = 0.0

    @property
    def name(self) -> str:
        return self._name

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`; urgent messages are not batched and overtake what waits."""
        with self._lock:
            self._demand_open()
            check_message(message)
            link = self._links.get(peer)
            if link is None:
                raise PeerGone(Sentence("{address} does not answer on {name}", address=peer, name=self._name))
            link.push(bytes(message), urgent, self._now_s)
        self._wake()

    def receive(self, timeout_s: float) -> Received | None:
        """See `Line.receive`. Waiting is of use only while a thread drives the line."""
        with self._arrival:
            if not self._received and timeout_s > 0 and not self._closed:
                self._arrival.wait_for(lambda: self._received or self._closed, timeout_s)
            if self._received:
                if len(self._received) == RECEIVED_MAX:
                    self._wake()  # there is room to read again
                return self._received.popleft()
            self._demand_open()
            return None

    def connected(self) -> list[Peer]:
        """Return who is connected now."""
        with self._lock:
            return [peer for peer, link in self._links.items() if link.connected]

    def close(self) -> None:
        """See `Line.close`; says BYE to whoever is connected."""
        with self._arrival:
            if self._closed:
                return
            self._closed = True
            for called in list(self._calls.values()):
                self._part(called, Reason.STOPPING, self._now_s)
            self._close_more()
            self._received.clear()
            self._selector.close()
            self._arrival.notify_all()
            self._bell.close()
            self._ring.close()

    def wait(self, seconds: float) -> None:
        """Block until something can be done, or for so long: for who drives the line without a `Drive`."""
        try:
            self._selector.select(max(seconds, 0.0))
        except (OSError, ValueError, RuntimeError):
            if not self._closed:
                raise

    def descriptor(self) -> int | None:
        """Return what tells that something can be done; -1 once the line is closed. See `Drive`."""
        with self._lock:
            return -1 if self._closed else self._selector.fileno()

    def step(self, now_s: float) -> float:
        """See `Stepped.step`."""
        with self._lock:
            if self._closed:
                return NEVER_S
            self._now_s = now_s = max(now_s, self._now_s)
            self._drain_bell()
            due_s = self._step_more(now_s)
            for called in list(self._calls.values()):
                self._move(called, now_s)
            for peer, link in self._links.items():
                if peer not in self._calls:
                    link.output(now_s)  # what waits too long is dropped
                due_s = min(due_s, link.due_s())
            self._watch()
            room = len(self._received) < RECEIVED_MAX
            if self._parted or (room and any(called.connection.more for called in self._calls.values())):
                self._parted = False
                return now_s
            return max(due_s, now_s)

    @abstractmethod
    def _step_more(self, now_s: float) -> float:
        """Call, or answer calls; return when there is more to do."""

    @abstractmethod
    def _close_more(self) -> None:
        """Close what only this end has."""

    def _join(self, called: Called, peer: Peer, now_s: float) -> None:
        """Put an open connection to the use of a peer's link; an older one gives way."""
        older = self._calls.get(peer)
        if older is not None:
            self._part(older, Reason.REPLACED, now_s)
        called.peer = peer
        self._calls[peer] = called
        self._links[peer].connect(now_s)

    def _move(self, called: Called, now_s: float) -> None:
        assert called.peer is not None, "only connections with a peer are moved"
        link = self._links[called.peer]
        try:
            if len(self._received) < RECEIVED_MAX:
                for frame in called.reader.feed(called.connection.read()):
                    if frame.kind is Kind.BYE:
                        raise LineDown(Sentence("the other side closed the connection"))
                    message = link.take(frame, now_s)
                    if message is not None:
                        self._received.append(Received(called.peer, message))
                        self._arrival.notify_all()
            if link.dead(now_s):
                raise LineDown(Sentence("the other side is silent"))
            if called.connection.unsent_bytes < UNSENT_BYTES_MAX:
                called.connection.write(link.output(now_s))
            else:
                called.connection.write(b"")
        except FrameBroken as error:
            self._note(error)
            self._part(called, Reason.BROKEN, now_s)
        except LineDown as error:
            self._note(error)
            self._part(called, None, now_s)

    def _part(self, called: Called, reason: Reason | None, now_s: float) -> None:
        if reason is not None:
            try:
                called.connection.write(encode(Kind.BYE, bytes((reason,))))
            except LineDown as error:
                self._note(error)
        self._parted = True
        self._forget_socket(called.connection)
        if called.peer is not None and self._calls.get(called.peer) is called:
            del self._calls[called.peer]
            self._links[called.peer].disconnect(now_s)

    def _forget_socket(self, connection: Connection) -> None:
        if connection.fileno() in self._selector.get_map():
            self._selector.unregister(connection.fileno())
        connection.close()

    def _watch(self) -> None:
        """Tell the selector what to wait for."""
        readable = selectors.EVENT_READ if len(self._received) < RECEIVED_MAX else 0
        for called in self._calls.values():
            self._watch_one(called.connection, readable)

    def _watch_one(self, connection: Connection, readable: int = selectors.EVENT_READ) -> None:
        wanted = readable | (selectors.EVENT_WRITE if connection.wants_write else 0)
        known = self._selector.get_map().get(connection.fileno())
        if known is None and wanted:
            self._selector.register(connection.fileno(), wanted)
        elif known is not None and not wanted:
            self._selector.unregister(connection.fileno())
        elif known is not None and known.events != wanted:
            self._selector.modify(connection.fileno(), wanted)

    def _note(self, error: CampusCardError) -> None:
        self.refused.append(str(error))

    def _wake(self) -> None:
        try:
            self._ring.send(b"\0")
        except OSError:
            return  # it rings already, or the line was closed

    def _drain_bell(self) -> None:
        try:
            while self._bell.recv(4096):
                pass
        except BlockingIOError:
            return

    def _demand_open(self) -> None:
        if self._closed:
            raise LineDown(Sentence("the line {name} is closed", name=self._name))


class TcpTerminalLine(TcpLine):
    """The terminal's end: calls, and calls again, later and later, when the connection is lost.

    Args:
        name: for people.
        address: IP address and port of the head.
        server_name: a DNS name in the head's certificate.
        context: see `tcp_tls.client_context`.
        tempo: BROAD, or METERED where bytes cost.
        random_bytes: names of ends, jitter.
        now_s: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        server_name: str,
        context: ssl.SSLContext,
        *,
        random_bytes: Random,
        now_s: float,
        tempo: Tempo = BROAD,
    ) -> None:
        super().__init__(name, tempo, random_bytes)
        self._address = address
        self._server_name = server_name
        self._context = context
        self._now_s = now_s
        self._links[HEAD] = Link(name, tempo, random_bytes, now_s)
        self._calling: Called | None = None
        self._call_at_s: float | None = now_s
        self._wait_s = RETRY_S_MIN
        self.reached_s: float | None = None  # when a head with the right certificate last answered a call

    def _step_more(self, now_s: float) -> float:
        if HEAD in self._calls:
            if self._links[HEAD].connected:
                self._wait_s = RETRY_S_MIN
            self._call_at_s = None
            return NEVER_S
        if self._call_at_s is None:  # it was lost just now
            self._call_at_s = now_s + self._next_wait_s()
        if self._calling is None:
            if now_s < self._call_at_s:
                return self._call_at_s
            self._begin_call(now_s)
        if self._calling is not None:
            self._go_on_calling(self._calling, now_s)
        if self._calling is None:
            return now_s if self._call_at_s is None else self._call_at_s
        return self._calling.connection.begun_at_s + HANDSHAKE_S_MAX

    def _next_wait_s(self) -> float:
        wait_s = self._wait_s
        self._wait_s = min(wait_s * 2, RETRY_S_MAX)
        return wait_s * (1 + RETRY_JITTER * (self._random(1)[0] / 127.5 - 1))

    def _begin_call(self, now_s: float) -> None:
        self._call_at_s = now_s + self._next_wait_s()  # if this call comes to nothing
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        with ExitStack() as undo:
            try:
                raw = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
                raw.setblocking(False)
                raw.connect_ex(self._address)  # the outcome is asked for when the socket is writable
            except OSError as error:
                self._note(LineDown(Sentence("the connection failed: {cause}", cause=error)))
                return
            connection = Connection(
                raw, self._context, server=False, begun_at_s=now_s, server_name=self._server_name
            )
            undo.pop_all()
        self._calling = Called(connection)

    def _go_on_calling(self, called: Called, now_s: float) -> None:
        try:
            called.connection.advance()
            if now_s - called.connection.begun_at_s >= HANDSHAKE_S_MAX:
                raise LineDown(Sentence("the other side is silent"))
        except LineDown as error:
            self._note(error)
            self._calling = None
            self._forget_socket(called.connection)
            return
        if called.connection.stage is Stage.OPEN:
            self._calling = None
            self.reached_s = now_s
            self._join(called, HEAD, now_s)
        else:
            self._watch_one(called.connection)

    def _close_more(self) -> None:
        if self._calling is not None:
            self._forget_socket(self._calling.connection)
