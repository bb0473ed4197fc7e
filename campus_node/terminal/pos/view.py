"""What stands on the till's screen, whatever screen it is: a line display, a browser. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campus_node.wording import Sentence


class Mood(StrEnum):
    """What the screen says at a glance: colour and lamp."""

    IDLE = "idle"
    ASKING = "asking"
    WORKING = "working"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # state unknown, present the same card; never: failed, try again
    BLOCKED = "blocked"  # nothing is sold until somebody does something about it


class Sound(StrEnum):
    """What is heard when the view appears."""

    SILENT = "silent"
    KEY = "key"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ALARM = "alarm"


OFFLINE: Final = Sentence("OFFLINE")
ONLINE: Final = Sentence("online")


@dataclass(frozen=True, slots=True)
class View:
    """One screen.

    Args:
        mood: what kind of a moment it is.
        headline: one sentence; what is most needed.
        lines: more, in order: a bill, what to do.
        amount_fen: what is to be paid, or was; None = nothing is shown.
        balance_fen: what the card holds then, as far as it is known.
        online: whether the gateway is within reach.
        sound: heard once, when this view appears.
    """

    mood: Mood
    headline: Sentence
    lines: tuple[Sentence, ...] = ()
    amount_fen: int | None = None
    balance_fen: int | None = None
    online: bool = False
    sound: Sound = Sound.SILENT

    @property
    def mark(self) -> Sentence:
        """Whether the till is cut off: every rendering shows it, always at the same place."""
        return ONLINE if self.online else OFFLINE


def yuan(fen: int) -> str:
    """Return an amount as people read it: 1205 is 12.05."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"
