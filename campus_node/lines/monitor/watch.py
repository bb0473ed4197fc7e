"""Listening to a line at the clock's pace, or reading a capture: what comes, until enough has come."""

import select
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import can

from campus_node.lines.can.port import Setting
from campus_node.lines.errors import LineDown
from campus_node.lines.serial.serial_port import SerialDevice
from campus_node.lines.serial.timing import Timing
from campus_node.wording import Sentence
from federation.clock import Clock

WAIT_S: Final = 0.2  # so often somebody who wants to stop is heard
SILENT_INTERFACES: Final = (
    "slcan",
    "campus-broker",
    "campus-model",
)  # know how to listen and not acknowledge


class Enough(NamedTuple):
    """When to stop; None = not because of that.

    Args:
        most: frames, or arrivals of bytes.
        seconds: by the clock.
    """

    most: int | None = None
    seconds: float | None = None


class Arrival(NamedTuple):
    """Bytes from a serial line, and whether nothing more comes of what has begun with them."""

    at_s: float
    received: bytes
    gap: bool


def open_bus(
    interface: str, channel: str, bitrate: int, more: Mapping[str, Setting] | None = None
) -> can.BusABC:
    """Open a CAN controller to listen; where it can, without acknowledging.

    Raises:
        LineDown: it cannot be opened.
    """
    settings: dict[str, Any] = dict(more or {})  # Any: each interface has its own settings
    if interface in SILENT_INTERFACES:
        settings.setdefault("listen_only", True)
    try:
        return can.Bus(interface=interface, channel=channel, bitrate=bitrate, **settings)
    except Exception as error:  # drivers fail in ways of their own
        raise LineDown(
            Sentence(
                "{channel} cannot be opened as {interface}: {cause}",
                channel=channel,
                interface=interface,
                cause=error,
            )
        ) from error


def listen(bus: can.BusABC, clock: Clock, enough: Enough) -> Iterator[can.Message]:
    """Yield frames as they come. Raise LineDown if the controller fails."""
    end_s = None if enough.seconds is None else clock.monotonic_s() + enough.seconds
    count = 0
    while enough.most is None or count < enough.most:
        left_s = WAIT_S if end_s is None else end_s - clock.monotonic_s()
        if left_s <= 0:
            return
        try:
            message = bus.recv(min(left_s, WAIT_S))
        except (can.CanError, OSError, ValueError, LookupError) as error:
            raise LineDown(Sentence("the CAN controller failed: {cause}", cause=error)) from error
        if message is not None:
            count += 1
            yield message


def listen_serial(device: str, baud: int, clock: Clock, enough: Enough) -> Iterator[Arrival]:
    """Yield bytes as they come, and gaps; never sends. Raise LineDown if the port fails."""
    port = SerialDevice(device, baud)
    gap_s = Timing(baud, port.slack_s).gap_s
    end_s = None if enough.seconds is None else clock.monotonic_s() + enough.seconds
    count, begun = 0, False
    try:
        while enough.most is None or count < enough.most:
            left_s = WAIT_S if end_s is None else end_s - clock.monotonic_s()
            if left_s <= 0:
                return
            received = port.read()
            if received:
                count, begun = count + 1, True
                yield Arrival(clock.unix_ms() / 1000, received, gap=False)
            elif not _readable(port, min(left_s, gap_s if begun else WAIT_S)) and begun:
                begun = False
                yield Arrival(clock.unix_ms() / 1000, b"", gap=True)
    finally:
        port.close()


def taken(messages: Iterator[can.Message], count: int | None) -> Iterator[can.Message]:
    """Yield the first frames of a capture."""
    for number, message in enumerate(messages):
        if count is not None and number >= count:
            return
        yield message


def same_file(one: Path, other: Path) -> bool:
    """Tell whether writing one would destroy the other."""
    return one.exists() and other.exists() and one.samefile(other)


def _readable(port: SerialDevice, seconds: float) -> bool:
    descriptor = port.descriptor()
    assert descriptor is not None
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(1.0, seconds * 1000)))
