"""Error counters of a CAN controller and what they make of it: active, passive, off the bus (ISO 11898-1)."""

from enum import StrEnum
from typing import Final

PASSIVE_AT: Final = 128
BUS_OFF_AT: Final = 256
RECOVERED_TO: Final = 127  # a receiver's counter after success while passive; the standard allows 119 to 127
RECEIVE_MAX: Final = 255
PENALTY: Final = 8
RECOVERY_RUNS: Final = 128  # of RECOVERY_RUN_BITS recessive bits
RECOVERY_RUN_BITS: Final = 11


class State(StrEnum):
    """What a controller may do."""

    ACTIVE = "error active"
    PASSIVE = "error passive"  # its error flags no longer disturb; waits 8 bits more between its own frames
    BUS_OFF = "bus off"  # neither sends, receives nor acknowledges


class ErrorCounters:
    """Transmit and receive error counter (TEC, REC) of one controller."""

    __slots__ = ("bus_off", "receive", "transmit")

    def __init__(self) -> None:
        self.transmit = 0
        self.receive = 0
        self.bus_off = False

    @property
    def state(self) -> State:
        if self.bus_off:
            return State.BUS_OFF
        if self.transmit >= PASSIVE_AT or self.receive >= PASSIVE_AT:
            return State.PASSIVE
        return State.ACTIVE

    def sent(self) -> None:
        """Count a frame that was sent and acknowledged."""
        if self.transmit:
            self.transmit -= 1

    def received(self) -> None:
        """Count a frame that was received."""
        if self.receive >= PASSIVE_AT:
            self.receive = RECOVERED_TO
        elif self.receive:
            self.receive -= 1

    def transmit_error(self, times: int = 1) -> None:
        """Count an error while sending; above 255 the controller leaves the bus."""
        self.transmit += PENALTY * times
        self.bus_off = self.bus_off or self.transmit >= BUS_OFF_AT

    def receive_error(self, *, first: bool = False) -> None:
        """Count an error while receiving. `first`: it flagged it before all others, and counts 8 more."""
        self.receive = min(RECEIVE_MAX, self.receive + (1 + PENALTY if first else 1))

    def held_dominant(self) -> None:
        """Count eight dominant bits after an error flag of this receiver."""
        self.receive = min(RECEIVE_MAX, self.receive + PENALTY)

    def recover(self) -> None:
        """Start anew after 128 runs of 11 recessive bits."""
        self.transmit = self.receive = 0
        self.bus_off = False
