"""Opens the lines that the settings name, drives each by a thread of its own, and opens it again (B3, B4.1).

A line that cannot be opened stops no other one: it is tried again, later and later, without a person. What
its wire needs is imported here, when the first line of the kind is opened.
"""

import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from campus_node.gateway.building import Building
from campus_node.gateway.desk import HeadLine, LineDesk
from campus_node.gateway.settings_lines import (
    CanLineSettings,
    LineSettings,
    SerialLineSettings,
    TcpLineSettings,
    ThinLineSettings,
)
from campus_node.gateway.tcp_places import TcpPlaces
from campus_node.lines.counterpart import LeasedKeys
from campus_node.lines.driver import Drive
from campus_node.lines.errors import LineDown
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.reservations import FileReservation
from campus_node.settings_checks import split_listen
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import CampusCardError, Misconfigured

LOOK_EVERY_S: Final = 0.5
CAN_GAP_S: Final = 0.004  # some frames' time: others fill the bus while one waits for its flow control
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 60.0

_log = structlog.get_logger(__name__)

Random = Callable[[int], bytes]


class Opener:
    """Opens lines.

    Args:
        directory: the gateway's; paths in settings are relative to it.
        places: whom a TCP line admits.
        clock: unix time for SYNC.
        random_bytes: nonces and names.
    """

    def __init__(self, directory: Path, places: TcpPlaces, clock: Clock, random_bytes: Random) -> None:
        self._directory = directory
        self._places = places
        self._clock = clock
        self._random = random_bytes

    def open(self, settings: LineSettings, building: Building) -> HeadLine:
        """Return an open line.

        Raises:
            CampusCardError: it cannot be opened now; says why.
        """
        match settings:
            case CanLineSettings():
                return self._can(settings)
            case SerialLineSettings():
                return self._serial(settings, building)
            case TcpLineSettings():
                return self._tcp(settings)
            case ThinLineSettings():
                return self._thin(settings)

    def _can(self, settings: CanLineSettings) -> HeadLine:
        from campus_node.lines.can.head import HeadLine as CanHeadLine  # noqa: PLC0415 - heavy, by kind
        from campus_node.lines.can.port import CanConfiguration  # noqa: PLC0415
        from campus_node.lines.can.presence import Presence  # noqa: PLC0415
        from campus_node.lines.can.time_sync import TimeSource  # noqa: PLC0415

        configuration = CanConfiguration(settings.interface, settings.channel, settings.bitrate)
        port = configuration.port(0)
        line = CanHeadLine(settings.name, port, open_max=settings.uploads_open_max, bitrate=settings.bitrate)
        line.attach(Presence(line.tell))
        line.attach(TimeSource(self._unix_us))
        return line

    def _serial(self, settings: SerialLineSettings, building: Building) -> HeadLine:
        from campus_node.lines.serial.head import SerialHeadLine  # noqa: PLC0415 - by kind
        from campus_node.lines.serial.serial_port import Direction, SerialDevice  # noqa: PLC0415

        port = SerialDevice(settings.device, settings.baud, direction=Direction(settings.direction))
        planned = building.leases.addresses_on(settings.name)
        return SerialHeadLine(settings.name, port, addresses=planned)

    def _thin(self, settings: ThinLineSettings) -> HeadLine:
        from campus_node.lines.line import HEAD  # noqa: PLC0415
        from campus_node.lines.thin.head import ThinHeadLine  # noqa: PLC0415 - by kind
        from campus_node.lines.thin.socket_radio import SocketRadio  # noqa: PLC0415

        return ThinHeadLine(settings.name, SocketRadio(settings.socket, HEAD), self._random)

    def _tcp(self, settings: TcpLineSettings) -> HeadLine:
        from campus_node.lines.tcp_head import TcpHeadLine  # noqa: PLC0415 - by kind
        from campus_node.lines.tcp_link import BROAD, METERED  # noqa: PLC0415

        host, port = split_listen(settings.listen)
        try:
            listener = socket.create_server((host, port), family=_family(host), backlog=128)
        except OSError as error:
            raise LineDown(
                Sentence(
                    "{name}: {listen} cannot be had: {cause}",
                    name=settings.name,
                    listen=settings.listen,
                    cause=error.strerror,
                )
            ) from error
        try:
            return TcpHeadLine(
                settings.name,
                listener,
                self._places.context(),
                self._places.admission(settings.name),
                random_bytes=self._random,
                tempo=METERED if settings.metered else BROAD,
            )
        except BaseException:
            listener.close()
            raise

    def _unix_us(self, monotonic_s: float) -> int:
        ago_s = self._clock.monotonic_s() - monotonic_s
        return self._clock.unix_ms() * 1000 - round(ago_s * 1_000_000)


class LineKeeper:
    """Keeps one line open and driven, by a thread of its own.

    Args:
        settings: of the line.
        opener: opens it.
        building: whom its desk tells.
        numbers: file of its session numbers.
        clock: tells the time.
        random_bytes: nonces, jitter.
    """

    def __init__(
        self,
        settings: LineSettings,
        opener: Opener,
        building: Building,
        numbers: Path,
        clock: Clock,
        random_bytes: Random,
    ) -> None:
        self._settings = settings
        self._opener = opener
        self._building = building
        self._numbers = numbers
        self._clock = clock
        self._random = random_bytes
        self._jitter = random.Random(random_bytes(8))  # noqa: S311 - spreads retries
        self._ending = threading.Event()
        self.tried = threading.Event()  # the first attempt is over, either way
        self._thread = threading.Thread(target=self._run, name=f"line {settings.name}", daemon=True)

    def start(self) -> None:
        """Begin to open it."""
        self._thread.start()

    def stop(self) -> None:
        """Let the line go."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_s = RETRY_S_MIN
        while not self._ending.is_set():
            try:
                self._keep_open()
                wait_s = RETRY_S_MIN
            except (CampusCardError, OSError) as error:
                why = str(error)
            except ImportError as error:
                why = f"{error}: install campuscard[lines]"
            else:
                why = "it was closed"
            if self._ending.is_set():
                return
            _log.warning("line.down", line=self._settings.name, why=why, again_in_s=wait_s)
            self._building.line_is(self._settings, None, why)
            self.tried.set()
            self._ending.wait(self._jitter.uniform(wait_s / 2, wait_s))
            wait_s = min(wait_s * 2, RETRY_S_MAX)

    def _keep_open(self) -> None:
        line = self._opener.open(self._settings, self._building)
        try:
            numbers = FileReservation.open(self._numbers)
        except BaseException:
            line.close()
            raise
        source = LeasedKeys(self._building.leases.keys, self._clock)
        desk = LineDesk(line, HeadSessions(source, numbers, self._random), self._building, self._clock)
        self._building.line_is(self._settings, desk)
        _log.info("line.open", line=self._settings.name, kind=self._settings.kind)
        gap_s = CAN_GAP_S if isinstance(self._settings, CanLineSettings) else 0.0
        drive = Drive(desk, clock=self._clock, gap_s=gap_s)
        self.tried.set()
        try:
            while not self._ending.wait(LOOK_EVERY_S):
                if desk.down is not None:
                    raise desk.down
                if not drive.alive:
                    raise Misconfigured(Sentence("the drive of {name} has ended", name=self._settings.name))
        finally:
            drive.close()
            desk.step(self._clock.monotonic_s())  # what is ready goes out, as far as the line takes it
            desk.close()
            numbers.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
