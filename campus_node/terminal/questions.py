"""Questions of a terminal that want an answer before a deadline: may this card pay, what time is it. Pure."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from campus_node.terminal.pacing import NEVER_S, Patience, Random
from campuscard.v1 import terminal_pb2 as wire

REPEAT_S_MIN: Final = 0.5  # a card lies on the reader: a lost question is repeated sooner than records are
REPEAT_S_MAX: Final = 2.0
TIME_EVERY_S: Final = 3600.0
QUESTIONS_MAX: Final = 16


@dataclass(slots=True)
class Question:
    """May this card pay? Asked under one transfer id until it is answered or the deadline has passed.

    Args:
        asked: as the caller worded it.
        message_id: of the message, the same in each repeat.
        until_s: monotonic seconds; an answer that comes later decides nothing.
        answer: what the gateway said; None = nothing yet, or nothing in time.
        over: answered, or lapsed.
    """

    asked: wire.AuthorizationAsked
    message_id: int
    until_s: float
    due_s: float
    patience: Patience
    answer: wire.AuthorizationAnswered | wire.Unable | None = None
    over: bool = False

    @property
    def lapsed(self) -> bool:
        """Whether the deadline passed without an answer: nobody knows, the terminal sells as if offline."""
        return self.over and self.answer is None

    def message(self, now_s: float) -> wire.FromTerminal:
        """Return the question with the time that is left."""
        asked = wire.AuthorizationAsked()
        asked.CopyFrom(self.asked)
        asked.valid_for_ms = max(1, int((self.until_s - now_s) * 1000))
        return wire.FromTerminal(message_id=self.message_id, authorization=asked)


class Questions:
    """Those that are open. Args: random_bytes: of the jitter."""

    def __init__(self, random_bytes: Random) -> None:
        self._random = random_bytes
        self._open: list[Question] = []

    @property
    def full(self) -> bool:
        """Whether as many are open as there may be."""
        return len(self._open) >= QUESTIONS_MAX

    def ask(self, asked: wire.AuthorizationAsked, message_id: int, now_s: float) -> Question:
        """Begin to ask; it is over `asked.valid_for_ms` from now on."""
        patience = Patience(self._random, REPEAT_S_MIN, REPEAT_S_MAX)
        question = Question(asked, message_id, now_s + asked.valid_for_ms / 1000, now_s, patience)
        self._open.append(question)
        return question

    def begin(self, now_s: float) -> None:
        """A session began: ask again at once."""
        for question in self._open:
            question.due_s = now_s

    def lapse(self, now_s: float) -> None:
        """End those whose deadline has passed."""
        for question in self._open:
            question.over = question.over or now_s >= question.until_s
        self._open = [question for question in self._open if not question.over]

    def due(self, now_s: float) -> list[Question]:
        """Return those that ought to be sent now."""
        return [question for question in self._open if question.due_s <= now_s]

    def sent(self, question: Question, now_s: float) -> None:
        """Note that the line has taken a question."""
        question.due_s = question.patience.due_s(now_s)
        question.patience.lost()

    def take(self, answers: int, answer: wire.AuthorizationAnswered | wire.Unable) -> bool:
        """Take an answer; return whether it ended a question. Unable, too, is one: nothing was decided."""
        for question in self._open:
            named = answer.transfer_id if isinstance(answer, wire.AuthorizationAnswered) else None
            if named == question.asked.transfer_id or (named is None and answers == question.message_id):
                question.answer, question.over = answer, True
                self._open.remove(question)
                return True
        return False

    @property
    def lapse_s(self) -> float:
        """When the next question lapses."""
        return min((question.until_s for question in self._open), default=NEVER_S)

    @property
    def due_s(self) -> float:
        """When the next question is to be sent."""
        return min((question.due_s for question in self._open), default=NEVER_S)


class ToldTime(NamedTuple):
    """What the gateway said of the time.

    Args:
        unix_ms: ms since 1970, at the instant at_s of this terminal's monotonic clock.
        at_s: that instant.
        uncertainty_ms: the gateway's and half of the way there and back.
        asked: whether the way was measured; else nobody knows how old it is.
    """

    unix_ms: int
    at_s: float
    uncertainty_ms: int
    asked: bool


class TimeQuestion:
    """Asks for the time when a session begins and every hour. Args: random_bytes: of the jitter."""

    def __init__(self, random_bytes: Random) -> None:
        self._patience = Patience(random_bytes)
        self._asked_at_ms = 0
        self.due_s = -NEVER_S

    def begin(self) -> None:
        """A session began: ask at once."""
        self._patience.reset()
        self.due_s = -NEVER_S

    def message(self, now_s: float) -> wire.FromTerminal:
        """Return the question."""
        return wire.FromTerminal(time=wire.TimeAsked(asked_at_ms=max(1, round(now_s * 1000))))

    def sent(self, message: wire.FromTerminal, now_s: float) -> None:
        """Note that the line has taken it."""
        self._asked_at_ms = message.time.asked_at_ms
        self.due_s = self._patience.due_s(now_s)
        self._patience.lost()

    def take(self, told: wire.TimeTold, now_s: float) -> ToldTime | None:
        """Return what is to be made of an answer; None if it answers another question than the last one."""
        if not told.asked_at_ms:
            return ToldTime(told.sent_at_unix_ms, now_s, told.uncertainty_ms, asked=False)
        if told.asked_at_ms != self._asked_at_ms:
            return None
        self._asked_at_ms = 0
        self._patience.reset()
        self.due_s = now_s + TIME_EVERY_S
        half_ms = max(0, round(now_s * 1000) - told.asked_at_ms + 1) // 2
        return ToldTime(told.sent_at_unix_ms + half_ms, now_s, told.uncertainty_ms + half_ms, asked=True)
