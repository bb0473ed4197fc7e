"""A serial CAN adapter that speaks the Lawicel protocol ("slcan"): a pseudo-terminal in front of a bus node.

    python -m hil_rig.virtual.slcan_adapter --socket /run/can0.sock --link /run/slcan0
    can.Bus(interface="slcan", channel="/run/slcan0", bitrate=250000, sleep_after_open=0)

Commands are lines that end in a carriage return. What was done is answered with a carriage return, what was
not with a bell (07). After the commands of the Lawicel CAN232 and CANUSB manuals: S and s (bit rate), O, L
and C (open, listen, close), t T r R (send), F (status), V, N, M, m, X, Z. The serial side is not slowed down
to its bit rate, as on USB. While too many frames wait for the bus nothing is read: the writer has to wait.
"""

import argparse
import errno
import os
import tty
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import can

from federation.clock import Clock
from hil_rig.virtual.can_bus.broker_node import BrokerNode
from hil_rig.virtual.paced_loop import PacedLoop, run_until_terminated

OK: Final = b"\r"
REFUSED: Final = b"\a"
BITRATES: Final = dict(
    enumerate((10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000))
)
VERSION: Final = b"V1013"
SERIAL_NUMBER: Final = b"NCC01"
LINE_BYTES_MAX: Final = 64
READ_BYTES: Final = 4096
ANSWER_BYTES_MAX: Final = 1 << 18  # what the adapter keeps while nobody reads: about 9,000 frames
RETRY_NS: Final = 1_000_000
RECEIVED_A_TURN: Final = 64
STATUS_RECEIVE_FULL: Final = 0x01
STATUS_OVERRUN: Final = 0x08
STATUS_PASSIVE: Final = 0x20
STATUS_BUS_ERROR: Final = 0x80

Connect = Callable[[bool], can.BusABC]


class SlcanAdapter:
    """The adapter. A context manager that runs it in a thread.

    Args:
        connect: makes the node behind it when software opens the channel; called with True to listen only.
            The bus it returns must have a file number.
        bitrate: of the bus behind; another one is accepted and then does not open, as nothing would pass.
    """

    def __init__(self, connect: Connect, bitrate: int = 250_000, *, clock: Clock | None = None) -> None:
        self._connect = connect
        self._bitrate = bitrate
        self._asked_bitrate = 0
        self._bus: can.BusABC | None = None
        self._listen_only = False
        self._stamped = False
        self._status = 0
        self._typed = bytearray()  # not yet obeyed
        self._waits = False  # for room in the node's queue
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._answers = bytearray()  # not yet taken by the terminal
        self.loop = PacedLoop(
            lambda _: self._flush(), self._due_ns, clock=clock, name=f"slcan adapter {self.path}"
        )
        self.loop.watch(self._master, self._read)

    def __enter__(self) -> Self:
        self.loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the adapter: the node leaves the bus, the device fails."""
        try:
            self.loop.end()
        finally:
            if self._bus:
                self._bus.shutdown()
            os.close(self._master)
            os.close(self._slave)

    def _read(self) -> None:
        try:
            self._typed += os.read(self._master, READ_BYTES)
        except OSError:  # its other end is being closed or opened again
            return
        self._work()

    def _work(self) -> None:
        """Obey line by line, until one has to wait."""
        while OK in self._typed:
            line, _, rest = self._typed.partition(OK)
            answer = self._obey(bytes(line))
            if answer is None:
                break
            self._typed = rest
            self._write(answer)
        waits = OK in self._typed
        if waits != self._waits:
            self._waits = waits
            if waits:
                self.loop.forget(self._master)
            else:
                self.loop.watch(self._master, self._read)
        if not waits and len(self._typed) > LINE_BYTES_MAX:
            self._typed.clear()  # no command is that long
            self._write(REFUSED)

    def _obey(self, line: bytes) -> bytes | None:
        """Do what one line asks for and return the answer; None where it has to wait."""
        try:
            command, rest = line[:1].decode("ascii"), line[1:].decode("ascii")
            match command:
                case "t" | "T" | "r" | "R":
                    return self._send(command, rest)
                case "S" | "s":
                    return self._set_bitrate(command, rest)
                case "O" | "L":
                    return self._open(command == "L")
                case "C":
                    return self._shut()
                case "V":
                    return VERSION + OK
                case "N":
                    return SERIAL_NUMBER + OK
                case "F":
                    return self._report()
                case "Z":
                    self._stamped = rest == "1"
                    return OK
                case "" | "M" | "m" | "X":  # acceptance code and mask: all pass, as after switching on
                    return OK
        except (ValueError, KeyError):
            pass
        return REFUSED

    def _set_bitrate(self, command: str, rest: str) -> bytes:
        if self._bus:
            return REFUSED
        if command == "s":  # registers of an SJA1000 at 16 MHz, which it halves first
            timing = can.BitTiming.from_registers(8_000_000, int(rest[:2], 16), int(rest[2:4], 16))
            self._asked_bitrate = round(timing.bitrate)
        else:
            self._asked_bitrate = BITRATES[int(rest)]
        return OK

    def _open(self, listen_only: bool) -> bytes:
        if self._bus or self._asked_bitrate != self._bitrate:
            return REFUSED
        try:
            self._bus = self._connect(listen_only)
        except can.CanError:
            return REFUSED
        self._listen_only, self._status = listen_only, 0
        self.loop.watch(self._bus, self._receive)
        return OK

    def _shut(self) -> bytes:
        if not self._bus:
            return REFUSED
        self.loop.forget(self._bus)
        self._bus.shutdown()
        self._bus = None
        return OK

    def _send(self, command: str, rest: str) -> bytes | None:
        extended, remote = command in "TR", command in "rR"
        digits = 8 if extended else 3
        length = int(rest[digits : digits + 1], 16)
        payload = b"" if remote else bytes.fromhex(rest[digits + 1 :])
        if not self._bus or self._listen_only or length > 8 or (not remote and len(payload) != length):
            return REFUSED
        message = can.Message(
            arbitration_id=int(rest[:digits], 16),
            is_extended_id=extended,
            is_remote_frame=remote,
            dlc=length,
            data=None if remote else payload,
        )
        try:
            self._bus.send(message)
        except can.CanError as error:
            if error.error_code == errno.ENOBUFS:
                return None
            self._status |= STATUS_BUS_ERROR  # bus off, or the bus has ended
            return REFUSED
        return (b"Z" if extended else b"z") + OK

    def _receive(self) -> None:
        """Hand on what has arrived at the node."""
        for _ in range(RECEIVED_A_TURN):
            if not self._bus:
                break
            try:
                message = self._bus.recv(0)
            except can.CanError:  # the bus behind has ended: as if the adapter had been closed
                self._shut()
                break
            if message is None:
                break
            if message.is_error_frame:
                self._note()
            elif not self._write(self._typed_out(message)):
                self._status |= STATUS_RECEIVE_FULL | STATUS_OVERRUN
        if self._waits:
            self._work()

    def _note(self) -> None:
        assert self._bus
        if self._bus.state is can.BusState.PASSIVE:
            self._status |= STATUS_PASSIVE
        elif self._bus.state is can.BusState.ERROR:
            self._status |= STATUS_BUS_ERROR

    def _report(self) -> bytes:
        if not self._bus:
            return REFUSED
        status, self._status = self._status, 0
        return b"F%02X" % status + OK

    def _typed_out(self, message: can.Message) -> bytes:
        kind = ("R" if message.is_extended_id else "r") if message.is_remote_frame else ""
        kind = kind or ("T" if message.is_extended_id else "t")
        digits = 8 if message.is_extended_id else 3
        shown = f"{kind}{message.arbitration_id:0{digits}X}{message.dlc}"
        if not message.is_remote_frame:
            shown += bytes(message.data).hex().upper()
        if self._stamped:
            shown += f"{int(message.timestamp * 1000) % 60_000:04X}"
        return shown.encode() + OK

    def _write(self, answer: bytes) -> bool:
        """Write to the software, now or when it reads; tell whether there was room for all of it."""
        if len(self._answers) + len(answer) > ANSWER_BYTES_MAX:
            return False
        self._answers += answer
        self._flush()
        return True

    def _flush(self) -> None:
        if not self._answers:
            return
        try:
            del self._answers[: os.write(self._master, self._answers)]
        except BlockingIOError:
            return
        except OSError:  # its other end is being closed or opened again
            self._answers.clear()

    def _due_ns(self) -> int | None:
        return self.loop.now_ns() + RETRY_NS if self._answers else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the first line on standard output says that the device is there."""
    parser = argparse.ArgumentParser(prog="python -m hil_rig.virtual.slcan_adapter", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="of the broker whose bus it sits on")
    parser.add_argument("--bitrate", type=int, default=250_000, help="of that bus")
    parser.add_argument("--name", default="", help="of its node there")
    parser.add_argument("--link", type=Path, required=True, help="where the device is linked")
    asked = parser.parse_args(arguments)
    adapter = SlcanAdapter(
        lambda listen: BrokerNode(asked.socket, asked.name, listen_only=listen), asked.bitrate
    )
    asked.link.symlink_to(adapter.path)
    try:
        run_until_terminated(adapter.loop, {"device": str(asked.link)})
    finally:
        asked.link.unlink(missing_ok=True)
        adapter.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
