"""The head's end of a thin link (B3, A12)."""

import heapq
from typing import Final

from campus_node.lines.can.suspects import Suspects
from campus_node.lines.errors import PeerGone
from campus_node.lines.events import What
from campus_node.lines.line import ALL, HEAD, Peer, check_message, terminal_address
from campus_node.lines.thin.cells import Kind, cut
from campus_node.lines.thin.line import QUEUED_MAX, Random, ThinLine
from campus_node.lines.thin.radio import Radio
from campus_node.wording import Sentence
from federation.errors import Overloaded

NOTICE_TIMES: Final = 2
NOTICE_AGAIN_S: Final = 0.5


class ThinHeadLine(ThinLine):
    """The head's end. `send(ALL, …)` reaches everybody without an answer; it goes NOTICE_TIMES times.

    Args:
        name: what people call it.
        radio: its module, under the head's address.
        random_bytes: first numbers and jitter.
    """

    def __init__(self, name: str, radio: Radio, random_bytes: Random) -> None:
        super().__init__(name, radio, HEAD, random_bytes)
        self.suspects = Suspects()
        self._noticed = 0  # cells to all
        self.heard_s: dict[int, float] = {}

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`."""
        if peer == ALL:
            self._notice(message, urgent)
            return
        terminal_address(peer)
        if self.suspects.held(peer):
            raise PeerGone(Sentence("{address} is in quarantine", address=peer))
        super().send(peer, message, urgent=urgent)

    def report_forged(self, peer: Peer, times: int = 1) -> None:
        """Count messages under this address whose seal was wrong: the gateway's own evidence."""
        with self._lock:
            if event := self.suspects.saw(peer, What.FORGING, self._now_s, times):
                self.tell(event)

    def addresses(self) -> dict[int, float]:
        """Return who was heard, and when last, in monotonic seconds."""
        with self._lock:
            return dict(self.heard_s)

    def _notice(self, message: bytes, urgent: bool) -> None:
        check_message(message)
        with self._lock:
            self._demand_up()
            cells = cut(Kind.NOTICE, urgent, self._next_number(ALL), message)
            if len(self._cast) + NOTICE_TIMES * len(cells) > QUEUED_MAX * NOTICE_TIMES:
                raise Overloaded(retry_after_ms=1000)
            for at, cell in enumerate(cells * NOTICE_TIMES):
                self._noticed += 1
                not_before_s = self._now_s + at // len(cells) * NOTICE_AGAIN_S
                heapq.heappush(self._cast, (not_before_s, self._noticed, cell))
        self.wake()

    def _admits(self, source: Peer, now_s: float) -> bool:
        if source in {HEAD, ALL} or self.suspects.held(source):
            return False
        self.heard_s[source] = now_s
        return True

    def _admits_notice(self, source: Peer) -> bool:
        if source not in {HEAD, ALL}:
            self._suspect(source, self._now_s)  # only the head speaks to all
        return False

    def _suspect(self, source: Peer, now_s: float) -> None:
        if source not in {HEAD, ALL} and (event := self.suspects.saw(source, What.BROKEN, now_s)):
            self.tell(event)

    def _due(self, now_s: float) -> float:
        for event in self.suspects.release(now_s):
            self.tell(event)
        return now_s + 1.0 if self.suspects.all_held else float("inf")
