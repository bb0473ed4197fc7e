"""A serial port of this machine: a real RS-485 adapter, or a pseudo-terminal (B4.1).

Who turns the transceiver round is decided here only. A pseudo-terminal has no such thing, and on it
draining returns at once: nobody here relies on either, the line computes how long its bytes take.
"""

import os
import stat
from enum import StrEnum
from typing import Final

import serial
from serial.rs485 import RS485Settings

from campus_node.lines.errors import LineDown
from campus_node.lines.serial.timing import BAUD
from campus_node.wording import Sentence

SLACK_S: Final = 0.02  # USB adapters hand bytes over every 16 ms, and this process is not always running
PTY_SLACK_S: Final = 0.06  # the hub hands a long frame on in pieces of 20 ms
WRITE_TIMEOUT_S: Final = 1.0  # a frame fits into the kernel's buffer; one that does not is taken by nobody
READ_BYTES_MAX: Final = 65_536
_PTY_MAJORS: Final = range(136, 144)  # Unix98 pseudo-terminals, Linux


class Direction(StrEnum):
    """Who turns the transceiver from listening to speaking and back."""

    ADAPTER = "adapter"  # it does so by itself, as most do
    KERNEL = "kernel"  # the UART's driver, by the RS-485 ioctl
    RTS = "rts"  # this process, by RTS: `write` then lasts as long as the frame


class SerialDevice:
    """See `SerialPortDriver`. The device is opened with the first use, and again after it failed.

    Args:
        path: for example `/dev/ttyUSB0`, better a name that stays, under `/dev/serial/by-id`.
        baud: bits a second.
        direction: who turns the transceiver; without meaning on a pseudo-terminal.
        slack_s: see `SerialPortDriver`; None: what fits the device.
    """

    def __init__(
        self,
        path: str,
        baud: int = BAUD,
        *,
        direction: Direction = Direction.ADAPTER,
        slack_s: float | None = None,
    ) -> None:
        self._path = path
        self._baud = baud
        self._direction = direction
        self._serial: serial.Serial | None = None
        self._closed = False
        pty = _is_pty(path)
        self._turns = False
        self.slack_s = slack_s if slack_s is not None else (PTY_SLACK_S if pty else SLACK_S)

    @property
    def baud(self) -> int:
        return self._baud

    def set_baud(self, baud: int) -> None:
        self._baud = baud
        opened = self._opened()
        try:
            opened.baudrate = baud
            opened.reset_input_buffer()
        except (serial.SerialException, OSError, ValueError) as error:
            raise self._down(error) from error

    def write(self, frame: bytes) -> None:
        opened = self._opened()
        by_rts = self._turns and self._direction is Direction.RTS
        try:
            if by_rts:
                opened.rts = True
            opened.write(frame)
            if by_rts:
                opened.flush()
                opened.rts = False
        except (serial.SerialException, OSError) as error:
            raise self._down(error) from error

    def read(self) -> bytes:
        opened = self._opened()
        try:
            return bytes(opened.read(READ_BYTES_MAX))
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: closed while it read
            raise self._down(error) from error

    def reopen(self) -> bool:
        try:
            self._opened()
        except LineDown:
            return False
        return True

    def descriptor(self) -> int | None:
        return self._serial.fileno() if self._serial is not None else -1

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _opened(self) -> serial.Serial:
        if self._closed:
            raise LineDown(Sentence("the line {name} is closed", name=self._path))
        if self._serial is None:
            try:
                self._serial = self._open()
            except (serial.SerialException, OSError, ValueError) as error:
                raise self._down(error) from error
        return self._serial

    def _open(self) -> serial.Serial:
        self._turns = not _is_pty(self._path)
        opened = serial.Serial(
            self._path, self._baud, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True
        )
        if self._turns and self._direction is Direction.KERNEL:
            opened.rs485_mode = RS485Settings()
        elif self._turns and self._direction is Direction.RTS:
            opened.rts = False
        return opened

    def _down(self, error: Exception) -> LineDown:
        self._drop()
        return LineDown(Sentence("the serial port {path} failed: {cause}", path=self._path, cause=error))

    def _drop(self) -> None:
        opened, self._serial = self._serial, None
        if opened is not None:
            opened.close()


def _is_pty(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PTY_MAJORS
