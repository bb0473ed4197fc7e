"""A session under way: water or laundry, paid in steps while the card lies there. Pure."""

from dataclasses import dataclass, replace

from campus_node.spending import parameters as p
from campus_node.spending import sessions
from campus_node.spending.moments import Moment
from campus_node.spending.parameter_values import Place, Values
from campus_node.terminal.pos.reading import Seen
from campus_node.terminal.pos.settings import TillSettings


@dataclass(frozen=True, slots=True)
class Running:
    """A session with one card.

    Args:
        asn: of the card, 10 bytes.
        place: tariff, class and meal when it began.
        session: what was paid and used.
    """

    asn: bytes
    place: Place
    session: sessions.Session

    @classmethod
    def begun(cls, seen: Seen, settings: TillSettings, moment: Moment, now_s: float) -> "Running":
        """Return a session in which nothing was paid yet."""
        place = Place(settings.tariff, seen.card_class, moment.meal.number)
        return cls(seen.asn, place, sessions.Session(int(now_s)))

    def debited(self, amount_fen: int) -> "Running":
        """Return the session after a step was paid."""
        return replace(self, session=sessions.debited(self.session, amount_fen))

    def metered(self, units: int, now_s: float) -> "Running":
        """Return the session after the meter counted so many units in all."""
        return replace(self, session=sessions.metered(self.session, units, int(now_s)))

    def next(self, now_s: float, values: Values) -> sessions.Next:
        """Return what is to be done now."""
        return sessions.next_of(self.session, int(now_s), self.place, values)

    def paid_units(self, values: Values) -> int:
        """Return how many units are paid for."""
        return sessions.paid_units(self.session, self.place, values)

    def idle_at(self, values: Values) -> float:
        """Return when it ends unless the meter counts on; monotonic seconds."""
        return self.session.last_unit_s + values.of(p.SESSION_IDLE, self.place)
