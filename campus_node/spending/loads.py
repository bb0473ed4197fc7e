"""May this purse be loaded with this amount? Asked before any bank is debited (B1.2). Pure."""

from campus_node.spending import parameters as p
from campus_node.spending.parameter_values import Place, Values
from campus_node.spending.refusals import Refusal


def load_refused(amount_fen: int, balance_fen: int, card_class: int, values: Values) -> Refusal | None:
    """Return why a load is refused; None = it may go on.

    Args:
        amount_fen: what is to be loaded.
        balance_fen: what the purse holds now.
    """
    place = Place(card_class=card_class)
    if amount_fen <= 0:
        return Refusal.AMOUNT_NOT_POSITIVE
    if amount_fen > values.of(p.LOAD_MAX, place):
        return Refusal.OVER_LOAD_LIMIT
    if balance_fen + amount_fen > values.of(p.BALANCE_MAX, place):
        return Refusal.OVER_BALANCE_LIMIT
    return None
