"""Every screen of the till: what is shown and heard at each moment. Pure; the table is in docs/pos.md."""

from collections.abc import Mapping
from typing import Final

from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.outcome import Outcome
from campus_node.spending.refusals import ASKED, SAID, Question, Refusal
from campus_node.spending.rides import Fare, Paid
from campus_node.spending.tariffs import Bill, Line, LineKind
from campus_node.terminal.pos.due import Due
from campus_node.terminal.pos.settings import Mode
from campus_node.terminal.pos.view import Mood, Sound, View, yuan
from campus_node.wording import Sentence

HUNDREDTHS: Final = 100
NEEDS_SOMEBODY: Final = frozenset({Refusal.CLOCK_INVALID, Refusal.JOURNAL_FULL, Refusal.PSAM_SUSPECT})
LAY: Final = Sentence("lay the card on the reader")
SAME_CARD: Final = Sentence("state unknown: present the same card")
ISSUER_DECIDES: Final = Sentence("state unknown: the card's campus decides")
OTHER_CARD: Final = Sentence("this is another card: present the same card")
WRONG_MAC: Final = Sentence("this card's answer is wrong: hand over nothing")
NOT_CHECKED: Final = Sentence("state unknown: the card says paid, and nobody has checked it")
NOTHING_CHARGED: Final = Sentence("nothing was charged")
FAILED: Final = Sentence("the journal failed: nothing is sold until the terminal starts again")
FIRST: Final[Mapping[Mode, Sentence]] = {
    Mode.KEYPAD: Sentence("type the amount"),
    Mode.MENU: Sentence("type the number of an item, then +"),
    Mode.LOAD: Sentence("type the amount to be loaded"),
}
ACCOUNT_REFUSALS: Final[Mapping[int, Sentence]] = {
    6: Sentence("a person at the campus decides about this amount"),
    19: Sentence("there is not enough money in this account"),
    22: Sentence("this code or card is not known"),
    23: Sentence("this account is blocked: go to the card office"),
}
RIDES: Final[Mapping[Paid, Sentence]] = {
    Paid.FLAT: Sentence("ride"),
    Paid.ENTRY: Sentence("the ride begins: hold the card to the exit, too"),
    Paid.EXIT: Sentence("the ride ends"),
    Paid.NO_ENTRY: Sentence("no entrance was recorded: the whole way is charged"),
    Paid.NOT_ENDED: Sentence("a ride was not ended: the whole way is charged"),
}


def idle(merchant: str, mode: Mode) -> View:
    """Nothing is going on."""
    return View(Mood.IDLE, Sentence("{merchant}", merchant=merchant), (FIRST.get(mode, LAY),))


def entering(amount_fen: int, text: str, *, ready: bool) -> View:
    """Something was typed."""
    lines = (Sentence("{text}", text=text), LAY) if ready else (Sentence("{text}", text=text),)
    return View(Mood.IDLE, Sentence("to pay"), lines, amount_fen, sound=Sound.KEY)


def choosing(items: tuple[tuple[int, int], ...], text: str) -> View:
    """Items of the menu were chosen; what they cost depends on the card."""
    lines = tuple(Sentence("item {item} x {count}", item=item, count=count) for item, count in items)
    shown = (*lines, Sentence("{text}", text=text)) if text else lines
    return View(Mood.IDLE, Sentence("chosen"), (*shown, LAY), sound=Sound.KEY)


def refused(why: Refusal, amount_fen: int | None = None, *, alarm: bool = False) -> View:
    """The rules say no. Nothing was charged."""
    mood = Mood.BLOCKED if why in NEEDS_SOMEBODY else Mood.REFUSED
    loud = alarm or why is Refusal.CARD_LISTED
    return View(mood, SAID[why], (), amount_fen, sound=Sound.ALARM if loud else Sound.REFUSED)


def refused_by_card(why: Sentence, amount_fen: int | None = None) -> View:
    """The card, the PSAM or a flow says no. Nothing was charged."""
    return View(Mood.REFUSED, why, (), amount_fen, sound=Sound.REFUSED)


def left_early(amount_fen: int | None) -> View:
    """The card or the PSAM went before anything could move."""
    lines = (Sentence("nothing was charged: lay it on the reader again"),)
    return View(Mood.REFUSED, Sentence("the card left too early"), lines, amount_fen, sound=Sound.REFUSED)


def psam_silent(amount_fen: int | None) -> View:
    """The PSAM does not answer, so nothing can be sold to anybody."""
    lines = (NOTHING_CHARGED,)
    headline = Sentence("this terminal's PSAM does not answer")
    return View(Mood.BLOCKED, headline, lines, amount_fen, sound=Sound.ALARM)


def failed(*, doubtful: bool) -> View:
    """The journal's storage failed; with doubtful, perhaps after the card was told to pay."""
    if doubtful:
        return View(Mood.UNKNOWN, SAME_CARD, (FAILED,), sound=Sound.UNKNOWN)
    return View(Mood.BLOCKED, FAILED, (NOTHING_CHARGED,), sound=Sound.ALARM)


def asked(question: Question, due: Due) -> View:
    """A question is open that OK answers."""
    who = (
        Sentence("OK or cancel")
        if question is Question.REPEAT
        else Sentence("the cardholder confirms: OK or cancel")
    )
    return View(Mood.ASKING, ASKED[question], (*due_lines(due), who), due.amount_fen, sound=Sound.KEY)


def pin(due: Due, digits: int, tries_left: int | None = None) -> View:
    """The cardholder types the PIN.

    Args:
        digits: how many there are so far.
        tries_left: after a wrong one.
    """
    wrong = () if tries_left is None else (wrong_pin(tries_left),)
    stars = Sentence("{stars}", stars="*" * digits)
    lines = (*due_lines(due), *wrong, stars)
    return View(Mood.ASKING, Sentence("type the PIN, then OK"), lines, due.amount_fen, sound=Sound.KEY)


def wrong_pin(tries_left: int) -> Sentence:
    """Return how often a PIN may be tried again, for people."""
    return Sentence("wrong PIN: {left} tries are left", left=tries_left)


def present_same(amount_fen: int | None) -> View:
    """The question is answered, and the card is away."""
    return View(Mood.ASKING, Sentence("present the same card"), (), amount_fen)


def outcome_of(outcome: Outcome, due: Due, *, trusted: bool) -> View:
    """What became of a sale.

    Args:
        trusted: the PSAM has checked it, or it is within what is sold at the terminal's own risk.
    """
    lines = due_lines(due)
    match outcome.state:
        case State.DONE if trusted:
            return accepted(due.amount_fen, outcome.balance_fen, lines, ride=due.fare is not None)
        case State.DONE:
            return View(Mood.UNKNOWN, NOT_CHECKED, lines, due.amount_fen, sound=Sound.UNKNOWN)
        case State.VOID:
            return refused_by_card(Sentence("the card did not pay: nothing was charged"), due.amount_fen)
    return doubtful(outcome.reason, due.amount_fen)


def accepted(
    amount_fen: int, balance_fen: int | None, lines: tuple[Sentence, ...] = (), *, ride: bool = False
) -> View:
    """It is paid."""
    headline = Sentence("have a good ride") if ride else Sentence("paid")
    return View(Mood.ACCEPTED, headline, lines, amount_fen, balance_fen, sound=Sound.ACCEPTED)


def doubtful(reason: Reason, amount_fen: int | None, *, written: bool = False) -> View:
    """Nobody here knows, or the card's proof is false.

    Args:
        written: it was given up and is written down: the till serves others.
    """
    if reason is Reason.MAC_WRONG:
        return View(Mood.REFUSED, WRONG_MAC, (), amount_fen, sound=Sound.ALARM)
    if reason is not Reason.TORN:
        return View(Mood.UNKNOWN, ISSUER_DECIDES, (), amount_fen, sound=Sound.UNKNOWN)
    more = (Sentence("it is written down; this card settles it whenever it comes back"),) if written else ()
    return View(Mood.UNKNOWN, SAME_CARD, more, amount_fen, sound=Sound.UNKNOWN)


def other_card(amount_fen: int | None) -> View:
    """While one card is awaited another one came; nothing was done to it."""
    return View(Mood.UNKNOWN, SAME_CARD, (OTHER_CARD,), amount_fen, sound=Sound.REFUSED)


def settled_late(outcome: Outcome) -> View:
    """An earlier movement of this card is cleared up; nothing is sold on the same touch."""
    amount_fen = outcome.movement.amount_fen
    if outcome.state is State.GREY:
        return doubtful(outcome.reason, amount_fen)
    headline = Sentence("an earlier payment of this card was made")
    if outcome.movement.online:
        headline = Sentence("an earlier load of this card was made")
    again = Sentence("take the card away and lay it on the reader again to go on")
    return View(Mood.IDLE, headline, (again,), amount_fen, outcome.balance_fen, sound=Sound.KEY)


def entered_already() -> View:
    """The card was held twice to the same entrance."""
    return View(Mood.ACCEPTED, Sentence("the ride has begun already"), (), 0, sound=Sound.ACCEPTED)


def balance(balance_fen: int, mode: Mode) -> View:
    """A card was laid down with nothing to pay."""
    lines = (FIRST.get(mode, LAY),)
    return View(Mood.IDLE, Sentence("the card holds"), lines, None, balance_fen, sound=Sound.KEY)


def running(paid_fen: int, balance_fen: int | None) -> View:
    """A session is under way."""
    lines = (Sentence("take the card away to end"),)
    return View(Mood.WORKING, Sentence("paid so far"), lines, paid_fen, balance_fen)


def session_ended(paid_fen: int) -> View:
    """A session is over."""
    return View(Mood.ACCEPTED, Sentence("the session has ended"), (), paid_fen, sound=Sound.KEY)


def loaded(outcome: Outcome) -> View:
    """What became of a load."""
    amount_fen = outcome.movement.amount_fen
    match outcome.state:
        case State.DONE:
            headline = Sentence("loaded")
            return View(Mood.ACCEPTED, headline, (), amount_fen, outcome.balance_fen, sound=Sound.ACCEPTED)
        case State.VOID:
            return refused_by_card(Sentence("nothing was loaded"), amount_fen)
    return doubtful(outcome.reason, amount_fen)


def waiting(amount_fen: int) -> View:
    """The gateway is asked."""
    return View(Mood.WORKING, Sentence("one moment: the account is asked"), (), amount_fen)


def due_lines(due: Due) -> tuple[Sentence, ...]:
    """Return what is paid for, line by line."""
    return bill_lines(due.bill) if due.fare is None else ride_lines(due.fare)


def account_refused(number: int, amount_fen: int) -> View:
    """The account's campus says no. Args: number: the wire's."""
    why = ACCOUNT_REFUSALS.get(number, Sentence("the account does not pay ({number})", number=number))
    return View(Mood.REFUSED, why, (), amount_fen, sound=Sound.REFUSED)


def account_silent(amount_fen: int) -> View:
    """No answer came in time: it is not paid, whatever was set aside."""
    lines = (Sentence("what was set aside at the account comes back by itself"),)
    headline = Sentence("no answer: nothing is paid")
    return View(Mood.REFUSED, headline, lines, amount_fen, sound=Sound.REFUSED)


def bill_lines(bill: Bill) -> tuple[Sentence, ...]:
    """Return the lines of a bill; one line alone is the amount, which is shown anyway."""
    return tuple(_bill_line(line) for line in bill.lines) if len(bill.lines) > 1 else ()


def ride_lines(fare: Fare) -> tuple[Sentence, ...]:
    """Return what a fare is for."""
    return tuple(RIDES[paid] for paid, _ in fare.parts)


def _bill_line(line: Line) -> Sentence:
    share = f"{line.share // HUNDREDTHS}.{line.share % HUNDREDTHS:02d}"
    amount = yuan(line.amount_fen)
    match line.kind:
        case LineKind.PRICE:
            return Sentence("price {yuan}", yuan=amount)
        case LineKind.DISCOUNT:
            return Sentence("at {share} %: {yuan}", share=share, yuan=amount)
        case LineKind.INCREASE:
            return Sentence("at {share} %: +{yuan}", share=share, yuan=amount)
    return Sentence("surcharge {share} %: {yuan}", share=share, yuan=amount)
