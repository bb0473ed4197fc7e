"""Where a till is. Pure; docs/pos.md says what may follow what."""

from enum import Enum


class Stage(Enum):
    """The stages of a till."""

    READY = "nothing is open: keys are typed, a card may come"
    ASKING = "a question is open"
    DOUBT = "nobody knows whether the card has paid: the same card is awaited"
    SESSION = "water or laundry: the card lies there and pays in steps"
    WAITING = "the gateway is asked about a pay code"
    SHOWN = "an outcome stands on the screen"
    STOPPED = "the journal failed: nothing more until the terminal starts again"
