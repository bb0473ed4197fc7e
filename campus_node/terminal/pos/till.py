"""The till itself: keys, cards and time go in, a view comes out (B1.1, B2.1).

No thread, no sleep, no I/O of its own but card and PSAM channels and the journal. The states are in
docs/pos.md.
"""

from campus_node.purse.channel import CardChannel
from campus_node.purse.issuer import LoadAuthority
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.sam_session import SamSession
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.online import CutOff, Online
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import Key, TillSettings
from campus_node.terminal.pos.view import Mood, View
from campus_node.terminal.pos.wall_clock import WallClock
from campus_node.wording import Sentence


class Till:
    """One till. Not for several threads.

    Args:
        settings: what it is set up as.
        rules: parameters; whoever receives a version puts it there.
        hotlists: likewise.
        sam: the terminal's PSAM.
        log: on the terminal's journal; made with this clock.
        clock: the terminal's.
        online: the gateway.
        authority: the issuer of loads, for a load machine; None = loads are not to be had now.
    """

    def __init__(
        self,
        settings: TillSettings,
        rules: Rules,
        hotlists: Hotlists,
        *,
        sam: SamSession,
        log: MovementLog,
        clock: WallClock,
        online: Online = CutOff(),
        authority: LoadAuthority | None = None,
    ) -> None:
        self.settings = settings
        self._view = View(Mood.IDLE, Sentence("{merchant}", merchant=settings.merchant))

    @property
    def view(self) -> View:
        """What is on the screen."""
        return self._view

    @property
    def due_s(self) -> float:
        """When `step` is to be called again, at the latest; monotonic seconds."""
        return float("inf")

    def press(self, key: Key, now_s: float) -> View:
        """Take a key. Args: now_s: monotonic seconds."""
        return self._view

    def card(self, channel: CardChannel, now_s: float) -> View:
        """Take a card that was laid on the reader; a whole sale may happen before this returns.

        The channel is used until `card_gone`; closing it is the caller's.
        """
        return self._view

    def card_gone(self, now_s: float) -> View:
        """Note that nothing lies on the reader any more."""
        return self._view

    def code(self, scanned: bytes, now_s: float) -> View:
        """Take a pay code that was scanned, or typed in: 1 to 64 bytes."""
        return self._view

    def metered(self, units: int, now_s: float) -> View:
        """Note how many units the meter of a session has counted in all since the card was laid."""
        return self._view

    def step(self, now_s: float) -> View:
        """Let time pass: outcomes leave the screen, waiting ends, a session goes on."""
        return self._view
