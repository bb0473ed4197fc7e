"""What the broker and its nodes say to each other: one packet of a SOCK_SEQPACKET socket a message.

The first byte is the kind. A frame's identifier has marks for 29 bits and for remote frames in its top bits.
All numbers are big-endian; instants are ns of the machine's monotonic clock.
"""

import json
import struct
from enum import IntEnum
from typing import Any, Final

from hil_rig.virtual.can_bus.confinement import State
from hil_rig.virtual.can_bus.frame import Frame
from hil_rig.virtual.can_bus.node import Filter, Notice, NoticeKind

PACKET_BYTES_MAX: Final = 65_536
EXTENDED: Final = 1 << 31
REMOTE: Final = 1 << 30
IDENTIFIER: Final = 0x1FFF_FFFF
_FRAME: Final = struct.Struct(">BQIB")
HEAD_BYTES: Final = _FRAME.size  # of a packet with a frame, before its payload
_NOTICE: Final = struct.Struct(">BQBBHH")
_STATES: Final = tuple(State)
_KINDS: Final = tuple(NoticeKind)


class Kind(IntEnum):
    """What a packet is. A node sends the first group, the broker the second."""

    HELLO = 1  # JSON: name, listen_only; nothing for one who only gives orders
    SEND = 2  # at, frame
    FILTERS = 3  # JSON: [[identifier, mask, extended or null]]
    RECOVER = 4
    FLUSH = 5
    ORDER = 6  # JSON: act and its arguments; for hands at the cabling
    RECEIVED = 16  # at, frame
    SENT = 17  # at, frame: one that this node had sent
    NOTICE = 18
    ANSWER = 19  # JSON, to HELLO and ORDER


def pack_frame(kind: Kind, at_ns: int, frame: Frame) -> bytes:
    """Return a packet that carries a frame."""
    marked = frame.identifier | (EXTENDED if frame.extended else 0) | (REMOTE if frame.remote else 0)
    return _FRAME.pack(kind, at_ns, marked, frame.length_code) + frame.payload


def unpack_fields(packet: bytes) -> tuple[int, int, int]:
    """Return (at_ns, identifier with its marks, length code) of a packet that is known to carry a frame."""
    _, at_ns, marked, length = _FRAME.unpack_from(packet)
    return at_ns, marked, length


def unpack_frame(packet: bytes) -> tuple[int, Frame]:
    """Return (at_ns, frame). Raise ValueError for what is no such packet."""
    if len(packet) < _FRAME.size:
        raise ValueError("a packet with a frame is longer")
    _, at_ns, marked, length = _FRAME.unpack_from(packet)
    remote = bool(marked & REMOTE)
    extended = bool(marked & EXTENDED)
    payload = packet[_FRAME.size :]
    frame = Frame(marked & IDENTIFIER, payload, extended, remote, length if remote else 0)
    if not remote and length != len(payload):
        raise ValueError("the packet's length and its frame's differ")
    frame.demand_valid()
    return at_ns, frame


def pack_notice(notice: Notice) -> bytes:
    """Return a packet that carries a notice."""
    return _NOTICE.pack(
        Kind.NOTICE,
        notice.at_ns,
        _KINDS.index(notice.kind),
        _STATES.index(notice.state),
        notice.transmit_errors,
        notice.receive_errors,
    )


def unpack_notice(packet: bytes) -> Notice:
    """Return the notice of a packet."""
    _, at_ns, kind, state, transmit, receive = _NOTICE.unpack(packet)
    return Notice(_KINDS[kind], at_ns, _STATES[state], transmit, receive)


def pack_json(kind: Kind, content: Any) -> bytes:  # JSON is whatever json.dumps takes
    """Return a packet that carries a JSON value."""
    return bytes([kind]) + json.dumps(content).encode()


def unpack_json(packet: bytes) -> Any:  # JSON is whatever json.loads gives
    """Return the JSON value of a packet. Raise ValueError for what is none."""
    return json.loads(packet[1:])


def unpack_filters(packet: bytes) -> list[Filter]:
    """Return the filters of a packet. Raise ValueError for what is none."""
    try:
        return [Filter(int(i), int(m), None if e is None else bool(e)) for i, m, e in unpack_json(packet)]
    except TypeError as error:
        raise ValueError("filters are triples") from error
