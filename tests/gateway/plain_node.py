"""A node that follows gateway.proto and nothing else: keeps what arrives, says what it is told to say."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc

from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import GatewaysServicer, add_GatewaysServicer_to_server

WAIT_S = 30.0


class PlainNode(GatewaysServicer):
    """One campus's node, over mutual TLS with the campus's own certificates.

    Args:
        campus: its directory.
        port: 0 = a free one; after a stop the same serves again.
    """

    def __init__(self, campus: Path) -> None:
        self._pki = campus / "pki"
        self.port = 0
        self.hellos: list[pb.GatewayHello] = []
        self.records: dict[bytes, dict[int, pb.SpooledRecord]] = {}
        self.sizes: list[int] = []
        self.states: list[pb.GatewayState] = []
        self.alarms: list[pb.GatewayAlarm] = []
        self.asked: list[pb.ForwardedAuthorization] = []
        self.answers: Callable[[pb.ForwardedAuthorization], pb.AnsweredAuthorization | None] = lambda _: None
        self.first: list[pb.NodeToGateway] = []  # said to every new stream
        self.covers = True
        self.holding = False  # then nothing is committed
        self.alarms_through = 0
        self.committed: dict[bytes, int] = {}
        self.covered: dict[bytes, int] = {}
        self._moved = threading.Condition()
        self._out: queue.Queue[pb.NodeToGateway | None] = queue.Queue()
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self.stop()

    def start(self) -> None:
        leaf = self._pki / "leaves" / "node-1"
        credentials = grpc.ssl_server_credentials(
            [(leaf.with_suffix(".key").read_bytes(), leaf.with_suffix(".pem").read_bytes())],
            root_certificates=(self._pki / "root.pem").read_bytes() + (self._pki / "campus.pem").read_bytes(),
            require_client_auth=True,
        )
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        add_GatewaysServicer_to_server(self, self._server)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        assert self.port
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._out.put(None)
            self._server.stop(0).wait()
            self._server = None

    def say(self, message: pb.NodeToGateway) -> None:
        self._out.put(message)

    def restore(self, spool_id: bytes, committed_through: int) -> None:
        """Go back to a backup: forget what came after."""
        with self._moved:
            self.committed[spool_id] = committed_through
            self.covered[spool_id] = min(self.covered[spool_id], committed_through)
            kept = self.records[spool_id]
            self.records[spool_id] = {at: each for at, each in kept.items() if at <= committed_through}

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        with self._moved:
            assert self._moved.wait_for(reached, timeout_s), "the gateway never said it"

    def all_records(self) -> list[pb.SpooledRecord]:
        return [each for spool in self.records.values() for each in spool.values()]

    def Attach(  # noqa: N802 - as the service names it
        self, requests: Iterator[pb.GatewayToNode], _context: Any
    ) -> Iterator[pb.NodeToGateway]:
        hello = next(requests).hello
        self._out.put(None)  # an older stream ends
        self._out = out = queue.Queue()
        with self._moved:
            self.hellos.append(hello)
            self.records.setdefault(hello.spool_id, {})
            committed = self.committed.setdefault(hello.spool_id, 0)
            covered = self.covered.setdefault(hello.spool_id, 0)
            self._moved.notify_all()
        yield pb.NodeToGateway(
            welcome=pb.NodeWelcome(
                committed_through=committed,
                covered_through=covered,
                clock_unix_ms=hello.clock_unix_ms,
                alarms_through=self.alarms_through,
            )
        )
        yield from self.first
        reader = threading.Thread(target=self._read, args=(hello.spool_id, requests, out), daemon=True)
        reader.start()
        while (message := out.get()) is not None:
            yield message

    def _read(self, spool_id: bytes, requests: Iterator[pb.GatewayToNode], out: "queue.Queue[Any]") -> None:
        try:
            for message in requests:
                with self._moved:
                    answer = self._take(spool_id, message)
                    self._moved.notify_all()
                if answer is not None:
                    out.put(answer)
        except grpc.RpcError:
            out.put(None)

    def _take(self, spool_id: bytes, message: pb.GatewayToNode) -> pb.NodeToGateway | None:
        match message.WhichOneof("body"):
            case "records":
                return self._take_records(spool_id, message.records.records)
            case "state":
                self.states.append(message.state)
            case "alarm":
                self.alarms.append(message.alarm)
            case "authorization":
                self.asked.append(message.authorization)
                answer = self.answers(message.authorization)
                return None if answer is None else pb.NodeToGateway(authorization=answer)
        return None

    def _take_records(self, spool_id: bytes, records: Any) -> pb.NodeToGateway | None:
        positions = [each.position for each in records]
        assert positions == list(range(positions[0], positions[0] + len(positions)))
        self.sizes.append(len(positions))
        if self.holding:
            return None
        assert positions[0] <= self.committed[spool_id] + 1, "a gap"
        for each in records:
            known = self.records[spool_id].setdefault(each.position, each)
            assert known == each, "a position changed its content"
        self.committed[spool_id] = max(self.committed[spool_id], positions[-1])
        if self.covers:
            self.covered[spool_id] = self.committed[spool_id]
        return pb.NodeToGateway(
            taken=pb.SpoolTaken(
                committed_through=self.committed[spool_id], covered_through=self.covered[spool_id]
            )
        )
