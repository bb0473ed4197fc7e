"""What one end of a line has to tell about it: one vocabulary for every wire (A10, A12).

The gateway turns these into alarms, health and topology.
"""

from enum import StrEnum
from typing import NamedTuple


class What(StrEnum):
    """What happened."""

    BUS_OFF = "this end left the bus"
    BUS_BACK = "this end is back on the bus"
    PORT_DOWN = "the controller does not work"
    PEER_SILENT = "a peer does not answer"
    BABBLING = "a node sends more than it was let"
    STALLING = "a node begins to send and does not go on, again and again"
    BROKEN = "frames of a node make no sense, again and again"
    FORGING = "messages of a node are forged, again and again"
    RELEASED = "a node may speak again"
    ADDRESS_CONFLICT = "two devices say that this address is theirs"
    FALSE_HEAD = "somebody else speaks as the head"
    FOREIGN = "frames of other identifiers"
    LEAVES_BUS = "a node says that it was off the bus"
    EMERGENCY = "a terminal calls"
    LOST = "a terminal's heartbeat stopped"
    PEER_BACK = "a peer answers again"
    WRONG_RATE = "a terminal answers at another bit rate"
    HELD = "nobody answers: the wire is held, shorted or cut"
    NOISE = "bytes on the wire that nobody was asked for"
    CLEAR = "the wire is in order again"


class Event(NamedTuple):
    """One thing that happened.

    Args:
        address: the node that it is about; 0 for the head, 255 where no node can be named.
        detail: a number that belongs to `what`: frames, serials, a code.
        hint: any node could have faked it; isolate nobody because of it.
    """

    at_s: float
    what: What
    address: int
    detail: int = 0
    hint: bool = False
