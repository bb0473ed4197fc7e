"""Where a till is. Pure; docs/pos.md says what may follow what."""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Stage(Enum):
    """The stages of a till."""

    READY = "nothing is open: keys are typed, a card may come"
    ASKING = "a question is open"
    DOUBT = "nobody knows whether the card has paid: the same card is awaited"
    SESSION = "water or laundry: the card lies there and pays in steps"
    WAITING = "the gateway is asked about a pay code"
    SHOWN = "an outcome stands on the screen"
    STOPPED = "the journal failed: nothing more until the terminal starts again"


# What a card that is laid down may lead to.
_CARD: Final = {Stage.ASKING, Stage.DOUBT, Stage.SESSION, Stage.SHOWN, Stage.STOPPED}
EDGES: Final[Mapping[Stage, frozenset[Stage]]] = {
    Stage.READY: frozenset({Stage.READY, Stage.WAITING, *_CARD}),
    Stage.ASKING: frozenset({Stage.READY, *_CARD}),
    Stage.DOUBT: frozenset(_CARD),
    Stage.SESSION: frozenset(_CARD),
    Stage.WAITING: frozenset({Stage.SHOWN, Stage.STOPPED}),
    Stage.SHOWN: frozenset({Stage.READY, Stage.WAITING, *_CARD}),
    Stage.STOPPED: frozenset({Stage.STOPPED}),
}
