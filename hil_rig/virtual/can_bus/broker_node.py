"""A node of the paced broker as a python-can bus: `can.Bus(interface="campus-broker", channel="/path/sock")`.

The interface behaves as Linux's: `send` refuses with ENETDOWN while the node is off the bus and with ENOBUFS
when the queue is full; changes of state arrive as error frames; `state` is ACTIVE, PASSIVE (error passive) or
ERROR (bus off), and setting it to ACTIVE begins the recovery. One thread may send while another receives.
"""

import errno
import select
import socket
import threading
from pathlib import Path
from typing import Any, Final

import can

from federation.clock import Clock, SystemClock
from hil_rig.virtual.can_bus.confinement import State
from hil_rig.virtual.can_bus.messages import (
    SECOND_NS,
    STATES,
    packed_message,
    to_filters,
    to_frame,
    to_message,
)
from hil_rig.virtual.can_bus.node import SEND_QUEUE_FRAMES, Notice, NoticeKind
from hil_rig.virtual.can_bus.packets import (
    PACKET_BYTES_MAX,
    Kind,
    pack_frame,
    pack_json,
    unpack_json,
    unpack_notice,
)

ANSWER_TIMEOUT_S: Final = 10.0


class BrokerNode(can.BusABC):
    """One node on a broker's bus.

    Args:
        channel: path of the broker's socket.
        node: its name there; empty = the broker gives one.
        receive_own_messages: hand out what this node sent, too, once it was acknowledged.
        listen_only: neither send nor acknowledge.

    Raises:
        can.CanInitializationError: nobody serves the socket, or the name is taken.
    """

    def __init__(
        self,
        channel: str | Path,
        node: str = "",
        can_filters: can.typechecking.CanFilters | None = None,
        receive_own_messages: bool = False,
        listen_only: bool = False,
        clock: Clock | None = None,
        **kwargs: Any,  # what python-can's configuration holds besides
    ) -> None:
        self._clock = clock or SystemClock()
        self._receive_own = receive_own_messages
        self._state = State.ACTIVE
        self._outstanding = 0  # given to the broker and not yet on the wire
        self._lock = threading.Lock()
        self._kept: list[can.Message] = []  # read while a place in the queue was waited for
        self._buffer = memoryview(bytearray(PACKET_BYTES_MAX))
        self._socket = _connect(Path(channel))
        answer = _ask(self._socket, pack_json(Kind.HELLO, {"name": node, "listen_only": listen_only}))
        if "error" in answer:
            self._socket.close()
            raise can.CanInitializationError(answer["error"])
        self.name: str = answer["name"]
        self.bitrate: int = answer["bitrate"]
        super().__init__(channel=str(channel), can_filters=can_filters, **kwargs)

    def __str__(self) -> str:
        return f"{self.name} on a broker ({self.bitrate} bit/s)"

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Queue a frame; with a timeout in seconds, wait for a place in the queue.

        Raises:
            can.CanOperationError: the node is off the bus (ENETDOWN), its queue stays full (ENOBUFS), or the
                broker has ended.
            ValueError: no such classical frame exists.
        """
        frame = to_frame(msg)
        frame.demand_valid()
        deadline_s = self._clock.monotonic_s() + (timeout or 0)
        while self._outstanding >= SEND_QUEUE_FRAMES:
            packet = self._next_packet(deadline_s)
            if packet is None:
                raise can.CanOperationError(f"{self}: the queue is full", errno.ENOBUFS)
            if message := self._understand(packet):
                self._kept.append(message)
        if self._state is State.BUS_OFF:
            raise can.CanOperationError(f"{self} is bus off", errno.ENETDOWN)
        with self._lock:
            self._outstanding += 1
        at_ns = int(self._clock.monotonic_s() * SECOND_NS)
        self._say(pack_frame(Kind.SEND, at_ns, frame))

    def recover(self) -> None:
        """Begin the recovery from bus-off: 128 runs of 11 recessive bits."""
        self._say(bytes([Kind.RECOVER]))

    @property
    def state(self) -> can.BusState:
        """As far as its notices were received: `recv` first."""
        return STATES[self._state]

    @state.setter
    def state(self, new_state: can.BusState) -> None:
        if new_state is not can.BusState.ACTIVE:
            raise NotImplementedError("only ACTIVE can be asked for")
        self.recover()

    def flush_tx_buffer(self) -> None:
        self._say(bytes([Kind.FLUSH]))
        with self._lock:
            self._outstanding = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def shutdown(self) -> None:
        if not self._is_shutdown:
            self._socket.close()
        super().shutdown()

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if self._kept:
            return self._kept.pop(0), True
        return self._read(timeout), True

    def _read(self, timeout: float | None) -> can.Message | None:
        """Return the next message; None when the time is over."""
        if timeout == 0:
            while packet := self._packet_here():
                if message := self._understand(packet):
                    return message
            return None
        deadline_s = None if timeout is None else self._clock.monotonic_s() + timeout
        while packet := self._next_packet(deadline_s):
            if message := self._understand(packet):
                return message
        return None

    def _next_packet(self, deadline_s: float | None) -> bytes | None:
        left_s = None if deadline_s is None else max(0.0, deadline_s - self._clock.monotonic_s())
        if left_s != 0 and not select.select([self._socket], [], [], left_s)[0]:
            return None
        return self._packet_here(0 if left_s != 0 else socket.MSG_DONTWAIT)

    def _packet_here(self, flags: int = socket.MSG_DONTWAIT) -> bytes | None:
        try:
            length = self._socket.recv_into(self._buffer, 0, flags)
        except BlockingIOError:
            return None
        except OSError as error:
            raise can.CanOperationError(f"{self}: the broker has ended") from error
        if not length:
            raise can.CanOperationError(f"{self}: the broker has ended")
        return bytes(self._buffer[:length])

    def _understand(self, packet: bytes) -> can.Message | None:
        if packet[0] == Kind.NOTICE:
            notice = unpack_notice(packet)
            self._heed(notice)
            return to_message(notice, self.name)
        own = packet[0] == Kind.SENT
        if own:
            with self._lock:
                self._outstanding = max(0, self._outstanding - 1)
            if not self._receive_own:
                return None
        return packed_message(packet, own=own, channel=self.name)

    def _heed(self, notice: Notice) -> None:
        if notice.kind is not NoticeKind.OVERRUN:
            self._state = notice.state
        if notice.state is State.BUS_OFF or notice.kind is NoticeKind.OVERRUN:
            with self._lock:
                self._outstanding = 0  # forgotten there, or the count of them was lost

    def _apply_filters(self, filters: can.typechecking.CanFilters | None) -> None:
        self._say(pack_json(Kind.FILTERS, [list(one) for one in to_filters(filters)]))

    def _say(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except OSError as error:
            raise can.CanOperationError(f"{self}: the broker has ended") from error


class BrokerOrders:
    """A hand at the cabling of a broker's bus. A context manager.

    Raises:
        can.CanInitializationError: nobody serves the socket.
    """

    def __init__(self, path: str | Path) -> None:
        self._socket = _connect(Path(path))

    def __enter__(self) -> "BrokerOrders":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def order(self, act: str, **arguments: Any) -> dict[str, Any]:  # what JSON holds
        """Have something done: unplug, plug, stick, cut, mend, short, repair, health; see `CanBroker.obey`.

        Raises:
            ValueError: the broker knows no such order, or no such node.
        """
        answer = _ask(self._socket, pack_json(Kind.ORDER, {"act": act, **arguments}))
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise can.CanInitializationError(f"nobody serves {path}: {error}") from error
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return connection


def _ask(connection: socket.socket, packet: bytes) -> dict[str, Any]:  # what JSON holds
    connection.settimeout(ANSWER_TIMEOUT_S)
    try:
        connection.send(packet)
        while (answer := connection.recv(PACKET_BYTES_MAX)) and answer[0] != Kind.ANSWER:
            pass  # a frame that arrived in between
    except OSError as error:
        raise can.CanInitializationError("the broker does not answer") from error
    connection.settimeout(None)
    if not answer:
        raise can.CanInitializationError("the broker has ended")
    unpacked: dict[str, Any] = unpack_json(answer)
    return unpacked
