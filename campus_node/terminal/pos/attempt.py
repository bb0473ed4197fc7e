"""One try to sell to the card that lies there, from the first look to an outcome: no error leaves it.

What comes back says whether anything may have been charged; the till only shows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse, get_balance, parse_balance
from campus_node.purse.errors import (
    CardLeft,
    CardRefused,
    KeyNotFound,
    NotFoundInCard,
    PinBlocked,
    PinWrong,
    PurseTooSmall,
    ReaderLost,
)
from campus_node.purse.outcome import Outcome
from campus_node.spending.refusals import Question, Refusal
from campus_node.spending.rides import fare_refused
from campus_node.terminal.journal import JournalFull, JournalUnwritable
from campus_node.terminal.pos.counter import Counter
from campus_node.terminal.pos.due import Answers, Due, Entered, Wanted, due_of
from campus_node.terminal.pos.reading import Seen, look
from campus_node.wording import Sentence
from federation.errors import CampusCardError, Refused, Tampered

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ended:
    """The card was told to pay; the outcome says what is known."""

    outcome: Outcome
    due: Due


@dataclass(frozen=True, slots=True)
class Open:
    """Questions are to be answered first. Nothing was charged.

    Args:
        tries_left: the PIN was wrong, and may be tried so often; None = it was not.
    """

    seen: Seen
    due: Due
    questions: Sequence[Question]
    tries_left: int | None = None


@dataclass(frozen=True, slots=True)
class RulesRefuse:
    """A rule says no. Nothing was charged."""

    why: Refusal
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class CardRefuses:
    """The card, the PSAM or the flow says no. Nothing was charged."""

    why: Sentence


@dataclass(frozen=True, slots=True)
class WrongPin:
    """The card says that the PIN is wrong. Nothing was charged. Args: tries_left: 0 to 15."""

    tries_left: int


@dataclass(frozen=True, slots=True)
class Left:
    """The card went. Nothing was charged. Args: psam: it was the PSAM that did not answer."""

    psam: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The journal failed: it must be opened again.

    Args:
        doubtful: the card may have been charged; else nothing was.
    """

    doubtful: bool


Stopped = RulesRefuse | CardRefuses | WrongPin | Left | Broken


def guarded(counter: Counter, act: Callable[[], Result], *, asks_psam: bool = True) -> Result | Stopped:
    """Return what an act gives, or why it stopped. Args: asks_psam: whether it may be the PSAM that went."""
    open_before = {recorded.opened_seq for recorded in counter.log.unsettled()}
    try:
        return act()
    except PurseTooSmall:
        return RulesRefuse(Refusal.PURSE_TOO_SMALL)
    except JournalFull:
        return RulesRefuse(Refusal.JOURNAL_FULL)
    except JournalUnwritable:
        open_now = {recorded.opened_seq for recorded in counter.log.unsettled()}
        return Broken(doubtful=bool(open_now - open_before))
    except (CardLeft, ReaderLost):
        return Left(psam=asks_psam and counter.sam.lost)
    except PinWrong as wrong:
        return WrongPin(wrong.tries_left)
    except PinBlocked:
        return CardRefuses(Sentence("the card's PIN is blocked: go to the card office"))
    except (KeyNotFound, NotFoundInCard):
        return CardRefuses(Sentence("this card is not admitted here"))
    except CardRefused as refusal:
        return CardRefuses(Sentence("this card does not work here ({sw})", sw=f"{refusal.sw:04X}"))
    except (Refused, Tampered) as refusal:
        return CardRefuses(_said(refusal))


def see(counter: Counter, card: CardChannel) -> Seen | Stopped:
    """Read the card."""
    ride = counter.settings.mode.by_stops
    return guarded(counter, lambda: look(card, counter.settings.layout, with_ride=ride), asks_psam=False)


def balance_of(counter: Counter, card: CardChannel) -> int | Stopped:
    """Read what the purse holds, in fen."""
    return guarded(counter, lambda: parse_balance(demand(card, get_balance(Purse.EP))), asks_psam=False)


def sell(
    counter: Counter, card: CardChannel, seen: Seen, wanted: Wanted, answers: Answers
) -> Ended | Open | Entered | Stopped:
    """Sell what is wanted to the card that was seen, unless something is against it."""

    def act() -> Ended | Open | Entered | Stopped:
        if wanted.mode.by_stops and not seen.takes_rides:
            return CardRefuses(Sentence("this card has no record of rides: pay the driver"))
        here = replace(wanted, terminal_id=counter.sam.terminal_id())
        due = due_of(here, seen.card_class, seen.ride, counter.moment, counter.values)
        if isinstance(due, Entered):
            return due
        if isinstance(due, Refusal):
            return RulesRefuse(due)
        decision = counter.decide(due, seen, answers)
        if decision.refusal is not None:
            return RulesRefuse(decision.refusal, due.amount_fen)
        if decision.questions:
            return Open(seen, due, decision.questions)
        return _charge(counter, card, seen, due, answers)

    return guarded(counter, act)


def _charge(
    counter: Counter, card: CardChannel, seen: Seen, due: Due, answers: Answers
) -> Ended | Open | Stopped:
    if due.amount_fen == 0 and seen.spent is None:
        return RulesRefuse(Refusal.AMOUNT_NOT_POSITIVE, 0)
    if due.fare is not None and due.fare.needs_fen > due.amount_fen:
        holds_fen = parse_balance(demand(card, get_balance(Purse.EP)))
        refusal = fare_refused(due.fare, holds_fen)
        if refusal is not None:
            return RulesRefuse(refusal, due.fare.needs_fen)
    try:
        return Ended(counter.pay(due, seen, card, answers.pin), due)
    except PinWrong as wrong:
        return Open(seen, due, (Question.CONFIRM,), wrong.tries_left)


def _said(refusal: CampusCardError) -> Sentence:
    first = refusal.args[0] if refusal.args else None
    return first if isinstance(first, Sentence) else Sentence("{cause}", cause=refusal)
