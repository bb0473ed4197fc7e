"""The CAN bus in software: an exact model in virtual time, and the same at real pace between processes.

`BusModel` and its nodes need nothing but themselves. Software that speaks python-can gets a node by
`can.Bus(interface="campus-model", channel=model, node="till 1")`, and on the broker that
`python -m hil_rig.virtual.can_broker` runs by `can.Bus(interface="campus-broker", channel="/path/sock")`.
"""

from hil_rig.virtual.can_bus.attempt import Outcome, WireEvent
from hil_rig.virtual.can_bus.confinement import State
from hil_rig.virtual.can_bus.frame import Frame, frame_bits, slot_bits
from hil_rig.virtual.can_bus.model import BusModel, bit_error_plan
from hil_rig.virtual.can_bus.node import (
    Arrival,
    BusOff,
    CanNode,
    Filter,
    Notice,
    NoticeKind,
    QueueFull,
)

__all__ = [
    "Arrival",
    "BusModel",
    "BusOff",
    "CanNode",
    "Filter",
    "Frame",
    "Notice",
    "NoticeKind",
    "Outcome",
    "QueueFull",
    "State",
    "WireEvent",
    "bit_error_plan",
    "frame_bits",
    "slot_bits",
]
