"""Frames and notices as python-can's messages and back.

Notices become error frames as Linux makes them (include/uapi/linux/can/error.h): the class stands in the
identifier, what the controller reports in byte 1, the two counters in bytes 6 and 7 (each at most 255).
"""

from typing import Final

import can

from hil_rig.virtual.can_bus.confinement import State
from hil_rig.virtual.can_bus.frame import Frame
from hil_rig.virtual.can_bus.node import Filter, Item, Notice, NoticeKind
from hil_rig.virtual.can_bus.packets import EXTENDED, HEAD_BYTES, IDENTIFIER, REMOTE, unpack_fields

ERROR_CONTROLLER: Final = 0x004
ERROR_BUS_OFF: Final = 0x040
ERROR_RESTARTED: Final = 0x100
ERROR_COUNTERS: Final = 0x200
OVERFLOW: Final = 0x01  # of the receive queue
RECEIVE_PASSIVE: Final = 0x10
TRANSMIT_PASSIVE: Final = 0x20
BACK_TO_ACTIVE: Final = 0x40
SECOND_NS: Final = 1_000_000_000

STATES: Final = {
    State.ACTIVE: can.BusState.ACTIVE,
    State.PASSIVE: can.BusState.PASSIVE,
    State.BUS_OFF: can.BusState.ERROR,
}


def to_frame(message: can.Message) -> Frame:
    """Return the frame that a message asks for. Raise ValueError for what is no classical frame."""
    if message.is_fd or message.is_error_frame:
        raise ValueError("the bus carries classical frames")
    remote = bool(message.is_remote_frame)
    return Frame(
        message.arbitration_id,
        b"" if remote else bytes(message.data),
        bool(message.is_extended_id),
        remote,
        message.dlc if remote else 0,
    )


def to_message(item: Item, channel: str) -> can.Message:
    """Return what python-can hands to its caller; the timestamp is bus time in seconds."""
    if isinstance(item, Notice):
        return _error_message(item, channel)
    frame = item.frame
    return can.Message(
        timestamp=item.at_ns / SECOND_NS,
        arbitration_id=frame.identifier,
        is_extended_id=frame.extended,
        is_remote_frame=frame.remote,
        dlc=frame.length_code,
        data=None if frame.remote else frame.payload,
        is_rx=not item.own,
        channel=channel,
    )


def packed_message(packet: bytes, *, own: bool, channel: str) -> can.Message:
    """Return what a broker's packet carries, as `to_message` would; the broker has checked it."""
    at_ns, marked, length = unpack_fields(packet)
    remote = bool(marked & REMOTE)
    return can.Message(
        timestamp=at_ns / SECOND_NS,
        arbitration_id=marked & IDENTIFIER,
        is_extended_id=bool(marked & EXTENDED),
        is_remote_frame=remote,
        dlc=length,
        data=None if remote else packet[HEAD_BYTES:],
        is_rx=not own,
        channel=channel,
    )


def to_filters(filters: can.typechecking.CanFilters | None) -> list[Filter]:
    """Return python-can's filters as ours."""
    return [Filter(one["can_id"], one["can_mask"], one.get("extended")) for one in filters or ()]


def _error_message(notice: Notice, channel: str) -> can.Message:
    kinds, status = ERROR_COUNTERS, 0
    if notice.kind is NoticeKind.RECOVERED:
        kinds |= ERROR_RESTARTED
    elif notice.kind is NoticeKind.OVERRUN:
        kinds, status = kinds | ERROR_CONTROLLER, OVERFLOW
    elif notice.state is State.BUS_OFF:
        kinds |= ERROR_BUS_OFF
    elif notice.state is State.PASSIVE:
        kinds |= ERROR_CONTROLLER
        status = TRANSMIT_PASSIVE if notice.transmit_errors >= notice.receive_errors else RECEIVE_PASSIVE
    else:
        kinds, status = kinds | ERROR_CONTROLLER, BACK_TO_ACTIVE
    counters = bytes([min(255, notice.transmit_errors), min(255, notice.receive_errors)])
    return can.Message(
        timestamp=notice.at_ns / SECOND_NS,
        arbitration_id=kinds,
        is_extended_id=False,
        is_error_frame=True,
        dlc=8,
        data=bytes([0, status, 0, 0, 0, 0]) + counters,
        channel=channel,
    )
