"""Questions that are open about a sale: the same again, confirmation, PIN. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from campus_node.purse.presenting import Pin
from campus_node.spending.refusals import Question
from campus_node.terminal.pos import screens
from campus_node.terminal.pos.due import Answers, Due
from campus_node.terminal.pos.entry import pin_bytes, pin_typed
from campus_node.terminal.pos.settings import Consent, Key
from campus_node.terminal.pos.view import View

ASKED_S_MAX: Final = 30.0  # a question that nobody answers is dropped


@dataclass(frozen=True, slots=True)
class Asking:
    """A sale whose questions are open; with none left it waits for its card.

    Args:
        asn: of the card, 10 bytes.
        due: what it is to pay.
        questions: still open.
        answers: so far.
        consent: what answers the question for confirmation.
        until_s: when it is dropped; monotonic seconds.
        digits: of the PIN, as far as it is typed.
        tries_left: after a wrong PIN.
    """

    asn: bytes
    due: Due
    questions: tuple[Question, ...]
    answers: Answers
    consent: Consent
    until_s: float
    digits: str = ""
    tries_left: int | None = None

    @property
    def wants_pin(self) -> bool:
        """Whether the PIN is asked for now."""
        return self.questions[:1] == (Question.CONFIRM,) and self.consent is Consent.PIN

    def after(self, key: Key) -> "Asking":
        """Return what is open after a key; CANCEL is the till's to act on."""
        if self.wants_pin and key is not Key.OK:
            return replace(self, digits=pin_typed(self.digits, key))
        if key is not Key.OK:
            return self
        answers, digits = self.answers, pin_bytes(self.digits)
        if self.questions[0] is Question.REPEAT:
            answers = replace(answers, overridden=True)
        elif not self.wants_pin:
            answers = replace(answers, confirmed=True)
        elif digits is None:
            return self
        else:
            answers = replace(answers, confirmed=True, pin=Pin(digits))
        return replace(self, questions=self.questions[1:], answers=answers, digits="", tries_left=None)

    def view(self) -> View:
        """Return the screen of the question that is open; without one, of the card that is awaited."""
        if not self.questions:
            return screens.present_same(self.due.amount_fen)
        if self.wants_pin:
            return screens.pin(self.due, len(self.digits), self.tries_left)
        return screens.asked(self.questions[0], self.due)
