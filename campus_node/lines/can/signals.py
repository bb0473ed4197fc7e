"""The single frames of class P3, 8 bytes each, big-endian; campus.dbc describes the same bytes (B4.3).

None is authenticated: any node on a bus can send any id. They are hints; what is believed comes sealed.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from typing import Final

from campus_node.lines.can.ids import HEAD_ADDRESS, Frame, Signal, Signalled, meaning, signal_id

UNIX_US_MODULUS: Final = 2**48  # 8.9 years; who reads it knows the time better than that
_PAYLOAD_BYTES: Final = 8
_OCTET_MAX: Final = 0xFF
_TWO_OCTETS_MAX: Final = 0xFFFF


class Condition(IntEnum):
    """What a terminal says of itself."""

    STARTING = 0
    SELLING = 1
    CLOSED = 2
    FAULTY = 3
    UPGRADING = 4


class Distress(IntEnum):
    """Why a terminal calls at once."""

    TAMPER_SWITCH = 1
    STORE_FULL = 2
    STORE_BROKEN = 3
    PSAM_GONE = 4
    POWER_FAILING = 5


@dataclass(frozen=True, slots=True)
class Sync:
    """First step of the time: the head notes when this frame was sent."""

    sequence: int  # 0 to 255


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Second step: when the SYNC of this sequence was sent."""

    sequence: int
    unix_us: int  # microseconds since 1970 modulo UNIX_US_MODULUS


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A terminal is there. Counters stop at their largest value."""

    source: int
    condition: Condition = Condition.SELLING
    receive_errors: int = 0  # of its controller, 0 to 255
    send_errors: int = 0
    bus_offs: int = 0  # since it started
    records_waiting: int = 0  # 0 to 65535
    serial: int = 0  # low 16 bits of its number: two of them under one address are two devices


@dataclass(frozen=True, slots=True)
class Emergency:
    """A terminal calls."""

    source: int
    distress: Distress
    subject: int = 0  # which of several, 0 to 255
    count: int = 0


Said = Sync | FollowUp | Heartbeat | Emergency


def dbc_text() -> str:
    """Return campus.dbc as shipped. Its ids have source 00: mask an id's low byte before looking it up."""
    return files("campus_node.lines.can").joinpath("campus.dbc").read_text(encoding="utf-8")


def frame_of(said: Said) -> Frame:
    """Return the frame that says this."""
    match said:
        case Sync():
            return Frame(signal_id(Signal.SYNC, HEAD_ADDRESS), bytes([said.sequence]) + bytes(7))
        case FollowUp():
            at = (said.unix_us % UNIX_US_MODULUS).to_bytes(6)
            return Frame(signal_id(Signal.FOLLOW_UP, HEAD_ADDRESS), bytes([said.sequence, 0]) + at)
        case Heartbeat():
            counters = (said.receive_errors, said.send_errors, said.bus_offs)
            payload = struct.pack(
                ">4B2H",
                said.condition,
                *(min(count, _OCTET_MAX) for count in counters),
                min(said.records_waiting, _TWO_OCTETS_MAX),
                said.serial & _TWO_OCTETS_MAX,
            )
            return Frame(signal_id(Signal.HEARTBEAT, said.source), payload)
        case Emergency():
            payload = struct.pack(">2BH4x", said.distress, said.subject, min(said.count, _TWO_OCTETS_MAX))
            return Frame(signal_id(Signal.EMERGENCY, said.source), payload)


def said_by(frame: Frame) -> Said | None:
    """Return what a P3 frame says, or None if it is none of ours: wrong size, source or value."""
    about = meaning(frame.can_id)
    if not isinstance(about, Signalled) or len(frame.payload) != _PAYLOAD_BYTES:
        return None
    if (about.source == HEAD_ADDRESS) != (about.signal in _FROM_HEAD):
        return None
    match about.signal:
        case Signal.SYNC:
            return Sync(frame.payload[0])
        case Signal.FOLLOW_UP:
            return FollowUp(frame.payload[0], int.from_bytes(frame.payload[2:]))
        case Signal.HEARTBEAT:
            condition, *counters = struct.unpack(">4B2H", frame.payload)
            return (
                Heartbeat(about.source, Condition(condition), *counters) if condition in _CONDITIONS else None
            )
        case Signal.EMERGENCY:
            distress, subject, count = struct.unpack(">2BH4x", frame.payload)
            return (
                Emergency(about.source, Distress(distress), subject, count)
                if distress in _ALL_DISTRESS
                else None
            )


_FROM_HEAD: Final = (Signal.SYNC, Signal.FOLLOW_UP)
_CONDITIONS: Final = frozenset(int(condition) for condition in Condition)
_ALL_DISTRESS: Final = frozenset(int(distress) for distress in Distress)
