"""The till's way to its gateway, as far as a sale needs it: `campus_node.terminal.uplink.Uplink` has it."""

from typing import Protocol

from campus_node.terminal.questions import Question
from campuscard.v1 import terminal_pb2 as wire


class Online(Protocol):
    """The gateway, which may be out of reach at any moment."""

    @property
    def connected(self) -> bool:
        """Whether a session stands."""

    def ask(self, asked: wire.AuthorizationAsked, now_s: float) -> Question:
        """Ask whether a card or a code may pay; whoever steps the uplink brings the answer.

        Raises:
            Overloaded: too many questions are open.
        """


class CutOff:
    """No gateway at all: a till that stands alone."""

    connected = False

    def ask(self, asked: wire.AuthorizationAsked, now_s: float) -> Question:
        """Raise AssertionError: nobody is asked while cut off."""
        raise AssertionError(f"asked for {asked.amount_fen} fen at {now_s} while cut off")
