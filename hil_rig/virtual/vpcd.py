"""Lays a card or a PSAM in software on a reader of the system's PC/SC service, through its driver vpcd.

The driver (Debian: vsmartcard-vpcd) is the TCP server, one port a reader; what is served here is its client. Every
message is a length of 2 bytes, big-endian, and that many bytes. One byte is a control: 00 power off, 01 power on,
02 reset, 04 asks for the answer to reset and is the only one that is answered. Everything else is a command APDU.

The driver sends length and body in two packets and waits for the first one's acknowledgement in between, so
each receive here switches delayed acknowledgements off: without that a command takes 44 ms instead of 0.2.
It listens on all addresses of the machine: keep its ports off the network.
"""

import socket
import threading
from collections.abc import Callable
from typing import Final, Self

from federation.clock import Clock, SystemClock
from federation.errors import StoreDown
from hil_rig.faults import What
from hil_rig.virtual.device import Device, answer, cold_reset
from hil_rig.virtual.tears import Tears

POWER_OFF: Final = b"\x00"
POWER_ON: Final = b"\x01"
RESET: Final = b"\x02"
GET_ATR: Final = b"\x04"
CONNECT_TIMEOUT_S: Final = 1.0
RECONNECT_S: Final = 0.1  # pause before the next try, while nobody listens
STOP_TIMEOUT_S: Final = 5.0
