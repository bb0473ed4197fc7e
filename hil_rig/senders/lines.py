"""The terminal's end of a segment's line, opened as a product would open it."""

import importlib
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from campus_node.lines.line import Line
from federation.clock import Clock
from hil_rig.senders.order import SegmentLine, SenderOrder

BLIND_WAIT_S: Final = 0.5  # how long a line that waits by itself may take to notice that it is to end
MESSAGE_BYTES_TCP: Final = 4000
MODULES: Final = {
    "can": ("campus_node.lines.can.terminal", "hil_rig.virtual.can_bus.broker_node"),
    "serial": ("campus_node.lines.serial.serial_port", "campus_node.lines.serial.terminal"),
    "tcp": ("campus_node.lines.tcp_line", "campus_node.lines.tcp_tls"),
}


class SteppedLine(Line, Protocol):
    """A line and the step that drives it."""

    def step(self, now_s: float) -> float: ...


class OpenLine(NamedTuple):
    """A line and how to wait for it.

    Args:
        wait: for so many seconds at most, or until the line has something; tells whether it is time to end.
        message_bytes: about how long a message with records may be.
    """

    line: SteppedLine
    wait: Callable[[float], bool]
    message_bytes: int


class Described(Protocol):
    """A line that select() can wait on."""

    def descriptor(self) -> int | None: ...


class Waiting:
    """Waits for a line, or for the order to end: the descriptor `stop` can be read then."""

    def __init__(self, line: Described, stop: int) -> None:
        self._line = line
        self._stop = stop
        self._poll = select.poll()
        self._poll.register(stop, select.POLLIN)
        self._watched = -1

    def wait(self, seconds: float) -> bool:
        """See `OpenLine.wait`."""
        descriptor = self._line.descriptor()
        if descriptor is None:
            descriptor = -1
        if descriptor != self._watched:  # it was opened, or opened again
            if self._watched >= 0:
                self._poll.unregister(self._watched)
            if descriptor >= 0:
                self._poll.register(descriptor, select.POLLIN)
            self._watched = descriptor
        found = self._poll.poll(max(seconds, 0.0) * 1000)
        return any(readable == self._stop for readable, _ in found)


def preload(kind: str) -> None:
    """Import what lines of this kind need, before the processes part."""
    for module in MODULES[kind]:
        importlib.import_module(module)


def open_line(where: SegmentLine, who: SenderOrder, clock: Clock, stop: int) -> OpenLine:
    """Open a terminal's end. Raise LineDown or Misconfigured if that fails.

    Args:
        stop: a descriptor that can be read when the sender is to end.
    """
    match where.kind:
        case "can":
            return _can(where, who, stop)
        case "serial":
            return _serial(where, who, stop)
        case "tcp":
            return _tcp(where, who, clock, stop)


def _can(where: SegmentLine, who: SenderOrder, stop: int) -> OpenLine:
    from campus_node.lines.can.port import CanConfiguration  # noqa: PLC0415 - a segment needs one kind
    from campus_node.lines.can.terminal import TerminalLine  # noqa: PLC0415
    from campus_node.terminal.upload import MESSAGE_BYTES  # noqa: PLC0415

    configuration = CanConfiguration("campus-broker", where.channel, where.rate, {"node": who.name})
    spread = int(who.psam_serial[-4:], 16) / 0xFFFF
    line = TerminalLine(who.name, configuration.port(who.address), who.address, spread=spread)
    return OpenLine(line, Waiting(line, stop).wait, MESSAGE_BYTES)


def _serial(where: SegmentLine, who: SenderOrder, stop: int) -> OpenLine:
    from campus_node.lines.serial.serial_port import SerialDevice  # noqa: PLC0415
    from campus_node.lines.serial.terminal import SerialTerminalLine  # noqa: PLC0415
    from campus_node.terminal.upload import MESSAGE_BYTES  # noqa: PLC0415

    port = SerialDevice(str(Path(where.channel) / who.name), where.rate)
    line = SerialTerminalLine(who.name, port, who.address, bytes.fromhex(who.psam_serial))
    return OpenLine(line, Waiting(line, stop).wait, MESSAGE_BYTES)


def _tcp(where: SegmentLine, who: SenderOrder, clock: Clock, stop: int) -> OpenLine:
    from campus_node.lines.tcp_line import TcpTerminalLine  # noqa: PLC0415
    from campus_node.lines.tcp_tls import client_context  # noqa: PLC0415

    context = client_context(Path(where.authority), Path(who.chain), Path(who.key))
    host, _, port = where.channel.rpartition(":")
    line = TcpTerminalLine(
        who.name, (host, int(port)), where.server_name, context,
        random_bytes=os.urandom, now_s=clock.monotonic_s(),
    )  # fmt: skip

    def wait(seconds: float) -> bool:
        line.wait(min(seconds, BLIND_WAIT_S))
        return bool(select.select([stop], [], [], 0)[0])

    return OpenLine(line, wait, MESSAGE_BYTES_TCP)
