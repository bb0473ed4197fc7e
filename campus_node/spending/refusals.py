"""Why something is not sold, or not yet: names for the journal, sentences for the screen. Pure."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from campus_node.wording import Sentence


class Refusal(Enum):
    """A final no, most severe first: the order in which `sales.decide` looks."""

    CARD_LISTED = "card_listed"
    CLOCK_INVALID = "clock_invalid"
    JOURNAL_FULL = "journal_full"
    PSAM_SUSPECT = "psam_suspect"
    CARD_EXPIRED = "card_expired"
    CARD_NOT_YET_GOOD = "card_not_yet_good"
    ISSUER_NOT_ACCEPTED = "issuer_not_accepted"
    HOTLIST_TOO_OLD = "hotlist_too_old"
    CLASS_NOT_SERVED = "class_not_served"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_NOT_SANE = "amount_not_sane"
    OVER_PAYMENT_LIMIT = "over_payment_limit"
    OVER_DAY_LIMIT = "over_day_limit"
    OVER_MONTH_LIMIT = "over_month_limit"
    OVER_FOREIGN_DAY_LIMIT = "over_foreign_day_limit"
    OVER_UNTRACKED_LIMIT = "over_untracked_limit"
    OVER_OFFLINE_PAYMENT_BUDGET = "over_offline_payment_budget"
    OVER_OFFLINE_CARD_BUDGET = "over_offline_card_budget"
    OVER_OFFLINE_TERMINAL_BUDGET = "over_offline_terminal_budget"
    OVER_CODE_BUDGET = "over_code_budget"
    MEAL_TAKEN = "meal_taken"
    PURSE_TOO_SMALL = "purse_too_small"
    OVER_LOAD_LIMIT = "over_load_limit"
    OVER_BALANCE_LIMIT = "over_balance_limit"
    NO_PRICE = "no_price"


class Question(Enum):
    """What has to be answered before it is sold; all that apply are asked."""

    REPEAT = "repeat"
    CONFIRM = "confirm"


SAID: Final[Mapping[Refusal, Sentence]] = {
    Refusal.CARD_LISTED: Sentence("this card is blocked: go to the card office"),
    Refusal.CLOCK_INVALID: Sentence("this terminal's clock is wrong: it must not sell"),
    Refusal.JOURNAL_FULL: Sentence("this terminal's journal is full: it must not sell"),
    Refusal.PSAM_SUSPECT: Sentence("this terminal's PSAM saw too many wrong cards: it sells nothing offline"),
    Refusal.CARD_EXPIRED: Sentence("this card has expired"),
    Refusal.CARD_NOT_YET_GOOD: Sentence("this card is not good yet"),
    Refusal.ISSUER_NOT_ACCEPTED: Sentence("cards of this campus are not accepted here"),
    Refusal.HOTLIST_TOO_OLD: Sentence("nothing was heard of this card's campus for too long"),
    Refusal.CLASS_NOT_SERVED: Sentence("cards of this class are not served here"),
    Refusal.AMOUNT_NOT_POSITIVE: Sentence("there is no amount"),
    Refusal.AMOUNT_NOT_SANE: Sentence("this amount is too large to be true"),
    Refusal.OVER_PAYMENT_LIMIT: Sentence("the amount is over the limit of one payment"),
    Refusal.OVER_DAY_LIMIT: Sentence("the amount is over this card's limit of the day"),
    Refusal.OVER_MONTH_LIMIT: Sentence("the amount is over this card's limit of the month"),
    Refusal.OVER_FOREIGN_DAY_LIMIT: Sentence("a visitor's card pays only a little now: the limit is reached"),
    Refusal.OVER_UNTRACKED_LIMIT: Sentence("a card without a record of its spending pays only a little"),
    Refusal.OVER_OFFLINE_PAYMENT_BUDGET: Sentence("offline: the amount is over the limit of one payment"),
    Refusal.OVER_OFFLINE_CARD_BUDGET: Sentence("offline: this card's limit is reached"),
    Refusal.OVER_OFFLINE_TERMINAL_BUDGET: Sentence("offline: this terminal's limit is reached"),
    Refusal.OVER_CODE_BUDGET: Sentence("offline: pay codes are not taken now"),
    Refusal.MEAL_TAKEN: Sentence("this card has had its payments of this meal"),
    Refusal.PURSE_TOO_SMALL: Sentence("there is not enough money on this card"),
    Refusal.OVER_LOAD_LIMIT: Sentence("the amount is over the limit of one load"),
    Refusal.OVER_BALANCE_LIMIT: Sentence("the card would hold more than it may"),
    Refusal.NO_PRICE: Sentence("this has no price"),
}

ASKED: Final[Mapping[Question, Sentence]] = {
    Question.REPEAT: Sentence("the same card and amount again: sell it once more?"),
    Question.CONFIRM: Sentence("PIN or confirmation, please"),
}
