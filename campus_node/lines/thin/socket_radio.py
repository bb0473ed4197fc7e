"""A radio module behind a local socket (AF_UNIX, whole packets): what a modem's own program offers.

| packet | to the module | from the module |
|---|---|---|
| `01` | address1: be this address | places1: how many cells it keeps until they are sent |
| `02` | to1 ‖ cell: send it | from1 ‖ cell: it was heard |
| `03` | – | a cell was sent: its place is free |
"""

import socket
from pathlib import Path
from typing import Final

from campus_node.lines.errors import LineDown
from campus_node.lines.line import Peer
from campus_node.lines.thin.cells import CELL_BYTES_MAX
from campus_node.lines.thin.radio import Heard
from campus_node.wording import Sentence

JOIN: Final = 0x01
CELL: Final = 0x02
SENT: Final = 0x03
PACKET_BYTES_MAX: Final = 2 + CELL_BYTES_MAX
ANSWER_TIMEOUT_S: Final = 2.0


class SocketRadio:
    """One module. Not for several threads.

    Args:
        path: of its socket.
        address: the one to be, 0 for the head.

    Raises:
        LineDown: nobody serves the socket, or the address is taken there.
    """

    def __init__(self, path: Path | str, address: Peer) -> None:
        self._path = str(path)
        self._address = address
        self._socket: socket.socket | None = None
        self._places = 0
        self._kept = 0  # cells that the module has not sent yet
        self._closed = False
        self.restart()

    def send(self, cell: bytes, target: Peer) -> bool:
        connected = self._connected()
        if self._kept >= self._places:
            return False
        try:
            connected.send(bytes((CELL, target)) + cell)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._gone() from error
        self._kept += 1
        return True

    def receive(self) -> Heard | None:
        while True:
            connected = self._connected()
            try:
                packet = connected.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                return None
            except OSError as error:
                raise self._gone() from error
            if not packet:
                raise self._gone()
            if packet[0] == SENT:
                self._kept = max(0, self._kept - 1)
            elif packet[0] == CELL and len(packet) > 2:
                return Heard(Peer(packet[1]), packet[2:])

    def restart(self) -> None:
        self._let_go()
        if self._closed:
            raise self._gone()
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connecting.settimeout(ANSWER_TIMEOUT_S)
            connecting.connect(self._path)
            connecting.send(bytes((JOIN, self._address)))
            answer = connecting.recv(PACKET_BYTES_MAX)
            if len(answer) != 2 or answer[0] != JOIN:
                raise ConnectionRefusedError
            connecting.setblocking(False)
        except OSError as error:
            connecting.close()
            raise self._gone() from error
        self._socket, self._places, self._kept = connecting, answer[1], 0

    def descriptor(self) -> int | None:
        return -1 if self._socket is None else self._socket.fileno()

    def close(self) -> None:
        self._closed = True
        self._let_go()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise self._gone()
        return self._socket

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _gone(self) -> LineDown:
        self._let_go()
        return LineDown(Sentence("the radio at {path} does not work", path=self._path))
