"""The parameters that spending goes by, each with unit, default and range: docs/limits.md. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from campus_node.spending.moments import MEALS_MAX
from campus_node.spending.parameter_kinds import (
    FARE_MAX_FEN,
    FareMatrix,
    Flag,
    Issuers,
    Kind,
    MealEnds,
    Percent,
    TimeOfDay,
    Whole,
    Zone,
)

T = TypeVar("T")
SUM_MAX_FEN: Final = 10_000_000  # 100,000 yuan


class Scope(Enum):
    """What a value may be for: `class_3_payment_max_fen` holds for cards of class 3 only."""

    TARIFF = ("tariff", 0, 255)
    CLASS = ("class", 0, 255)
    MEAL = ("meal", 1, MEALS_MAX)
    ITEM = ("item", 1, 99)


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T]):
    """One parameter.

    Args:
        name: in lower case, with the unit at its end.
        kind: which texts are good for it.
        default: the text that holds where nothing was given.
        meaning: what it does, for the list of parameters.
        scopes: what a value of its own may be given for; of two values that hold, the one for the scope that
            stands first here wins.
    """

    name: str
    kind: Kind[T]
    default: str
    meaning: str
    scopes: tuple[Scope, ...] = ()

    @property
    def default_value(self) -> T:
        return self.kind.read(self.default)


CLASS: Final = (Scope.CLASS,)
TARIFF: Final = (Scope.TARIFF,)
TARIFF_CLASS: Final = (Scope.TARIFF, Scope.CLASS)
CLASS_MEAL: Final = (Scope.CLASS, Scope.MEAL)
TARIFF_CLASS_MEAL: Final = (Scope.TARIFF, Scope.CLASS, Scope.MEAL)
EVERY: Final = (Scope.TARIFF, Scope.CLASS, Scope.MEAL, Scope.ITEM)
FEN: Final = Whole("fen", 0, SUM_MAX_FEN)
COUNT: Final = Whole("payments", 0, 255)
HOURS: Final = Whole("h", 0, 8_760)

# Day and meals
TIMEZONE = Parameter("timezone", Zone(), "Asia/Shanghai", "where the clocks of this campus are")
DAY_CUT_OFF = Parameter(
    "day_cut_off", TimeOfDay(), "00:00", "when a business day ends and the next one begins"
)
MEAL_ENDS = Parameter(
    "meal_ends",
    MealEnds(),
    "10:00,14:00,20:00,23:59:59",
    "the last second of each meal; each begins after the other",
)
MEAL_PAYMENTS_MAX = Parameter(
    "meal_payments_max_count", COUNT, "255", "payments of a card in one meal; 0 = none", CLASS_MEAL
)
MEAL_COUNTED = Parameter(
    "meal_counted", Flag(), "yes", "whether payments count for the meal: not water", TARIFF
)

# Hard limits
SERVED = Parameter("served", Flag(), "yes", "whether cards of this class may pay here", TARIFF_CLASS)
SANE_PAYMENT = Parameter("sane_payment_max_fen", FEN, "100000", "no payment is larger: a typing error")
SANE_STEP = Parameter("sane_step_max_fen", FEN, "10000", "no step of a session is larger: a meter's error")
PAYMENT_MAX = Parameter("payment_max_fen", FEN, "50000", "one payment", CLASS)
DAY_MAX = Parameter("day_max_fen", FEN, "100000", "all payments of a card on a business day", CLASS)
MONTH_MAX = Parameter("month_max_fen", FEN, "500000", "all payments of a card in a month", CLASS)
LOAD_MAX = Parameter("load_max_fen", FEN, "49900", "one load", CLASS)
BALANCE_MAX = Parameter("balance_max_fen", FEN, "100000", "what a purse may hold after a load", CLASS)

# Asking the cardholder
CONFIRM_PAYMENT = Parameter(
    "confirm_payment_above_fen", FEN, "2000", "a larger payment wants PIN or confirmation", CLASS
)
CONFIRM_DAY = Parameter(
    "confirm_day_above_fen", FEN, "5000", "with a larger sum of the day every payment wants it", CLASS
)
REPEAT_WITHIN = Parameter(
    "repeat_within_ms", Whole("ms", 0, 60_000), "3000", "the same card and amount again wants an override"
)

# While nobody can be asked
OFFLINE_PAYMENT = Parameter(
    "offline_payment_max_fen", FEN, "10000", "one payment at a cut-off terminal", CLASS
)
OFFLINE_CARD = Parameter(
    "offline_card_max_fen",
    FEN,
    "30000",
    "a card's payments at cut-off terminals, until it meets another",
    CLASS,
)
OFFLINE_TERMINAL = Parameter(
    "offline_terminal_max_fen", Whole("fen", 0, 100_000_000), "10000000", "what a cut-off terminal sells"
)
UNTRACKED_PAYMENT = Parameter(
    "untracked_payment_max_fen",
    FEN,
    "2000",
    "one payment of a card that has no record of its spending",
    CLASS,
)
UNTRACKED_DAY = Parameter(
    "untracked_day_max_fen", FEN, "5000", "all payments of such a card at this terminal on a day", CLASS
)
CODE_OUTAGE = Parameter(
    "code_outage_max_fen", FEN, "0", "pay codes that a cut-off terminal takes until it is back", CLASS
)

# Cards of other campuses
OWN_ISSUER = Parameter("own_issuer", Issuers(1), "", "this campus; empty = no issuer is a stranger")
ACCEPTED = Parameter("accepted_offline_issuers", Issuers(), "", "other issuers whose purses are taken")
FOREIGN_LOW_AFTER = Parameter(
    "foreign_low_after_h", HOURS, "72", "a foreign hotlist of this age lets its cards pay only a little"
)
FOREIGN_LOW_DAY = Parameter("foreign_low_day_max_fen", FEN, "2000", "that little, on a business day")
FOREIGN_NONE_AFTER = Parameter("foreign_none_after_h", HOURS, "168", "and one of this age nothing at all")

# Prices
PRICE = Parameter(
    "price_fen", FEN, "0", "fixed price, or that of an item of the menu; 0 = there is none", EVERY
)
QUOTA = Parameter("quota_fen", FEN, "0", "what a meal costs in quota mode; 0 = there is none", CLASS_MEAL)
RATE = Parameter(
    "rate_percent",
    Percent(),
    "100",
    "what remains of a price: 80 = a fifth less, 120 = a fifth more",
    TARIFF_CLASS_MEAL,
)
SURCHARGE = Parameter(
    "surcharge_percent", Percent(), "0", "added to what remains, on its own line", TARIFF_CLASS
)

# Water, laundry
SESSION_PRICE = Parameter(
    "session_price_fen", Whole("fen", 1, 100_000), "30", "price of so many units", TARIFF_CLASS
)
SESSION_UNITS = Parameter(
    "session_price_units",
    Whole("units of the meter", 1, 1_000_000),
    "1000",
    "how many units that price buys",
    TARIFF,
)
SESSION_STEP = Parameter("session_step_fen", Whole("fen", 1, 10_000), "10", "debited at once", TARIFF)
SESSION_MAX = Parameter("session_max_fen", FEN, "1000", "one session", TARIFF_CLASS)
SESSION_IDLE = Parameter(
    "session_idle_max_s", Whole("s", 1, 3_600), "60", "after so long without a unit the session ends", TARIFF
)

# Vehicles
FARE = Whole("fen", 0, FARE_MAX_FEN)
FARE_FLAT = Parameter("fare_flat_fen", FARE, "200", "one ride where all rides cost the same", TARIFF_CLASS)
FARE_MATRIX = Parameter(
    "fare_matrix_fen", FareMatrix(), "", "fares by stops; empty = all rides cost the same", TARIFF
)
FARE_OPEN = Parameter(
    "fare_open_ride_fen", FARE, "1000", "a ride whose end, or beginning, nobody saw", TARIFF_CLASS
)
RIDE_MAX = Parameter(
    "ride_max_min",
    Whole("min", 1, 1_440),
    "240",
    "a ride that took longer was not ended where it should",
    TARIFF,
)


def all_parameters() -> Iterator[Parameter[object]]:
    """Yield every parameter, in the order of this file."""
    for value in list(globals().values()):
        if isinstance(value, Parameter):
            yield value
