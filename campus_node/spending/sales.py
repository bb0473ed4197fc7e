"""May this card pay this amount here and now? Limits, meals, budgets, questions (B1.1, B1.2). Pure.

`decide` looks in one fixed order, most severe first, and names the first reason that holds. What a card spent
comes from the card itself (`card_record`), or, for a card that remembers nothing, from this terminal's tally.
"""

from dataclasses import dataclass
from typing import Final

from campus_node.spending import parameters as p
from campus_node.spending.card_record import Spent, standing
from campus_node.spending.moments import Moment
from campus_node.spending.parameter_values import Place, Values
from campus_node.spending.refusals import Question, Refusal

HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Card:
    """The card that is presented.

    Args:
        asn: 10 bytes.
        issuer: 8 bytes.
        card_class: 0 to 255, the card type of file 0016.
        starts, expires: the first and the last day on which it is good, yyyymmdd; 0 = not stated.
        spent: what the card remembers; for one without a record, what this terminal does of it today.
        tracked: whether the card itself remembers.
        listed: whether its issuer's hotlist has it.
    """

    asn: bytes
    issuer: bytes
    card_class: int
    starts: int
    expires: int
    spent: Spent
    tracked: bool = True
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Till:
    """The terminal at this moment.

    Args:
        moment: by its clock.
        cut_off: whether its gateway, or the gateway's node, is out of reach.
        journal_full: whether no further record fits.
        psam_suspect: whether half of the PSAM's tries are used up.
        sold_offline_fen: sold since it was cut off.
        hotlist_age_s: since when nothing was heard of the card's issuer, in s; None = never heard of it.
        last: asn, amount in fen and moment in ms of the last sale; None = none since it started.
    """

    moment: Moment
    cut_off: bool = False
    journal_full: bool = False
    psam_suspect: bool = False
    sold_offline_fen: int = 0
    hotlist_age_s: int | None = 0
    last: tuple[bytes, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """What is to be paid.

    Args:
        amount_fen: what the card is to pay.
        tariff: the merchant's till or dish class, 0 to 255.
        confirmed: whether PIN or confirmation were given.
        overridden: whether the cashier wants the same sale again.
        step: whether it is a further step of a session: asked once, counted once.
    """

    amount_fen: int
    tariff: int = 0
    confirmed: bool = False
    overridden: bool = False
    step: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` found.

    Args:
        refusal: why not; None = it may be sold once the questions are answered.
        questions: what is still to be answered.
    """

    refusal: Refusal | None = None
    questions: tuple[Question, ...] = ()

    @property
    def sold(self) -> bool:
        """Whether it may be sold at once."""
        return self.refusal is None and not self.questions


def decide(sale: Sale, card: Card, till: Till, values: Values) -> Decision:
    """Return whether a card may pay: the first refusal that holds, else the questions that are open."""
    refusal = (
        _till_or_card_refuses(sale, card, till, values)
        or _over_limit(sale, card, till, values)
        or _over_budget(sale, card, till, values)
        or _meal_taken(sale, card, till, values)
    )
    if refusal is not None:
        return Decision(refusal)
    return Decision(questions=_questions(sale, card, till, values))


def _till_or_card_refuses(sale: Sale, card: Card, till: Till, values: Values) -> Refusal | None:
    day = till.moment.day
    foreign = is_foreign(card.issuer, values)
    if card.listed:
        return Refusal.CARD_LISTED
    if not till.moment.valid:
        return Refusal.CLOCK_INVALID
    if till.journal_full:
        return Refusal.JOURNAL_FULL
    if till.psam_suspect:
        return Refusal.PSAM_SUSPECT
    if card.expires and day > card.expires:
        return Refusal.CARD_EXPIRED
    if day < card.starts:
        return Refusal.CARD_NOT_YET_GOOD
    if foreign and card.issuer not in values.of(p.ACCEPTED):
        return Refusal.ISSUER_NOT_ACCEPTED
    if foreign and _older_than(till.hotlist_age_s, values.of(p.FOREIGN_NONE_AFTER)):
        return Refusal.HOTLIST_TOO_OLD
    if not values.of(p.SERVED, Place(sale.tariff, card.card_class)):
        return Refusal.CLASS_NOT_SERVED
    return None


def _over_limit(sale: Sale, card: Card, till: Till, values: Values) -> Refusal | None:
    place = Place(sale.tariff, card.card_class)
    spent = standing(card.spent, till.moment)
    day_fen = spent.day_fen + sale.amount_fen
    stale = _older_than(till.hotlist_age_s, values.of(p.FOREIGN_LOW_AFTER))
    if sale.amount_fen <= 0:
        return Refusal.AMOUNT_NOT_POSITIVE
    if sale.amount_fen > values.of(p.SANE_STEP if sale.step else p.SANE_PAYMENT):
        return Refusal.AMOUNT_NOT_SANE
    if sale.amount_fen > values.of(p.PAYMENT_MAX, place):
        return Refusal.OVER_PAYMENT_LIMIT
    if day_fen > values.of(p.DAY_MAX, place):
        return Refusal.OVER_DAY_LIMIT
    if spent.month_fen + sale.amount_fen > values.of(p.MONTH_MAX, place):
        return Refusal.OVER_MONTH_LIMIT
    if is_foreign(card.issuer, values) and stale and day_fen > values.of(p.FOREIGN_LOW_DAY):
        return Refusal.OVER_FOREIGN_DAY_LIMIT
    if not card.tracked and sale.amount_fen > values.of(p.UNTRACKED_PAYMENT, place):
        return Refusal.OVER_UNTRACKED_LIMIT
    if not card.tracked and day_fen > values.of(p.UNTRACKED_DAY, place):
        return Refusal.OVER_UNTRACKED_LIMIT
    return None


def _over_budget(sale: Sale, card: Card, till: Till, values: Values) -> Refusal | None:
    place = Place(sale.tariff, card.card_class)
    if not till.cut_off:
        return None
    if sale.amount_fen > values.of(p.OFFLINE_PAYMENT, place):
        return Refusal.OVER_OFFLINE_PAYMENT_BUDGET
    if standing(card.spent, till.moment).offline_fen + sale.amount_fen > values.of(p.OFFLINE_CARD, place):
        return Refusal.OVER_OFFLINE_CARD_BUDGET
    if till.sold_offline_fen + sale.amount_fen > values.of(p.OFFLINE_TERMINAL):
        return Refusal.OVER_OFFLINE_TERMINAL_BUDGET
    return None


def _meal_taken(sale: Sale, card: Card, till: Till, values: Values) -> Refusal | None:
    if sale.step or not values.of(p.MEAL_COUNTED, Place(sale.tariff)):
        return None
    number = till.moment.meal.number
    taken = standing(card.spent, till.moment).meals[number - 1]
    most = values.of(p.MEAL_PAYMENTS_MAX, Place(card_class=card.card_class, meal=number))
    unlimited = most == p.COUNT.most  # the card counts no further
    return Refusal.MEAL_TAKEN if taken >= most and not unlimited else None


def _questions(sale: Sale, card: Card, till: Till, values: Values) -> tuple[Question, ...]:
    if sale.step:
        return ()
    place = Place(sale.tariff, card.card_class)
    day_fen = standing(card.spent, till.moment).day_fen + sale.amount_fen
    large = sale.amount_fen > values.of(p.CONFIRM_PAYMENT, place) or day_fen > values.of(p.CONFIRM_DAY, place)
    questions = []
    if is_repeat(card.asn, sale.amount_fen, till, values) and not sale.overridden:
        questions.append(Question.REPEAT)
    if large and not sale.confirmed:
        questions.append(Question.CONFIRM)
    return tuple(questions)


def code_refused(
    amount_fen: int, card_class: int, till: Till, sold_by_code_fen: int, values: Values
) -> Refusal | None:
    """Return why a pay code is not taken by a terminal that can ask nobody; None = a stand-in slice decides.

    Args:
        sold_by_code_fen: what this terminal took by pay codes since it was cut off.
    """
    if not till.moment.valid:
        return Refusal.CLOCK_INVALID
    if till.journal_full:
        return Refusal.JOURNAL_FULL
    if amount_fen <= 0:
        return Refusal.AMOUNT_NOT_POSITIVE
    if sold_by_code_fen + amount_fen > values.of(p.CODE_OUTAGE, Place(card_class=card_class)):
        return Refusal.OVER_CODE_BUDGET
    return None


def is_repeat(asn: bytes, amount_fen: int, till: Till, values: Values) -> bool:
    """Tell whether the same card paid the same amount here a moment ago."""
    if till.last is None:
        return False
    last_asn, last_fen, at_ms = till.last
    elapsed_ms = till.moment.unix_ms - at_ms
    return (last_asn, last_fen) == (asn, amount_fen) and abs(elapsed_ms) < values.of(p.REPEAT_WITHIN)


def is_foreign(issuer: bytes, values: Values) -> bool:
    """Tell whether a card is another campus's."""
    own = values.of(p.OWN_ISSUER)
    return bool(own) and issuer not in own


def _older_than(age_s: int | None, hours: int) -> bool:
    return age_s is None or age_s > hours * HOUR_S
