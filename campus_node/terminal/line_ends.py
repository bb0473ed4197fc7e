"""Opens the terminal's end of its line, and drives it by a thread of its own (B3, B4.1).

What its wire needs is imported here, when the line is opened. The thread only moves bytes: what arrives waits
for the till's loop, which is woken.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from campus_node.lines.distribution import BlockReceiver
from campus_node.lines.errors import LineDown
from campus_node.lines.line import HEAD, Peer, Received
from campus_node.settings_checks import split_listen
from campus_node.terminal.settings import LineSettings, PkiSettings
from campus_node.terminal.upload import MESSAGE_BYTES
from campus_node.wording import Sentence
from federation.clock import Clock

if TYPE_CHECKING:
    from campus_node.lines.can.signals import Heartbeat

INBOX_MAX: Final = 512
MESSAGE_BYTES_TCP: Final = 4000
CAN_RATE: Final = 250_000
SERIAL_RATE: Final = 115_200
SERIAL_RATES: Final = (115_200, 57_600, 38_400, 19_200, 9_600)
CONTACT_S: Final = 10.0
REACHED_S: Final = 150.0  # longer than two calls of a terminal that is refused lie apart
PROBE_S: Final = 20.0  # how often the gateway is asked for a sign of life
PROBE_S_THIN: Final = 120.0
NEVER_S: Final = float("inf")

Random = Callable[[int], bytes]


class TerminalEnd(Protocol):
    """A line's terminal end, as each wire has it."""

    @property
    def name(self) -> str: ...

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None: ...

    def receive(self, timeout_s: float) -> Received | None: ...

    def step(self, now_s: float) -> float: ...

    def descriptor(self) -> int | None: ...

    def close(self) -> None: ...


class LineEnd:
    """A terminal end that is stepped on one thread and used on another: a `Line`, and what a `Drive` drives.

    Args:
        inner: the wire's own.
        lock: held while it is stepped: who has it is alone with what the line's blocks lead to.
        rung: called, on the driving thread, when something has arrived.
        message_bytes: about how long a message with records may be.
        probe_s: how often a sign of life is worth asking for.
        contact: whether there is a head at the other end, as far as the wire can tell.
    """

    def __init__(
        self,
        inner: TerminalEnd,
        lock: threading.RLock,
        rung: Callable[[], None],
        contact: Callable[[float], bool],
        *,
        message_bytes: int = MESSAGE_BYTES,
        probe_s: float = PROBE_S,
    ) -> None:
        self.message_bytes = message_bytes
        self.probe_s = probe_s
        self._inner = inner
        self._lock = lock
        self._rung = rung
        self._contact = contact
        self._inbox: deque[Received] = deque(maxlen=INBOX_MAX)
        self._down: LineDown | None = None

    @property
    def name(self) -> str:
        """See `Line.name`."""
        return self._inner.name

    @property
    def wake(self) -> Callable[[], None]:
        """What ends the drive's waiting; set by the drive."""
        found: Callable[[], None] = getattr(self._inner, "wake", _asleep)
        return found

    @wake.setter
    def wake(self, wake: Callable[[], None]) -> None:
        if hasattr(self._inner, "wake"):
            self._inner.wake = wake

    @property
    def failed(self) -> bool:
        """Whether the line's end says that it does not work any more."""
        return self._down is not None

    def has_contact(self, now_s: float) -> bool:
        """Whether a head seems to be there; any stranger on a bus could pretend so."""
        return self._contact(now_s)

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`."""
        self._inner.send(peer, message, urgent=urgent)

    def receive(self, timeout_s: float) -> Received | None:  # noqa: ARG002 - whoever waits, waits for the bell
        """Return what has arrived, None if nothing; never waits. Raise LineDown."""
        if self._inbox:
            return self._inbox.popleft()
        if self._down is not None:
            raise self._down
        return None

    def step(self, now_s: float) -> float:
        """See `Stepped.step`; on the driving thread."""
        arrived = False
        with self._lock:
            due_s = self._inner.step(now_s)
        try:
            while len(self._inbox) < INBOX_MAX and (received := self._inner.receive(0)) is not None:
                self._inbox.append(received)
                arrived = True
            self._down = None
        except LineDown as error:
            self._down = error
        if arrived:
            self._rung()
        return due_s

    def descriptor(self) -> int | None:
        """See `Driven.descriptor`."""
        return self._inner.descriptor()

    def close(self) -> None:
        """See `Line.close`."""
        self._inner.close()


class Ends:
    """Opens the end that the settings name.

    Args:
        directory: the terminal's; paths in settings are relative to it.
        name: the terminal's.
        serial: its PSAM's serial number, 10 bytes.
        blocks: takes blocks that come to all.
        lock: see `LineEnd`.
        rung: likewise.
        state: whether it sells and how many records wait, for heartbeats; asked on the driving thread.
        random_bytes: names and jitter.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        serial: bytes,
        blocks: BlockReceiver,
        *,
        lock: threading.RLock,
        rung: Callable[[], None],
        clock: Clock,
        random_bytes: Random,
        state: Callable[[], tuple[bool, int]],
    ) -> None:
        self._state = state
        self._directory = directory
        self._name = name
        self._serial = serial
        self._blocks = blocks
        self._lock = lock
        self._rung = rung
        self._clock = clock
        self._random = random_bytes

    def open(self, line: LineSettings, pki: PkiSettings) -> LineEnd:
        """Return an open line.

        Raises:
            CampusCardError: it cannot be opened now.
        """
        match line.kind:
            case "can":
                return self._can(line)
            case "serial":
                return self._serial_line(line)
            case "tcp":
                return self._tcp(line, pki)
            case "thin":
                return self._thin(line)
            case "none":
                raise AssertionError("a terminal without a line opens none")

    def _can(self, line: LineSettings) -> LineEnd:
        from campus_node.lines.can.multicast_receiver import MulticastReceiver  # noqa: PLC0415 - by kind
        from campus_node.lines.can.port import CanConfiguration  # noqa: PLC0415
        from campus_node.lines.can.presence import HeartbeatSource  # noqa: PLC0415
        from campus_node.lines.can.terminal import TerminalLine  # noqa: PLC0415
        from campus_node.terminal.head_heard import HeadHeard  # noqa: PLC0415

        more: dict[str, Any] = {"node": self._name} if line.interface == "campus-broker" else {}
        channel = line.channel
        if line.interface == "campus-broker":
            channel = str(self._directory / channel)
        configuration = CanConfiguration(line.interface, channel, line.rate or CAN_RATE, more)
        spread = int.from_bytes(self._serial[-2:]) / 0xFFFF
        inner = TerminalLine(self._name, configuration.port(line.address), line.address, spread=spread)
        inner.attach(MulticastReceiver(line.address, self._blocks))
        heard = HeadHeard()
        inner.attach(heard)
        inner.attach(HeartbeatSource(lambda: self._heartbeat(line.address)))
        return LineEnd(inner, self._lock, self._rung, heard.lately)

    def _heartbeat(self, address: int) -> "Heartbeat":
        from campus_node.lines.can.signals import Condition, Heartbeat  # noqa: PLC0415 - by kind

        sells, waiting = self._state()
        return Heartbeat(
            address,
            Condition.SELLING if sells else Condition.CLOSED,
            records_waiting=min(waiting, 0xFFFF),
            serial=int.from_bytes(self._serial[-2:]),
        )

    def _serial_line(self, line: LineSettings) -> LineEnd:
        from campus_node.lines.serial.serial_port import Direction, SerialDevice  # noqa: PLC0415 - by kind
        from campus_node.lines.serial.terminal import SerialTerminalLine  # noqa: PLC0415

        rate = line.rate or SERIAL_RATE
        port = SerialDevice(line.channel, rate, direction=Direction(line.direction))
        rates = () if line.rate else SERIAL_RATES
        inner = SerialTerminalLine(self._name, port, line.address, self._serial, rates=rates)
        inner.attach_receiver(self._blocks)
        return LineEnd(inner, self._lock, self._rung, lambda now_s: inner.asked_within(now_s, CONTACT_S))

    def _thin(self, line: LineSettings) -> LineEnd:
        from campus_node.lines.thin.socket_radio import SocketRadio  # noqa: PLC0415 - by kind
        from campus_node.lines.thin.terminal import ThinTerminalLine  # noqa: PLC0415

        radio = SocketRadio(line.channel, Peer(line.address))
        inner = ThinTerminalLine(self._name, radio, line.address, self._random)
        return LineEnd(inner, self._lock, self._rung, _nobody_knows, probe_s=PROBE_S_THIN)

    def _tcp(self, line: LineSettings, pki: PkiSettings) -> LineEnd:
        from campus_node.lines.tcp_line import TcpTerminalLine  # noqa: PLC0415 - by kind
        from campus_node.lines.tcp_link import BROAD, METERED  # noqa: PLC0415
        from campus_node.lines.tcp_tls import client_context  # noqa: PLC0415

        context = client_context(
            self._directory / pki.campus_ca, self._directory / pki.certificate, self._directory / pki.key
        )
        inner = TcpTerminalLine(
            self._name,
            _address_of(line.head),
            line.head_name,
            context,
            random_bytes=self._random,
            now_s=self._clock.monotonic_s(),
            tempo=METERED if line.metered else BROAD,
        )
        return LineEnd(
            inner,
            self._lock,
            self._rung,
            lambda now_s: HEAD in inner.connected() or _lately(inner.reached_s, now_s),
            message_bytes=MESSAGE_BYTES_TCP,
            probe_s=PROBE_S_THIN if line.metered else PROBE_S,
        )


def _address_of(text: str) -> tuple[str, int]:
    host, port = split_listen(text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LineDown(Sentence("{host} has no address: {cause}", host=host, cause=error.strerror)) from error
    return str(found[0][4][0]), port


def _lately(reached_s: float | None, now_s: float) -> bool:
    """Whether a head answered a call since then; one that refuses this terminal ends the call at once."""
    return reached_s is not None and now_s - reached_s < REACHED_S


def _nobody_knows(_now_s: float) -> bool:
    return False


def _asleep() -> None:
    """No thread drives this line."""
