"""A hand at a reader in another process: cards in software are laid down and taken away through a socket.

One AF_UNIX packet is one order, answered by `ok` or by what went wrong:

| order | what happens |
|---|---|
| `lay` or `lay soft:PROFILE,state=FILE` | a card is laid on the reader; the reader's own, or another one |
| `take` | it is taken away |
| `tear-after N` | it will leave when it has done the Nth command from now and not yet answered |
| `state` | answers `card` or `empty` |
"""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from federation.errors import CampusCardError
from hil_rig.virtual.device import Device
from hil_rig.virtual.in_process import VirtualReader

ORDER_BYTES_MAX: Final = 1024
ANSWER_TIMEOUT_S: Final = 10.0


class HandReader:
    """An empty reader, and the socket through which cards come to it.

    Args:
        path: of the socket; one that a killed process left is replaced.
        name: of the reader, for people.
        device_of: makes a card from its description; "" = the reader's own. The same card stays the same.
    """

    def __init__(self, path: Path, name: str, device_of: Callable[[str], Device]) -> None:
        self.reader = VirtualReader(name=name)
        self._path = path
        self._device_of = device_of
        self._devices: dict[str, Device] = {}
        path.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._run, name="hand", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more orders."""
        self._path.unlink(missing_ok=True)
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            with caller:
                order = caller.recv(ORDER_BYTES_MAX).decode()
                try:
                    answer = self._obey(order)
                except (CampusCardError, AssertionError, ValueError) as error:
                    answer = f"refused: {error}"
                caller.send(answer.encode())

    def _obey(self, order: str) -> str:
        word, _, rest = order.partition(" ")
        match word:
            case "lay":
                if rest not in self._devices:
                    self._devices[rest] = self._device_of(rest)
                self.reader.insert(self._devices[rest])
            case "take":
                self.reader.remove()
            case "tear-after":
                self.reader.tear_after_command(int(rest))
            case "state":
                return "card" if self.reader.occupied else "empty"
            case _:
                return f"refused: {word} is no order"
        return "ok"


def order(path: Path, text: str) -> str:
    """Give an order to the hand at a socket; return its answer. Raise OSError: nobody is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as calling:
        calling.settimeout(ANSWER_TIMEOUT_S)
        calling.connect(str(path))
        calling.send(text.encode())
        return calling.recv(ORDER_BYTES_MAX).decode()
