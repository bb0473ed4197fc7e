"""One attempt to send a frame: who takes part, when it ends, what it does to whom."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from hil_rig.faults import Fault
from hil_rig.virtual.can_bus.frame import Frame
from hil_rig.virtual.can_bus.node import CanNode, Entry

FLAG_BITS: Final = 6


class Outcome(StrEnum):
    SENT = "sent"
    NOT_ACKNOWLEDGED = "not acknowledged"
    BIT_ERROR = "bit error"
    RECEIVER_ERROR = "receiver's error"
    COLLISION = "collision"  # two senders of one identifier and different contents
    SHORT = "short"
    CUT_OFF = "transmitter left"


class WireEvent(NamedTuple):
    """One attempt as seen from outside: what a recording of the bus holds."""

    at_ns: int
    start_ns: int
    outcome: Outcome
    frame: Frame
    senders: tuple[str, ...]


@dataclass(slots=True)
class Attempt:
    """A frame on the wire and what will come of it."""

    start_ns: int
    senders: list[tuple[CanNode, Entry]]
    listeners: list[CanNode]
    stuffed: int
    outcome: Outcome = Outcome.SENT
    end_ns: int = 0  # the instant of the outcome
    free_ns: int = 0  # then the next may begin
    transmit_errors: dict[CanNode, int] = field(default_factory=dict)  # node → times 8
    receive_errors: list[CanNode] = field(default_factory=list)
    first: CanNode | None = None  # the receiver that flagged before all others
    not_stored: set[CanNode] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)


def flag_bits(seen: str, active: bool, others_active: bool) -> int:
    """Return how long the error flags of all nodes last together, in bits (6 to 12).

    The others begin theirs when they see a sixth equal bit, at the latest within the first one's flag.

    Args:
        seen: the stuffed bits up to the one that was found wrong, as they stood on the wire.
        active: the node that found it sends a dominant flag.
        others_active: at least one of the others does.
    """
    if not others_active:
        return FLAG_BITS
    kind = "0" if active else "1"
    run = len(seen) - len(seen.rstrip(kind))
    return 2 * FLAG_BITS - min(run, FLAG_BITS)
