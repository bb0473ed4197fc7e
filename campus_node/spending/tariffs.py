"""What something costs whom: price plans, and each change of a price on a line of its own (B1.1). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from campus_node.spending import parameters as p
from campus_node.spending.parameter_values import Place, Values
from campus_node.spending.rounding import WHOLE, share_fen


class LineKind(Enum):
    """What a line of a bill is."""

    PRICE = "price"
    DISCOUNT = "discount"  # below zero
    INCREASE = "increase"  # a rate above 100 %
    SURCHARGE = "surcharge"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill.

    Args:
        kind: what it is.
        amount_fen: below zero for a discount.
        share: the rate or surcharge in hundredths of a per cent; 10,000 for a price.
    """

    kind: LineKind
    amount_fen: int
    share: int = WHOLE


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be paid, line by line.

    Args:
        lines: the price first; a line that would be zero is left out.
    """

    lines: tuple[Line, ...]

    @property
    def total_fen(self) -> int:
        """What the card pays: the sum of the lines, never below zero."""
        return sum(line.amount_fen for line in self.lines)


def bill(price_fen: int, place: Place, values: Values) -> Bill:
    """Return what a card pays for something.

    The rate is taken of the price, the surcharge of what remains; each is rounded once, half up to the fen.

    Args:
        price_fen: as listed or typed in, 0 or more.
        place: tariff, class and meal.
    """
    rate, surcharge = values.of(p.RATE, place), values.of(p.SURCHARGE, place)
    remains_fen = share_fen(price_fen, rate)
    extra_fen = share_fen(remains_fen, surcharge)
    lines = [Line(LineKind.PRICE, price_fen)]
    if remains_fen != price_fen:
        kind = LineKind.DISCOUNT if remains_fen < price_fen else LineKind.INCREASE
        lines.append(Line(kind, remains_fen - price_fen, rate))
    if extra_fen:
        lines.append(Line(LineKind.SURCHARGE, extra_fen, surcharge))
    return Bill(tuple(lines))


def fixed_price_fen(place: Place, values: Values) -> int | None:
    """Return the fixed price of a tariff, or that of an item; None = there is none."""
    return values.of(p.PRICE, place) or None


def menu_price_fen(items: Sequence[tuple[int, int]], place: Place, values: Values) -> int | None:
    """Return the sum of what was chosen from the menu; None = an item has no price, or nothing was chosen.

    Args:
        items: number of the item and how many of it.
    """
    prices = [(values.of(p.PRICE, place._replace(item=item)), count) for item, count in items]
    if not prices or any(price_fen == 0 or count < 1 for price_fen, count in prices):
        return None
    return sum(price_fen * count for price_fen, count in prices)


def quota_price_fen(place: Place, values: Values) -> int | None:
    """Return what a meal costs in quota mode; None = there is none for this class and meal."""
    return values.of(p.QUOTA, place) or None
