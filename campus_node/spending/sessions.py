"""Water and laundry: a purse pays in small steps, each before what it buys (B1.1). Pure.

Nothing is paid back to a purse, so a step is what a cardholder may lose by leaving: at the end less than one
step and one unit are paid and not used up.
"""

from dataclasses import dataclass, replace
from enum import Enum

from campus_node.spending import parameters as p
from campus_node.spending.parameter_values import Place, Values


class Next(Enum):
    """What a session does next."""

    DEBIT = "debit the next step before more is given"
    GIVE = "give on: it is paid"
    END = "end the session"


@dataclass(frozen=True, slots=True)
class Session:
    """A session with one card.

    Args:
        paid_fen: what was debited.
        used_units: what the meter counted.
        last_unit_s: the steady clock when the meter last counted, or when the session began, in s.
    """

    last_unit_s: int
    paid_fen: int = 0
    used_units: int = 0


def paid_units(session: Session, place: Place, values: Values) -> int:
    """Return how many units the debits so far buy, rounded down: never more than is paid for."""
    return session.paid_fen * values.of(p.SESSION_UNITS, place) // values.of(p.SESSION_PRICE, place)


def next_debit_fen(session: Session, place: Place, values: Values) -> int:
    """Return the next step: enough for one more unit, within what a session may cost; 0 = no more."""
    price_fen, units = values.of(p.SESSION_PRICE, place), values.of(p.SESSION_UNITS, place)
    one_more_fen = -(-(session.used_units + 1) * price_fen // units) - session.paid_fen  # rounded up
    step_fen = max(values.of(p.SESSION_STEP, place), one_more_fen)
    left_fen = values.of(p.SESSION_MAX, place) - session.paid_fen
    return min(step_fen, left_fen) if left_fen >= one_more_fen else 0


def next_of(session: Session, now_s: int, place: Place, values: Values) -> Next:
    """Return what is to be done now.

    Args:
        now_s: the steady clock, in s.
    """
    if now_s - session.last_unit_s >= values.of(p.SESSION_IDLE, place):
        return Next.END
    if session.used_units < paid_units(session, place, values):
        return Next.GIVE
    return Next.DEBIT if next_debit_fen(session, place, values) > 0 else Next.END


def debited(session: Session, amount_fen: int) -> Session:
    """Return the session after a step was debited."""
    return replace(session, paid_fen=session.paid_fen + amount_fen)


def metered(session: Session, units: int, now_s: int) -> Session:
    """Return the session after the meter counted so many units in all; counting back changes nothing."""
    if units <= session.used_units:
        return session
    return replace(session, used_units=units, last_unit_s=now_s)
