"""Lays a card or a PSAM in software on a reader of the system's PC/SC service, through its driver vpcd.

The driver (Debian: vsmartcard-vpcd) is the TCP server, one port a reader; what is served here is its client.
Every message is a length of 2 bytes, big-endian, and that many bytes. One byte is a control: 00 power off, 01
power on, 02 reset, 04 asks for the answer to reset and is the only one that is answered. Everything else is a
command APDU.

The driver sends length and body in two packets and the kernel holds the second one back until the first is
acknowledged, so acknowledgements are asked for at once before every receive: 0.2 ms a command instead of 44.
The driver listens on all addresses of the machine: keep its ports off the network.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from hil_rig.faults import What
from hil_rig.virtual.device import Device, answer, cold_reset
from hil_rig.virtual.tears import Tears

POWER_OFF: Final = b"\x00"
POWER_ON: Final = b"\x01"
RESET: Final = b"\x02"
GET_ATR: Final = b"\x04"
CONNECT_TIMEOUT_S: Final = 2.0
RECONNECT_S: Final = 0.1  # until the next try, while nobody listens
HEALTH_S: Final = 0.5  # between two looks at the card's thread
STOP_TIMEOUT_S: Final = 10.0

Told = Callable[[bool], None]


class LineDown(Exception):
    """The driver closed the connection, or nobody listens. An error of the card's own files is none."""


def serve(device: Device, host: str, port: int, stop: threading.Event, told: Told | None = None) -> int:
    """Keep a device in a reader until stop is set; return how many commands it answered.

    Args:
        host: where pcscd runs.
        port: of the reader.
        told: called with True when the reader has found the device, with False when their connection ends.
    """
    with VpcdSlot(host, port, told=told) as slot:
        slot.insert(device)
        while not stop.wait(HEALTH_S):
            slot.demand_health()
        return slot.commands


class VpcdSlot:
    """The hand at one reader of vpcd: lays cards there, takes them away, tears them. Ends with its `with`.

    Args:
        host: where pcscd runs.
        port: of the reader.
        name: the reader's name, for people.
        told: called from another thread with True when the reader has found a card, with False when their
            connection ends.
    """

    def __init__(self, host: str, port: int, name: str = "", told: Told | None = None) -> None:
        self.host, self.port = host, port
        self.name = name or f"{host}:{port}"
        self.tears = Tears(self.name)
        self.commands = 0  # answered or torn
        self._told = told or (lambda _: None)
        self._hold = threading.RLock()  # the card is busy, or somebody lays hands on it
        self._device: Device | None = None
        self._socket: socket.socket | None = None
        self._left = threading.Event()
        self._found = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()
        if error is None:
            self.demand_health()

    # The hand at the reader: the same as at a VirtualReader.

    def insert(self, device: Device) -> None:
        """Lay a card on the empty reader; the driver looks for one every 400 ms."""
        self._end_thread()
        self.demand_health()
        assert self._device is None, "a card lies there; remove it first, or swap"
        self._left.clear()
        self._found.clear()
        self._device = device
        self._thread = threading.Thread(target=self._serve, name=f"card in {self.name}", daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Take the card away; nothing happens on an empty reader. The driver notices within 400 ms."""
        with self._hold:
            self._take_away()
        self._end_thread()

    def swap(self, device: Device) -> None:
        """Exchange the cards faster than the driver looks: an open channel leads to the new one, reset."""
        with self._hold:
            assert self._device is not None, "the reader is empty"
            self._device.power_off()
            self._device = device
            device.power_on()

    def tear_before_command(self, nth: int = 1) -> None:
        """Have the card leave just before the nth command from now reaches it."""
        self.tears.plan(What.CARD_LEFT_BEFORE, nth)

    def tear_after_command(self, nth: int = 1) -> None:
        """Have the card leave when it has done the nth command from now and not yet answered."""
        self.tears.plan(What.CARD_LEFT_AFTER, nth)

    def tear_in_answer(self, sent_bytes: int, nth: int = 1) -> None:
        """Have the connection end when sent_bytes of the answer to the nth command from now are out.

        The driver of Debian 12 hands on what it got as if it were the whole answer; a real reader would not.
        """
        self.tears.plan(What.CARD_LEFT_WITHIN, nth, sent_bytes)

    def wait_until_found(self, timeout_s: float) -> bool:
        """Tell whether the driver has found the card that was last laid there, at once or in timeout_s."""
        return self._found.wait(timeout_s)

    @property
    def occupied(self) -> bool:
        """Whether a card lies there."""
        return self._device is not None

    def demand_health(self) -> None:
        """Raise what ended the card's thread, if it was anything but a tear."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    # The card's thread.

    def _serve(self) -> None:
        try:
            while not self._left.is_set():
                with contextlib.suppress(
                    LineDown
                ):  # nobody listens, or the service ended: the next one will do
                    self._serve_once()
                self._left.wait(RECONNECT_S)
        except BaseException as failure:  # a mistake in the card: shown where the rig looks next
            self._failure = failure
            with self._hold:
                self._take_away()

    def _serve_once(self) -> None:
        with _connect(self.host, self.port) as line:
            with self._hold:
                if self._device is None:
                    return
                self._socket = line
                cold_reset(self._device)  # nothing volatile survives a connection
            try:
                message = _receive(line)
                self._found.set()
                self._told(True)
                while self._turn(line, message):
                    message = _receive(line)
            finally:
                with self._hold:
                    self._socket = None
                    if self._device is not None:
                        self._device.power_off()
                self._told(False)

    def _turn(self, line: socket.socket, message: bytes) -> bool:
        """Do what one message asks for; return whether the connection goes on."""
        with self._hold:
            if self._device is None:
                return False
            if len(message) > 1:
                return self._answer(line, self._device, message)
            if message == GET_ATR:
                _send(line, self._device.atr)
            elif message == POWER_OFF:
                self._device.power_off()
            elif message in (POWER_ON, RESET):
                cold_reset(self._device)
            return True

    def _answer(self, line: socket.socket, device: Device, command: bytes) -> bool:
        self.commands += 1
        outcome = answer(device, command, self.tears)
        if outcome.sent:
            _send(line, outcome.sent, outcome.length)
        if outcome.gone:
            self._take_away()
        return not outcome.gone

    def _take_away(self) -> None:
        self._left.set()
        if self._device is not None:
            self._device.power_off()
            self._device = None
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the other end was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def _end_thread(self) -> None:
        if self._thread is not None and self._left.is_set():
            self._thread.join(STOP_TIMEOUT_S)
            assert not self._thread.is_alive(), f"{self.name}: the card's thread does not end"
            self._thread = None


def _connect(host: str, port: int) -> socket.socket:
    try:
        line = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
        line.settimeout(None)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError as error:
        raise LineDown from error
    return line


def _send(line: socket.socket, payload: bytes, length: int | None = None) -> None:
    """Send a message, or the beginning of one that would have `length` bytes. Raise LineDown."""
    size = len(payload) if length is None else length
    try:
        line.sendall(size.to_bytes(2) + payload)
    except OSError as error:
        raise LineDown from error


def _receive(line: socket.socket) -> bytes:
    """Return the next message. Raise LineDown when the connection ends."""
    return _receive_bytes(line, int.from_bytes(_receive_bytes(line, 2)))


def _receive_bytes(line: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        try:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # the kernel forgets it again
            part = line.recv(size - len(received))
        except OSError as error:
            raise LineDown from error
        if not part:
            raise LineDown
        received += part
    return received
