"""The head's end of TCP lines: called by all terminals of a place."""

import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from campus_node.lines.errors import LineDown
from campus_node.lines.events import Event, What
from campus_node.lines.line import ALL, Peer
from campus_node.lines.tcp_connection import Connection, Stage
from campus_node.lines.tcp_frames import Reason
from campus_node.lines.tcp_line import HANDSHAKE_S_MAX, Called, Random, TcpLine
from campus_node.lines.tcp_link import BROAD, NEVER_S, Link, Tempo
from campus_node.wording import Sentence
from federation.errors import CampusCardError

STRANGERS_MAX: Final = 64  # connections without an identity yet
SILENT_AFTER_S: Final = 30.0  # without a connection; shorter breaks are the radio's daily business
EVENTS_MAX: Final = 1000


class TcpHeadLine(TcpLine):
    """The head's end: listens, and gives each terminal its address by its certificate.

    Args:
        name: for people.
        listener: a listening socket.
        context: see `tcp_tls.server_context`.
        admit: gives the address of a certificate (DER), 1 to 254; raises Refused if it is nobody's.
        tempo: BROAD, or METERED where bytes cost.
        random_bytes: names of ends.
    """

    def __init__(
        self,
        name: str,
        listener: socket.socket,
        context: ssl.SSLContext,
        admit: Callable[[bytes], Peer],
        *,
        random_bytes: Random,
        tempo: Tempo = BROAD,
    ) -> None:
        super().__init__(name, tempo, random_bytes)
        self._listener = listener
        self._context = context
        self._admit = admit
        self._strangers: list[Called] = []
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._lost_at_s: dict[Peer, float] = {}
        self._silent: set[Peer] = set()
        self._turned_away = 0
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def port(self) -> int:
        """Return the port that is listened on."""
        return int(self._listener.getsockname()[1])

    def drop(self, peer: Peer) -> None:
        """Cut a terminal's connection, if it has one: its certificate was revoked, or it is isolated."""
        with self._lock:
            called = self._calls.get(peer)
            if called is not None:
                self._part(called, Reason.STOPPING, self._now_s)

    def events(self) -> list[Event]:
        """Return what happened since the last call, oldest first; at most EVENTS_MAX are kept."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
            return events

    def _step_more(self, now_s: float) -> float:
        self._answer_calls(now_s)
        self._miss(now_s)
        for called in list(self._strangers):
            self._get_to_know(called, now_s)
        return min((c.connection.begun_at_s + HANDSHAKE_S_MAX for c in self._strangers), default=NEVER_S)

    def _answer_calls(self, now_s: float) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return  # nobody calls, a caller gave up, or no descriptor is left: the next step tries
            connection = Connection(raw, self._context, server=True, begun_at_s=now_s)
            self._strangers.append(Called(connection))
            if len(self._strangers) > STRANGERS_MAX:  # the oldest gives way: a flood does not lock the door
                self._forget_socket(self._strangers.pop(0).connection)

    def _get_to_know(self, called: Called, now_s: float) -> None:
        connection = called.connection
        try:
            connection.advance()
            if connection.stage is not Stage.OPEN:
                if now_s - connection.begun_at_s >= HANDSHAKE_S_MAX:
                    raise LineDown(Sentence("the other side is silent"))
                self._watch_one(connection)
                return
            peer = self._admit(connection.leaf())
        except CampusCardError as error:
            self._note(error)
            self._turned_away += 1
            if self._turned_away & (self._turned_away - 1) == 0:  # the first, and each time it has doubled
                self._events.append(Event(now_s, What.FOREIGN, ALL, self._turned_away))
            self._strangers.remove(called)
            self._forget_socket(connection)
            return
        self._strangers.remove(called)
        if peer not in self._links:
            self._links[peer] = Link(f"{self._name} {peer}", self._tempo, self._random, now_s)
        self._join(called, peer, now_s)

    def _miss(self, now_s: float) -> None:
        """Tell whose connection was lost and did not come back, and who is back."""
        for peer, link in self._links.items():
            if link.connected:
                self._lost_at_s.pop(peer, None)
                if peer in self._silent:
                    self._silent.discard(peer)
                    self._events.append(Event(now_s, What.PEER_BACK, peer))
                continue
            lost_for_s = now_s - self._lost_at_s.setdefault(peer, now_s)
            if lost_for_s >= SILENT_AFTER_S and peer not in self._silent:
                self._silent.add(peer)
                self._events.append(Event(now_s, What.PEER_SILENT, peer))

    def _close_more(self) -> None:
        for called in self._strangers:
            self._forget_socket(called.connection)
        self._selector.unregister(self._listener)
        self._listener.close()
