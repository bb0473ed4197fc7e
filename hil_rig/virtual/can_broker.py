"""The CAN bus between processes: the model, kept at the clock's pace, behind a socket.

    python -m hil_rig.virtual.can_broker --socket /run/can0.sock --bitrate 250000

Every node is a connection. It stamps what it sends with the machine's monotonic clock; the broker lets the
model advance to that instant first, so that a busy machine delays deliveries but not bus time. Orders
(unplug, cut, short …) come over a connection of their own, see `BrokerOrders`.
"""

import argparse
import socket
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from federation.clock import Clock
from federation.errors import Misconfigured
from hil_rig.faults import FaultRecord
from hil_rig.virtual.can_bus.frame import Frame
from hil_rig.virtual.can_bus.model import BusModel
from hil_rig.virtual.can_bus.node import BusOff, CanNode, Item, Notice, NoticeKind, QueueFull
from hil_rig.virtual.can_bus.packets import (
    PACKET_BYTES_MAX,
    Kind,
    pack_frame,
    pack_json,
    pack_notice,
    unpack_filters,
    unpack_frame,
    unpack_json,
)
from hil_rig.virtual.paced_loop import PacedLoop, run_until_terminated

BACKLOG: Final = 256
SOCKET_BUFFER_BYTES: Final = 1 << 20
SEND_QUEUE_FRAMES: Final = 4096  # the node's own end counts and stops long before
PACKETS_A_TURN: Final = 64  # read from one connection before the others get their turn


class CanBroker:
    """The broker. A context manager that runs it in a thread; `loop.run()` runs it here.

    Args:
        path: of the socket; nothing may be there, or (`replace`) a socket that nobody serves any more.

    Raises:
        Misconfigured: something is there.
    """

    def __init__(
        self,
        path: Path | str,
        bitrate: int = 250_000,
        *,
        replace: bool = False,
        faults: FaultRecord | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.model = BusModel(bitrate, name=self.path.stem, faults=faults)
        self._listener = _listen(self.path, replace)
        self.loop = PacedLoop(self._step, self._due_ns, clock=clock, name=f"CAN broker {self.path}")
        self.loop.watch(self._listener, self._accept)
        self.model.advance_to(self.loop.now_ns())
        self._connections: dict[CanNode, Connection] = {}
        self._open: set[Connection] = set()
        self._sends: deque[tuple[int, CanNode, Frame]] = deque()

    def __enter__(self) -> Self:
        self.loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the broker and remove its socket; every node's connection ends."""
        try:
            self.loop.end()
        finally:
            for connection in self._open:
                connection.socket.close()
            self._listener.close()
            self.path.unlink(missing_ok=True)

    def queue(self, at_ns: int, node: CanNode, frame: Frame) -> None:
        """Take a frame that a node stamped; it is put on the bus in the order of the stamps."""
        self._sends.append((at_ns, node, frame))

    def attach(self, name: str, connection: "Connection", *, listen_only: bool) -> CanNode:
        """Give a connection a node of its own. Raise Misconfigured if the name is taken."""
        self.model.advance_to(self.loop.now_ns())
        node = self.model.attach(
            name, listen_only=listen_only, send_queue_frames=SEND_QUEUE_FRAMES, told=connection.told
        )
        self._connections[node] = connection
        return node

    def drop(self, connection: "Connection") -> None:
        """Forget a connection and its node."""
        self.loop.forget(connection.socket)
        self._open.discard(connection)
        connection.socket.close()
        if connection.node:
            del self._connections[connection.node]
            self.model.detach(connection.node)
            self._sends = deque(send for send in self._sends if send[1] is not connection.node)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:  # what JSON holds
        """Do what a hand at the cabling orders; return the answer."""
        self._submit()
        self.model.advance_to(self.loop.now_ns())
        nodes = self.model.nodes
        match order:
            case {"act": "unplug", "node": name} if name in nodes:
                nodes[name].unplug()
            case {"act": "plug", "node": name} if name in nodes:
                nodes[name].plug()
            case {"act": "stick", "node": name} if name in nodes:
                nodes[name].stick(bool(order.get("stuck", True)))
            case {"act": "cut", "names": list(names)} if all(name in nodes for name in names):
                self.model.cut(names)
            case {"act": "mend"}:
                self.model.mend()
            case {"act": "short"}:
                self.model.short(dominant=bool(order.get("dominant")))
            case {"act": "repair"}:
                self.model.repair()
            case {"act": "health"}:
                return self._health()
            case _:
                return {"error": f"no such order: {order}"}
        return {}

    def _health(self) -> dict[str, Any]:  # what JSON holds
        nodes = {
            name: {
                "state": str(node.state),
                "transmit_errors": node.counters.transmit,
                "receive_errors": node.counters.receive,
                "waiting": node.waiting,
                **node.counts,
            }
            for name, node in self.model.nodes.items()
        }
        model = self.model
        return {
            "now_ns": model.now_ns,
            "busy_ns": model.busy_ns,
            "frames_sent": model.frames_sent,
            "frames_begun": model.frames_begun,
            "nodes": nodes,
        }

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        connection = Connection(self, accepted)
        self._open.add(connection)
        self.loop.watch(accepted, connection.readable)

    def _step(self, now_ns: int) -> None:
        self._submit()
        self.model.advance_to(now_ns)

    def _submit(self) -> None:
        if len(self._sends) > 1:
            self._sends = deque(sorted(self._sends, key=lambda send: send[0]))
        now_ns = self.loop.now_ns()
        while self._sends:
            at_ns, node, frame = self._sends.popleft()
            self.model.advance_to(min(at_ns, now_ns))
            try:
                node.send(frame)
            except (BusOff, QueueFull, ValueError):
                node.counts["refused"] += 1  # its software had not heard yet, or does not count its frames

    def _due_ns(self) -> int | None:
        return self.model.now_ns if self._sends else self.model.next_ns


class Connection:
    """The broker's end of one node's socket, or of one that only gives orders."""

    def __init__(self, broker: CanBroker, accepted: socket.socket) -> None:
        self.socket = accepted
        self.node: CanNode | None = None
        self._broker = broker
        self._overrun = False

    def readable(self) -> None:
        """Take what has come, a bounded number of packets."""
        for _ in range(PACKETS_A_TURN):
            try:
                packet = self.socket.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            try:
                if not packet:
                    raise ValueError("closed")
                self._take(packet)
            except (ValueError, KeyError, TypeError):  # gone, or it speaks something else
                self._broker.drop(self)
                return

    def told(self, node: CanNode, item: Item) -> None:
        """Hand on what arrives at the node; what its owner is too slow for is lost, as in a controller."""
        if isinstance(item, Notice):
            self._push(pack_notice(item))
            return
        kind = Kind.SENT if item.own else Kind.RECEIVED
        if self._overrun:
            counters = node.counters
            notice = Notice(NoticeKind.OVERRUN, item.at_ns, node.state, counters.transmit, counters.receive)
            self._overrun = not self._push(pack_notice(notice))
        if not self._push(pack_frame(kind, item.at_ns, item.frame)):
            node.counts["overruns"] += 1
            self._overrun = True

    def _push(self, packet: bytes) -> bool:
        try:
            self.socket.send(packet)
        except BlockingIOError:
            return False
        except OSError:
            return True  # it has gone; `readable` will see that
        return True

    def _take(self, packet: bytes) -> None:
        kind = packet[0]
        if kind == Kind.SEND and self.node:
            at_ns, frame = unpack_frame(packet)
            self._broker.queue(at_ns, self.node, frame)
        elif kind == Kind.HELLO:
            self._push(pack_json(Kind.ANSWER, self._welcome(unpack_json(packet))))
        elif kind == Kind.ORDER:
            self._push(pack_json(Kind.ANSWER, self._broker.obey(unpack_json(packet))))
        elif kind == Kind.FILTERS and self.node:
            self.node.set_filters(unpack_filters(packet))
        elif kind == Kind.RECOVER and self.node:
            self._broker.model.advance_to(self._broker.loop.now_ns())
            self.node.recover()
        elif kind == Kind.FLUSH and self.node:
            self.node.flush()
        else:
            raise ValueError(f"no packet of kind {kind}")

    def _welcome(self, hello: dict[str, Any]) -> dict[str, Any]:  # what JSON holds
        name = str(hello["name"]) or f"node {len(self._broker.model.nodes) + 1}"
        try:
            self.node = self._broker.attach(name, self, listen_only=bool(hello["listen_only"]))
        except Misconfigured as error:
            return {"error": str(error)}
        return {"name": name, "bitrate": self._broker.model.bitrate}


def _listen(path: Path, replace: bool) -> socket.socket:
    if path.exists():
        if not path.is_socket() or not replace or _served(path):
            raise Misconfigured(f"{path} is there already: another broker's, or left by one that was killed")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(BACKLOG)
    return listener


def _served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the first line on standard output says that the socket is there."""
    parser = argparse.ArgumentParser(prog="python -m hil_rig.virtual.can_broker", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="path of the socket to make")
    parser.add_argument("--bitrate", type=int, default=250_000, help="bits per second")
    parser.add_argument("--replace", action="store_true", help="remove a socket that nobody serves")
    asked = parser.parse_args(arguments)
    try:
        broker = CanBroker(asked.socket, asked.bitrate, replace=asked.replace)
    except Misconfigured as error:
        parser.exit(1, f"{error}\n")
    try:
        run_until_terminated(broker.loop, {"socket": str(asked.socket), "bitrate": asked.bitrate})
    finally:
        broker.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
