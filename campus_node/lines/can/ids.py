"""The id map of a campus bus: 29-bit ids, their class on top, so that arbitration is the priority (B4.1).

| class | ids | what |
|---|---|---|
| P2 | 08DA TT SS, 08DB FF 00 | online authorisation; revocation pushed to all |
| P3 | 0C KK 00 SS | emergency, SYNC, FOLLOW_UP, heartbeat: 8 bytes, described in campus.dbc |
| P6 | 18DA TT SS, 18DB FF 00 | offline records, parameters of one terminal, logs |
| P7 | 1F K I IIII | multicast to all: kind, 4 bits, and index, 20 bits |

TT is the target, SS the source; 00 is the head, FF everybody. DA and DB are the physical and the functional
format of normal fixed addressing (ISO 15765-2). Within a class the lowest source wins every arbitration.
docs/wire.md has the whole map.
"""

from enum import IntEnum
from typing import Final, NamedTuple

CAN_ID_MAX: Final = 0x1FFF_FFFF
FRAME_BYTES_MAX: Final = 8
INDEX_MAX: Final = 0xF_FFFF
HEAD_ADDRESS: Final = 0x00
ALL_ADDRESSES: Final = 0xFF


class Frame(NamedTuple):
    """A classical CAN data frame with a 29-bit id and 0 to 8 bytes."""

    can_id: int
    payload: bytes


class Priority(IntEnum):
    """The class of a frame; a smaller one wins the bus."""

    P2 = 2
    P3 = 3
    P6 = 6
    P7 = 7


class Signal(IntEnum):
    """The kinds of P3, by urgency."""

    EMERGENCY = 0x00
    SYNC = 0x01
    FOLLOW_UP = 0x02
    HEARTBEAT = 0x03


class Spread(IntEnum):
    """The kinds of P7. The index is a round, source8 ‖ 12 bits, or a frame's number."""

    POLL = 0x0
    NACK_WINDOW = 0x1
    DONE = 0x2
    NACK_LIST = 0x3
    MANIFEST = 0x4
    IMAGE = 0x5
    NACK_BLOCKS = 0x6
    NACK_MANIFEST = 0x7


class Physical(NamedTuple):
    """A frame of a transfer between two (ISO-TP)."""

    priority: Priority
    target: int
    source: int


class Functional(NamedTuple):
    """A frame of a message to everybody."""

    priority: Priority
    source: int


class Signalled(NamedTuple):
    """A single frame of class P3."""

    signal: Signal
    source: int


class Multicast(NamedTuple):
    """A frame of class P7."""

    spread: Spread
    number: int


Meaning = Physical | Functional | Signalled | Multicast

_PHYSICAL: Final = {0x08DA: Priority.P2, 0x18DA: Priority.P6}
_FUNCTIONAL: Final = {0x08DB: Priority.P2, 0x18DB: Priority.P6}
_SIGNALS: Final = {int(signal): signal for signal in Signal}
_SPREADS: Final = {int(spread): spread for spread in Spread}


def physical_id(priority: Priority, target: int, source: int) -> int:
    """Return the id of a transfer's frames from source to target, addresses 0 to 254."""
    return _base(priority, 0xDA) | target << 8 | source


def functional_id(priority: Priority, source: int = HEAD_ADDRESS) -> int:
    """Return the id of a message to everybody."""
    return _base(priority, 0xDB) | ALL_ADDRESSES << 8 | source


def signal_id(signal: Signal, source: int) -> int:
    """Return the id of a P3 frame."""
    return 0x0C00_0000 | signal << 16 | source


def multicast_id(spread: Spread, index: int) -> int:
    """Return the id of a P7 frame; index 0 to 2**20 - 1."""
    return 0x1F00_0000 | spread << 20 | index


def meaning(can_id: int) -> Meaning | None:
    """Return what an id of 29 bits stands for, or None if it is not on our map."""
    top, target, source = can_id >> 16, can_id >> 8 & 0xFF, can_id & 0xFF
    if priority := _PHYSICAL.get(top):
        return Physical(priority, target, source)
    if priority := _FUNCTIONAL.get(top):
        return Functional(priority, source) if target == ALL_ADDRESSES else None
    if top >> 8 == 0x0C and (signal := _SIGNALS.get(top & 0xFF)) is not None:
        return Signalled(signal, source) if target == 0 else None
    if top >> 8 == 0x1F and (spread := _SPREADS.get(top >> 4 & 0xF)) is not None:
        return Multicast(spread, can_id & INDEX_MAX)
    return None


def _base(priority: Priority, form: int) -> int:
    assert priority in (Priority.P2, Priority.P6), "only these classes carry transfers"
    return (0x0800_0000 if priority is Priority.P2 else 0x1800_0000) | form << 16
