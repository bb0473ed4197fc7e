"""What the card that lies there is to pay, by the till's mode and what was typed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campus_node.purse.presenting import Pin
from campus_node.spending import rides, sessions
from campus_node.spending.moments import Moment
from campus_node.spending.parameter_values import Place, Values
from campus_node.spending.refusals import Refusal
from campus_node.spending.tariffs import (
    Bill,
    Line,
    LineKind,
    bill,
    fixed_price_fen,
    menu_price_fen,
    quota_price_fen,
)
from campus_node.terminal.pos.settings import Mode

SAME_ENTRANCE_S: Final = 120  # a card held twice to the same entrance has entered once
MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the till was told before the card came.

    Args:
        mode: of the till; see Mode.
        tariff: 0 to 255.
        amount_fen: typed in.
        items: chosen from the menu.
        stop: where the vehicle is.
        terminal_id: 6 bytes.
        session: under way, in session mode.
    """

    mode: Mode
    tariff: int
    amount_fen: int = 0
    items: Sequence[tuple[int, int]] = ()
    stop: int = 0
    terminal_id: bytes = bytes(6)
    session: sessions.Session | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be paid.

    Args:
        bill: line by line.
        fare: in a vehicle; its ride is written with the debit.
        writes_ride: whether the card's record of rides is written.
        step: a further step of a session.
    """

    bill: Bill
    fare: rides.Fare | None = None
    writes_ride: bool = False
    step: bool = False

    @classmethod
    def plain(cls, amount_fen: int, *, step: bool = False) -> "Due":
        """Return an amount without discount or surcharge."""
        return cls(Bill((Line(LineKind.PRICE, amount_fen),)), step=step)

    @property
    def amount_fen(self) -> int:
        """What is debited."""
        return self.bill.total_fen

    @property
    def limited_fen(self) -> int:
        """What limits are asked about: a ride that begins, with what it may cost."""
        return self.fare.needs_fen if self.fare else self.bill.total_fen

    @property
    def counts(self) -> bool:
        """Whether it is a payment of its own, and not a step of one or the beginning of a ride."""
        return not self.step and self.amount_fen > 0


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered to the questions about one sale.

    Args:
        overridden: the same sale again is wanted.
        confirmed: PIN or confirmation were given.
        pin: for the card to check.
    """

    overridden: bool = False
    confirmed: bool = False
    pin: Pin | None = None


NO_ANSWERS: Final = Answers()


class Entered:
    """The ride has begun already: nothing is to be done."""


def due_of(
    wanted: Wanted, card_class: int, ride: rides.Ride | None, moment: Moment, values: Values
) -> Due | Refusal | Entered:
    """Return what a card pays, why it can't be said, or that it has entered already.

    Args:
        ride: under way, as the card remembers.
    """
    place = Place(wanted.tariff, card_class, moment.meal.number)
    match wanted.mode:
        case Mode.KEYPAD:
            return _priced(wanted.amount_fen, place, values, Refusal.AMOUNT_NOT_POSITIVE)
        case Mode.FIXED:
            return _priced(fixed_price_fen(place, values), place, values)
        case Mode.MENU:
            return _priced(menu_price_fen(wanted.items, place, values), place, values)
        case Mode.QUOTA:
            return _priced(quota_price_fen(place, values), place, values)
        case Mode.SESSION:
            return _session_step(wanted, place, values)
    return _fare(wanted, card_class, ride, moment, values)


def _priced(
    price_fen: int | None, place: Place, values: Values, without: Refusal = Refusal.NO_PRICE
) -> Due | Refusal:
    return Due(bill(price_fen, place, values)) if price_fen else without


def _session_step(wanted: Wanted, place: Place, values: Values) -> Due | Refusal:
    session = wanted.session
    assert session is not None, "a session has begun"
    step_fen = sessions.next_debit_fen(session, place, values)
    if step_fen <= 0:
        return Refusal.NO_PRICE
    return Due.plain(step_fen, step=session.paid_fen > 0)


def _fare(
    wanted: Wanted, card_class: int, ride: rides.Ride | None, moment: Moment, values: Values
) -> Due | Entered:
    at_s = moment.unix_ms // MS_PER_S
    tap = rides.Tap(wanted.tariff, card_class, wanted.stop, at_s, wanted.terminal_id)
    if wanted.mode is Mode.FLAT:
        fare = rides.flat_fare(tap, values)
        return Due(_lines(fare), fare)
    if wanted.mode is Mode.EXIT:
        fare = rides.on_exit(tap, ride, values)
        return Due(_lines(fare), fare, writes_ride=True)
    if ride is not None and _same_entrance(tap, ride):
        return Entered()
    fare = rides.on_entry(tap, ride, values)
    return Due(_lines(fare), fare, writes_ride=True)


def _same_entrance(tap: rides.Tap, ride: rides.Ride) -> bool:
    there = (ride.tariff, ride.stop, ride.terminal_id) == (tap.tariff, tap.stop, tap.terminal_id)
    return there and 0 <= tap.at_s - ride.entered_at_s <= SAME_ENTRANCE_S


def _lines(fare: rides.Fare) -> Bill:
    return Bill(tuple(Line(LineKind.PRICE, amount_fen) for _, amount_fen in fare.parts))
