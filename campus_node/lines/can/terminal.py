"""A terminal's end of a CAN bus (B4.1)."""

from typing import Final

from campus_node.lines.can.broadcast import Gathering
from campus_node.lines.can.ids import (
    Frame,
    Functional,
    Multicast,
    Physical,
    Priority,
    Signal,
    Signalled,
)
from campus_node.lines.can.line import CanLine
from campus_node.lines.can.port import CanPort
from campus_node.lines.errors import FrameBroken, PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import HEAD, Peer, Received, terminal_address
from campus_node.wording import Sentence

ANSWER_WITHIN_S: Final = 2.0  # the head lets terminals wait for their turn; asking again keeps the place
ATTEMPTS: Final = 5
CONFLICT_EVERY_S: Final = 1.0


class TerminalLine(CanLine):
    """A terminal's end; its only peer is HEAD.

    Args:
        name: what people call it.
        port: its controller, with the filters of its address.
        address: 1 to 254.
        spread: 0 to 1, made of what tells this device from others, for example its serial number.
    """

    def __init__(self, name: str, port: CanPort, address: int, *, spread: float = 0.0) -> None:
        own = terminal_address(address)
        super().__init__(name, port, own, answer_within_s=ANSWER_WITHIN_S, attempts=ATTEMPTS, spread=spread)
        self._gathering = {Priority.P2: Gathering(), Priority.P6: Gathering()}
        self._conflict_s = -CONFLICT_EVERY_S
        self.broken_count = 0

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`. Raise PeerGone for anybody but HEAD."""
        if peer != HEAD:
            raise PeerGone(Sentence("a terminal reaches the head only, not {address}", address=peer))
        super().send(peer, message, urgent=urgent)

    def _take(self, frame: Frame, about: Physical | Functional | Signalled | Multicast, now_s: float) -> None:
        match about:
            case Physical(priority, self.own, source) if source == HEAD:
                self._feed(self._transfer(priority, HEAD), (priority, HEAD), frame, now_s)
            case Functional(priority, source) if source == HEAD:
                try:
                    message = self._gathering[priority].take(frame, now_s)
                except FrameBroken:
                    self.broken_count += 1
                else:
                    if message is not None:
                        self._deliver(Received(HEAD, message))
            case Signalled(signal, self.own) if signal is Signal.HEARTBEAT:
                if now_s - self._conflict_s >= CONFLICT_EVERY_S:
                    self._conflict_s = now_s
                    self.tell(Event(now_s, What.ADDRESS_CONFLICT, self.own, hint=True))
            case Signalled() | Multicast():
                for service in self._services:
                    service.take(frame, now_s)
