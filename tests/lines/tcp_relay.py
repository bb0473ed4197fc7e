"""A cable between a terminal and a head that can be cut without either of them being told."""

import selectors
import socket


class Relay:
    """Listens on a port of its own and passes bytes on, both ways, in `step`.

    Args:
        target: port of the head on this machine.
    """

    def __init__(self, target: int) -> None:
        self.cut = False
        self.spoil = False  # the next bytes that pass have one bit wrong
        self.calls = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def step(self) -> None:
        if self.cut:
            return
        for pair in list(self._pairs):
            for source, target in (pair, pair[::-1]):
                if not self._pass(source, target):
                    self._drop(pair)
                    break
        try:
            caller, _ = self._listener.accept()
        except BlockingIOError:
            return
        self.calls += 1
        other = socket.create_connection(("127.0.0.1", self._target))
        for end in (caller, other):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append((caller, other))

    def break_off(self) -> None:
        """End every connection; what is on its way is lost."""
        for pair in list(self._pairs):
            self._drop(pair)

    def close(self) -> None:
        self.break_off()
        self._listener.close()

    def _drop(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.remove(pair)
        for end in pair:
            end.close()

    def _pass(self, source: socket.socket, target: socket.socket) -> bool:
        try:
            content = source.recv(1 << 20)
            if not content:
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        if self.spoil:
            self.spoil = False
            content = content[:-1] + bytes((content[-1] ^ 1,))
        with selectors.DefaultSelector() as writable:
            writable.register(target, selectors.EVENT_WRITE)
            while content:
                writable.select(1.0)
                try:
                    content = content[target.send(content) :]
                except OSError:
                    return False
        return True
