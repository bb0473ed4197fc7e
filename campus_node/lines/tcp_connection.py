"""One TLS connection without blocking: bytes in, bytes out, and what to wait for."""

import os
import socket
import ssl
from enum import Enum
from typing import Final

from campus_node.lines.errors import LineDown
from campus_node.wording import Sentence

READ_BYTES: Final = 65_536
READS_A_STEP_MAX: Final = 16
OUT_BYTES_MAX: Final = 1 << 20  # what waits for a slow receiver; beyond that it is given up


class Stage(Enum):
    """How far a connection has come."""

    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    OPEN = "open"


class Connection:
    """A socket under TLS.

    Args:
        raw: a socket that does not block; connected, or on its way.
        context: of the right side, with our certificate and the authority that the other must have.
        server: whether we were called.
        server_name: the name that the server's certificate must have; only when we call.
        begun_at_s: monotonic seconds.
    """

    def __init__(
        self,
        raw: socket.socket,
        context: ssl.SSLContext,
        *,
        server: bool,
        begun_at_s: float,
        server_name: str | None = None,
    ) -> None:
        self.begun_at_s = begun_at_s
        self.more = False  # `read` stopped before the end: read again without waiting
        self.stage = Stage.CONNECTING
        self.wants_write = True
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw = raw
        self._context = context
        self._server = server
        self._server_name = server_name
        self._out = bytearray()
        self._secure: ssl.SSLSocket | None = None

    def fileno(self) -> int:
        """For a selector."""
        return (self._secure or self._raw).fileno()

    def leaf(self) -> bytes:
        """Return the other side's certificate, DER; empty before the handshake ended."""
        return (self._secure.getpeercert(binary_form=True) if self._secure else None) or b""

    def advance(self) -> None:
        """Go on until the connection is open or must wait. Raise LineDown if it failed."""
        try:
            if self.stage is Stage.CONNECTING:
                self._finish_connecting()
            if self.stage is Stage.HANDSHAKE and self._secure is not None:
                self._secure.do_handshake()
                self.stage, self.wants_write = Stage.OPEN, False
        except ssl.SSLWantReadError:
            self.wants_write = False
        except ssl.SSLWantWriteError:
            self.wants_write = True
        except (OSError, ValueError) as error:
            raise _down(error) from error

    def read(self) -> bytes:
        """Return what arrived; empty if nothing did. Raise LineDown at the end of the stream."""
        assert self._secure is not None, "only an open connection is read"
        found = bytearray()
        self.more = False
        try:
            for _ in range(READS_A_STEP_MAX):
                part = self._secure.recv(READ_BYTES)
                if not part:
                    if found:
                        break
                    raise LineDown(Sentence("the other side closed the connection"))
                found += part
            else:
                self.more = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            if not found:
                raise _down(error) from error
        return bytes(found)

    def write(self, content: bytes) -> None:
        """Queue bytes and send what goes out at once. Raise LineDown if that failed, or too much waits."""
        assert self._secure is not None, "only an open connection is written"
        self._out += content
        try:
            while self._out:
                sent = self._secure.send(self._out[:READ_BYTES])
                del self._out[:sent]
            self.wants_write = False
        except ssl.SSLWantWriteError:
            self.wants_write = True
        except ssl.SSLWantReadError:
            self.wants_write = False
        except OSError as error:
            raise _down(error) from error
        if len(self._out) > OUT_BYTES_MAX:
            raise LineDown(Sentence("the other side does not read"))

    @property
    def unsent_bytes(self) -> int:
        """How much waits to go out."""
        return len(self._out)

    def close(self) -> None:
        """Close the socket; the other side sees the end. May be called twice."""
        (self._secure or self._raw).close()

    def _finish_connecting(self) -> None:
        code = self._raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            self._raw.getpeername()
        except OSError as error:
            raise ssl.SSLWantWriteError from error  # not there yet
        self._secure = self._context.wrap_socket(
            self._raw,
            server_side=self._server,
            do_handshake_on_connect=False,
            server_hostname=self._server_name,
        )
        self.stage = Stage.HANDSHAKE


def _down(error: Exception) -> LineDown:
    return LineDown(Sentence("the connection failed: {cause}", cause=error))
