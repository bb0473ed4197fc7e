"""What every screen of a terminal process offers, and what is said on it beside what the till says."""

from dataclasses import replace
from typing import Final, Protocol

from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.view import Mood, View
from campus_node.terminal.tty_view import TtyView
from campus_node.wording import Sentence

NEVER_S: Final = float("inf")


class Screen(Protocol):
    """A screen with keys."""

    @property
    def port(self) -> int:
        """Where a browser finds it; 0 = nowhere."""

    @property
    def descriptor(self) -> int | None:
        """Readable when somebody types; None = nobody can, or keys come by themselves."""

    def show(self, view: View, now_s: float) -> float:
        """Show a view; return when to be called again though nothing has changed."""

    def typed(self) -> list[Key | bytes]:
        """Return what was typed; the descriptor can be read."""

    def close(self) -> None:
        """Let it go. May be called twice."""


class NoScreen:
    """A terminal without a screen: a tap in a wall, a test."""

    port = 0
    descriptor: int | None = None

    def show(self, view: View, now_s: float) -> float:  # noqa: ARG002 - nobody looks
        """See `Screen.show`."""
        return NEVER_S

    def typed(self) -> list[Key | bytes]:
        """See `Screen.typed`."""
        return []

    def close(self) -> None:
        """There is nothing to let go."""


class Shown:
    """A line display as a `Screen`. Args: view: on a terminal window."""

    port = 0

    def __init__(self, view: TtyView) -> None:
        self._view = view

    @property
    def descriptor(self) -> int | None:
        """See `Screen.descriptor`."""
        return self._view.descriptor

    def show(self, view: View, now_s: float) -> float:
        """See `Screen.show`."""
        return self._view.show(view, now_s)

    def typed(self) -> list[Key | bytes]:
        """See `Screen.typed`."""
        return self._view.typed()

    def close(self) -> None:
        """See `Screen.close`."""
        self._view.close()


def notices_on(view: View, *, reader_works: bool, unadmitted: bool, number: str, clock_valid: bool) -> View:
    """Return the view of a till that waits, with what the cashier should know while it does.

    Args:
        reader_works: the card reader is there.
        unadmitted: a gateway seems to be there and opens no session.
        number: the terminal's, for whoever registers it.
        clock_valid: the clock may be believed.
    """
    if not reader_works:
        lines = (Sentence("check the card reader and its cable"),)
        return replace(view, mood=Mood.BLOCKED, headline=Sentence("the card reader is away"), lines=lines)
    if not clock_valid:
        lines = (Sentence("it is set when the gateway is reached"),)
        return replace(view, mood=Mood.BLOCKED, headline=Sentence("the clock is not set"), lines=lines)
    if unadmitted:
        refusal = Sentence(
            "the gateway does not admit this terminal: is {number} registered here?", number=number
        )
        return replace(view, lines=(*view.lines, refusal))
    return view
