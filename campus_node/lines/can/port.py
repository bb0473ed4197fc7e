"""A CAN controller through python-can: SocketCAN, slcan, PCAN, virtual, whatever is configured (B4.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, NamedTuple

import can

from campus_node.lines.can.ids import (
    FRAME_BYTES_MAX,
    HEAD_ADDRESS,
    Frame,
    Priority,
    Signal,
    Spread,
    functional_id,
    multicast_id,
    physical_id,
    signal_id,
)
from campus_node.lines.errors import LineDown
from campus_node.wording import Sentence

_ERROR_BUS_OFF: Final = 0x40  # flags in the id of an error frame, as SocketCAN numbers them
_ERROR_RESTARTED: Final = 0x100
SERIAL_INTERFACES: Final = ("slcan", "serial")  # without a timeout they would write half a command
SERIAL_TIMEOUT_S: Final = 0.5
Setting = str | int | float | bool


class Arrived(NamedTuple):
    """A frame that was on the wire. `own`: this end sent it, and its controller says so."""

    frame: Frame
    own: bool


class Controller(Enum):
    """What a controller can do at the moment."""

    ON = "on the bus"
    OFF = "bus off"
    DOWN = "does not answer"


@dataclass(frozen=True, slots=True)
class CanConfiguration:
    """Which controller: the words of python-can's `can.Bus`.

    Args:
        interface: for example `socketcan`, `slcan`, `pcan`, `virtual`, `campus-broker`.
        channel: for example `can0`, `/dev/ttyACM0`, `PCAN_USBBUS1`.
        bitrate: bits a second; SocketCAN's is set outside.
        more: further settings of that interface.
        echo: let the controller say what was sent, where it can; a head needs it to be fair.
    """

    interface: str
    channel: str
    bitrate: int = 250_000
    more: Mapping[str, Setting] = field(default_factory=dict)
    echo: bool = False

    def port(self, address: int) -> "CanPort":
        """Open the controller for this address. Raise LineDown if that fails."""
        own = replace(self, echo=self.echo or address == HEAD_ADDRESS)
        send_timeout_s = SERIAL_TIMEOUT_S if self.interface in SERIAL_INTERFACES else 0.0
        return CanPort(own.open, filters_of(address), send_timeout_s=send_timeout_s)

    def open(self) -> can.BusABC:
        """Open the controller. Raise what python-can raises."""
        more: dict[str, Any] = dict(self.more)  # Any: each interface has its own settings
        return can.Bus(
            channel=self.channel,
            interface=self.interface,
            bitrate=self.bitrate,
            receive_own_messages=self.echo,
            **more,
        )


def filters_of(address: int) -> list[tuple[int, int]]:
    """Return (id, mask) of every frame that this address has to hear; the controller drops the rest."""
    if address == HEAD_ADDRESS:  # a head hears everything: what is not ours names strangers
        return [(0, 0)]
    return [
        (physical_id(Priority.P2, address, 0), 0x1FFF_FF00),
        (physical_id(Priority.P6, address, 0), 0x1FFF_FF00),
        (functional_id(Priority.P2), 0x1FFF_FFFF),
        (functional_id(Priority.P6), 0x1FFF_FFFF),
        (signal_id(Signal.SYNC, HEAD_ADDRESS), 0x1FFF_FFFF),
        (signal_id(Signal.FOLLOW_UP, HEAD_ADDRESS), 0x1FFF_FFFF),
        (signal_id(Signal.HEARTBEAT, address), 0x1FFF_FFFF),  # somebody else under this address
        *((multicast_id(spread, 0), 0x1FF0_0000) for spread in (Spread.POLL, Spread.MANIFEST, Spread.IMAGE)),
    ]


class CanPort:
    """One controller, opened again when it breaks. Not for several threads.

    Args:
        open_bus: opens it, for example `CanConfiguration.open`.
        filters: (id, mask) pairs of what is to be received.
        send_timeout_s: how long `send` may take; 0 = it never waits.

    Raises:
        LineDown: it cannot be opened.
    """

    def __init__(
        self,
        open_bus: Callable[[], can.BusABC],
        filters: Sequence[tuple[int, int]],
        *,
        send_timeout_s: float = 0.0,
    ) -> None:
        self._open_bus = open_bus
        self._send_timeout_s = send_timeout_s
        self._filters: can.typechecking.CanFilters = [
            {"can_id": can_id, "can_mask": mask, "extended": True} for can_id, mask in filters
        ]
        self._bus: can.BusABC | None = None
        self._controller = Controller.ON
        self.refused_count = 0
        self.restart()
        if self._bus is None:
            raise LineDown(Sentence("the CAN controller cannot be opened"))

    @property
    def controller(self) -> Controller:
        """What the controller can do now."""
        if (
            self._bus is not None
            and self._controller is Controller.ON
            and self._bus.state is can.BusState.ERROR
        ):
            self._controller = Controller.OFF
        return self._controller

    def receive(self, timeout_s: float = 0.0) -> Arrived | None:
        """Return the next classical data frame with a 29-bit id; None if there is none in timeout_s."""
        while self._bus is not None:
            try:
                message = self._bus.recv(timeout_s)
            except (
                can.CanError,
                OSError,
                ValueError,
                LookupError,
            ):  # the last two: an adapter that says nonsense
                self._give_up()
                return None
            if message is None:
                return None
            timeout_s = 0.0
            if message.is_error_frame:
                self._note(message.arbitration_id)
            elif message.is_extended_id and not message.is_remote_frame and not message.is_fd:
                payload = bytes(message.data)[:FRAME_BYTES_MAX]
                return Arrived(Frame(message.arbitration_id, payload), own=not message.is_rx)
        return None

    def send(self, frame: Frame) -> bool:
        """Hand a frame to the controller; False if it has no place, or is not on the bus."""
        if self._bus is None:
            return False
        message = can.Message(arbitration_id=frame.can_id, data=frame.payload, is_extended_id=True)
        try:
            self._bus.send(message, timeout=self._send_timeout_s)
        except can.CanError:
            self.refused_count += 1
            return False
        except (OSError, ValueError):
            self._give_up()
            return False
        return True

    def restart(self) -> None:
        """Bring the controller back: by what its driver has for bus-off, or by opening it again.

        SocketCAN's own recovery belongs to the kernel: give the interface a `restart-ms`.
        """
        recover = getattr(self._bus, "recover", None)
        if self._controller is Controller.OFF and callable(recover):
            recover()  # it says itself when it is back
            return
        self.close()
        try:
            self._bus = self._open_bus()
            self._bus.set_filters(self._filters)
        except (can.CanError, OSError, ValueError):
            self._controller = Controller.DOWN
        else:
            self._controller = Controller.ON

    def close(self) -> None:
        """Let the controller go."""
        if self._bus is not None:
            bus, self._bus = self._bus, None
            try:
                bus.shutdown()
            except (can.CanError, OSError, ValueError):
                self._controller = Controller.DOWN

    def descriptor(self) -> int | None:
        """Return what select() can wait on; None where the interface has none, -1 while nothing can come."""
        if self._bus is None:
            return -1
        try:
            return self._bus.fileno()
        except (NotImplementedError, can.CanError, OSError):
            return None

    def _give_up(self) -> None:
        """Let a controller go that does not work; `restart` opens it again."""
        self.close()
        self._controller = Controller.DOWN

    def _note(self, flags: int) -> None:
        if flags & _ERROR_BUS_OFF:
            self._controller = Controller.OFF
        elif flags & _ERROR_RESTARTED:
            self._controller = Controller.ON
