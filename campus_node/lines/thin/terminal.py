"""A terminal's end of a thin link (B3)."""

from campus_node.lines.errors import PeerGone
from campus_node.lines.line import HEAD, Peer, terminal_address
from campus_node.lines.thin.line import Random, ThinLine
from campus_node.lines.thin.radio import Radio
from campus_node.wording import Sentence


class ThinTerminalLine(ThinLine):
    """A terminal's end; its only peer is HEAD.

    Args:
        name: what people call it.
        radio: its module, under its address.
        address: 1 to 254.
        random_bytes: first number and jitter.
    """

    def __init__(self, name: str, radio: Radio, address: int, random_bytes: Random) -> None:
        super().__init__(name, radio, terminal_address(address), random_bytes)

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`. Raise PeerGone for anybody but HEAD."""
        if peer != HEAD:
            raise PeerGone(Sentence("a terminal reaches the head only, not {address}", address=peer))
        super().send(peer, message, urgent=urgent)

    def _admits(self, source: Peer, _now_s: float) -> bool:
        return source == HEAD

    def _admits_notice(self, source: Peer) -> bool:
        return source == HEAD
