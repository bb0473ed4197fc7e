"""Radios between processes: the air of `radio_air`, kept at the clock's pace, behind a socket.

    python -m hil_rig.virtual.radio_hub --socket /run/air.sock --lose 0.05

Every radio is a connection that speaks as campus_node/lines/thin/socket_radio.py says.
"""

import argparse
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from campus_node.lines.line import ALL, Peer
from campus_node.lines.thin.cells import CELL_BYTES_MAX
from campus_node.lines.thin.radio import Heard
from campus_node.lines.thin.socket_radio import CELL, JOIN, PACKET_BYTES_MAX, SENT
from federation.clock import Clock
from federation.errors import Misconfigured
from hil_rig.virtual.paced_loop import SECOND_NS, PacedLoop, run_until_terminated
from hil_rig.virtual.radio_air import PLACES, AirRadio, Misfortune, RadioAir

BACKLOG: Final = 256
ACT_TIMEOUT_S: Final = 10.0


class RadioHub:
    """The air and its radios. A context manager that runs it in a thread; `loop.run()` runs it here.

    Args:
        path: of the socket; nothing may be there.
        seed, misfortune: see `RadioAir`.

    Raises:
        Misconfigured: something is there.
    """

    def __init__(
        self,
        path: Path | str,
        seed: int = 0,
        misfortune: Misfortune | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.air = RadioAir(seed, misfortune or Misfortune())
        if self.path.exists():
            raise Misconfigured(
                f"{self.path} is there already: another hub's, or left by one that was killed"
            )
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen(BACKLOG)
        self._open: set[_Connection] = set()
        self._acts: list[Callable[[], None]] = []
        self.loop = PacedLoop(self._step, self._due_ns, clock=clock, name=f"radio hub {self.path}")
        self.loop.watch(self._listener, self._accept)
        self.catch_up()

    def __enter__(self) -> Self:
        self.loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the hub and remove its socket; every radio's connection ends."""
        try:
            self.loop.end()
        finally:
            for connection in self._open:
                connection.socket.close()
            self._listener.close()
            self.path.unlink(missing_ok=True)

    def unplug(self, address: Peer, plugged: bool = False) -> None:
        """Take a radio's antenna off, or put it back; from any thread. Raise KeyError if it is not there."""
        radios = {each.radio.address: each.radio for each in tuple(self._open) if each.radio is not None}
        radio = radios[address]
        done = threading.Event()

        def act() -> None:
            radio.plugged = plugged
            done.set()

        self._acts.append(act)
        self.loop.wake()
        assert done.wait(ACT_TIMEOUT_S), "the hub does not run"

    def catch_up(self) -> None:
        """Let the air's time reach the clock's."""
        self.air.advance(self.loop.now_ns() / SECOND_NS)

    def drop(self, connection: "_Connection") -> None:
        """Forget a connection and its radio."""
        self.loop.forget(connection.socket)
        self._open.discard(connection)
        connection.socket.close()
        if connection.radio is not None:
            connection.radio.close()

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.setblocking(False)
        connection = _Connection(self, accepted)
        self._open.add(connection)
        self.loop.watch(accepted, connection.readable)

    def _step(self, now_ns: int) -> None:
        while self._acts:
            self._acts.pop(0)()
        self.air.advance(now_ns / SECOND_NS)

    def _due_ns(self) -> int | None:
        next_s = self.air.next_s
        return None if next_s == float("inf") else int(next_s * SECOND_NS) + 1


class _Connection:
    """The hub's end of one radio's socket."""

    def __init__(self, hub: RadioHub, accepted: socket.socket) -> None:
        self.socket = accepted
        self.radio: AirRadio | None = None
        self._hub = hub

    def readable(self) -> None:
        """Take what has come."""
        try:
            packet = self.socket.recv(PACKET_BYTES_MAX + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        self._hub.catch_up()
        if not packet or not self._take(packet):
            self._hub.drop(self)

    def _take(self, packet: bytes) -> bool:
        """Do what a packet asks for; False if it makes no sense."""
        if packet[0] == JOIN and len(packet) == 2 and self.radio is None and packet[1] != ALL:
            try:
                self.radio = self._hub.air.radio(Peer(packet[1]))
            except ValueError:
                return False
            self.radio.arrived, self.radio.left = self._heard, self._left
            self._push(bytes((JOIN, PLACES)))
            return True
        if packet[0] == CELL and self.radio is not None and 2 < len(packet) <= 2 + CELL_BYTES_MAX:
            return self.radio.send(packet[2:], Peer(packet[1]))
        return False

    def _heard(self, heard: Heard) -> None:
        self._push(bytes((CELL, heard.source)) + heard.cell)

    def _left(self) -> None:
        self._push(bytes((SENT,)))

    def _push(self, packet: bytes) -> None:
        """Hand a packet on; what its owner is too slow for is lost, as in a module."""
        try:
            self.socket.send(packet)
        except OSError:
            return


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the first line on standard output says that the socket is there."""
    parser = argparse.ArgumentParser(prog="python -m hil_rig.virtual.radio_hub", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="path of the socket to make")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same misfortunes")
    for name in ("lose", "corrupt", "duplicate", "delay"):
        parser.add_argument(f"--{name}", type=float, default=0.0, help="how often, 0.0 to 1.0")
    asked = parser.parse_args(arguments)
    misfortune = Misfortune(asked.lose, asked.corrupt, asked.duplicate, asked.delay)
    try:
        hub = RadioHub(asked.socket, asked.seed, misfortune)
    except Misconfigured as error:
        parser.exit(1, f"{error}\n")
    try:
        run_until_terminated(hub.loop, {"socket": str(asked.socket)})
    finally:
        hub.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
