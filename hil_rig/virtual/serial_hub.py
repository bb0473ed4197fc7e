"""RS-485 between processes: pseudo-terminals joined to one bus, paced by the bit rates their owners set.

    python -m hil_rig.virtual.serial_hub --directory DIR --node head --node till-1

Every node gets a pseudo-terminal, linked as DIR/<node>, that software opens as it would open a real port. The
bit rate is read from each terminal's own settings, so two that disagree understand nothing. Bytes reach the
others when their time on the wire is over: `SerialModel` decides, this keeps its pace.

What a pseudo-terminal cannot do: no direction control (RTS, RS-485 ioctls), and draining the output returns
at once; the sender itself must wait for as long as its bytes need.
"""

import argparse
import contextlib
import os
import termios
import threading
import tty
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from federation.clock import Clock
from hil_rig.virtual.paced_loop import PacedLoop, run_until_terminated
from hil_rig.virtual.serial_model import SerialEvent, SerialModel, SerialPort

READ_BYTES: Final = 4096
ACT_TIMEOUT_S: Final = 10.0
CHUNK_NS: Final = 20_000_000  # a long burst is handed on in pieces, as a UART would
RATES: Final = {
    getattr(termios, f"B{rate}"): rate
    for rate in (300, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
}

__all__ = ["PtyHub", "SerialEvent", "SerialModel", "SerialPort"]


class PtyHub:
    """Pseudo-terminals on one bus. A context manager that runs the hub in a thread.

    Args:
        names: of the nodes.
        trace: told of every burst when it ends, from the hub's thread.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        clock: Clock | None = None,
        trace: Callable[[SerialEvent], None] | None = None,
    ) -> None:
        self.model = SerialModel(trace=trace)
        self.loop = PacedLoop(self._step, self._due_ns, clock=clock, name="serial hub")
        self.model.advance_to(self.loop.now_ns())
        self.paths: dict[str, str] = {}  # node → device to open
        self.dropped = 0  # bytes that an owner did not read in time
        self._masters: dict[str, int] = {}
        self._slaves: list[int] = []  # held open: a closed one would read as an error
        self._acts: list[Callable[[], None]] = []
        for name in names:
            self._open(name)

    def __enter__(self) -> Self:
        self.loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unplug(self, name: str) -> None:
        """Pull a node's plug; from any thread."""
        self._do(self.model.ports[name].unplug)

    def plug(self, name: str) -> None:
        """Put it back; from any thread."""
        self._do(self.model.ports[name].plug)

    def stick(self, name: str, stuck: bool = True) -> None:
        """Let a node's transmitter hold the wire, or heal it; from any thread."""
        self._do(lambda: self.model.ports[name].stick(stuck))

    def close(self) -> None:
        """End the hub; every open device then fails."""
        if not self._masters:
            return
        self.loop.end()
        for descriptor in [*self._masters.values(), *self._slaves]:
            os.close(descriptor)
        self._masters.clear()
        self._slaves.clear()

    def _open(self, name: str) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._masters[name] = master
        self._slaves.append(slave)
        self.paths[name] = os.ttyname(slave)
        port = self.model.attach(name, told=self._deliver)
        self.loop.watch(master, lambda: self._take(port, master))

    def _take(self, port: SerialPort, master: int) -> None:
        """Put on the wire what a node's owner wrote."""
        try:
            written = os.read(master, READ_BYTES)
        except OSError:  # its other end is being closed or opened again
            return
        self._catch_up()
        port.write(written)

    def _deliver(self, port: SerialPort, received: bytes) -> None:
        try:
            handed = os.write(self._masters[port.name], received)
        except BlockingIOError:
            handed = 0
        self.dropped += len(received) - handed

    def _do(self, act: Callable[[], None]) -> None:
        """Have the hub's thread do something, and wait until it has."""
        done = threading.Event()
        self._acts += [act, done.set]
        self.loop.wake()
        assert done.wait(ACT_TIMEOUT_S), "the hub does not run"

    def _step(self, now_ns: int) -> None:
        if self._acts or self.model.next_ns is not None:
            self._catch_up(now_ns)
        while self._acts:
            self._acts.pop(0)()

    def _catch_up(self, now_ns: int | None = None) -> None:
        for name, master in self._masters.items():
            speed = termios.tcgetattr(master)[5]
            self.model.ports[name].baud = RATES.get(speed, self.model.ports[name].baud)
        self.model.advance_to(self.loop.now_ns() if now_ns is None else now_ns)

    def _due_ns(self) -> int | None:
        if self._acts:
            return self.model.now_ns
        next_ns = self.model.next_ns
        return None if next_ns is None else min(next_ns, self.model.now_ns + CHUNK_NS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the first line on standard output says that the devices are there."""
    parser = argparse.ArgumentParser(prog="python -m hil_rig.virtual.serial_hub", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where the nodes' devices are linked")
    parser.add_argument("--node", action="append", required=True, help="name of a node; repeat it")
    asked = parser.parse_args(arguments)
    hub = PtyHub(asked.node)
    links = [asked.directory / name for name in hub.paths]
    try:
        for link, device in zip(links, hub.paths.values(), strict=True):
            link.symlink_to(device)
        run_until_terminated(hub.loop, {"nodes": {name: str(asked.directory / name) for name in hub.paths}})
    finally:
        for link in links:
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
        hub.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
