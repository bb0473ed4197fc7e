"""What a till is set up as: its mode, tariff and place. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from campus_node.purse.presenting import CardLayout


class Mode(StrEnum):
    """What is sold here, and how its price is found."""

    KEYPAD = "keypad"  # the cashier types the amount
    FIXED = "fixed"  # one price for each class and meal
    MENU = "menu"  # the cashier picks items
    QUOTA = "quota"  # what a meal costs this class; the card alone is enough
    SESSION = "session"  # water, laundry: small steps while the card lies there
    FLAT = "flat"  # vehicle: every ride costs the same
    ENTRY = "entry"  # vehicle: a ride begins
    EXIT = "exit"  # vehicle: it ends
    LOAD = "load"  # load machine (圈存机)

    @property
    def by_stops(self) -> bool:
        """Whether a ride's entrance or exit is recorded in the card."""
        return self in {Mode.ENTRY, Mode.EXIT}


class Consent(StrEnum):
    """What answers the question for PIN or confirmation."""

    BUTTON = "button"
    PIN = "pin"


class Key(StrEnum):
    """A key of the till; a digit's value is its character."""

    D0 = "0"
    D1 = "1"
    D2 = "2"
    D3 = "3"
    D4 = "4"
    D5 = "5"
    D6 = "6"
    D7 = "7"
    D8 = "8"
    D9 = "9"
    DOT = "."
    PLUS = "+"
    OK = "ok"
    CLEAR = "clear"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class TillSettings:
    """How a till works.

    Args:
        mode: what it sells.
        merchant: its title, as customers know it.
        tariff: the merchant's till or dish class, or the line of a vehicle; 0 to 255.
        stop: where the vehicle is at first, from 0.
        consent: what answers the question for PIN or confirmation.
        psam_tries: how many wrong MAC2 the PSAM stands; half of them stop offline sales.
        shown_s: how long an outcome stays on the screen.
        online_wait_ms: how long an answer from the gateway is waited for.
        layout: where cards keep what is needed.
    """

    mode: Mode = Mode.KEYPAD
    merchant: str = ""
    tariff: int = 0
    stop: int = 0
    consent: Consent = Consent.BUTTON
    psam_tries: int = 100
    shown_s: float = 3.0
    online_wait_ms: int = 3_000
    layout: CardLayout = field(default_factory=CardLayout)
