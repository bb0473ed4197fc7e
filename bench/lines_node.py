"""What the benchmark's gateway talks to: a node that names its terminals and commits what comes."""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

import grpc

from campus_node.keys.lending import seal_lease
from campus_node.lines.counterpart import LeasedKey
from campus_node.purse.algorithm import Algorithm
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import GatewaysServicer, add_GatewaysServicer_to_server
from federation.clock import SystemClock
from hil_rig.senders.order import SenderOrder

DAY_MS: Final = 86_400_000


class CommittingNode(GatewaysServicer):
    """Takes records over mutual TLS, and remembers how many. A context manager.

    The gateway is what is measured; this stands for a node that answers at once.

    Args:
        campus: directory of the campus, for its certificates.
    """

    def __init__(self, campus: Path) -> None:
        self.port = 0
        self.records: dict[tuple[bytes, int], bytes] = {}  # by journal and number
        self.changed = 0  # records that came once more with other content
        self._pki = campus / "pki"
        self._roll = pb.NodeToGateway()
        self._moved = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])

    def __enter__(self) -> Self:
        leaf = self._pki / "leaves" / "node-1"
        credentials = grpc.ssl_server_credentials(
            [(leaf.with_suffix(".key").read_bytes(), leaf.with_suffix(".pem").read_bytes())],
            root_certificates=(self._pki / "root.pem").read_bytes() + (self._pki / "campus.pem").read_bytes(),
            require_client_auth=True,
        )
        add_GatewaysServicer_to_server(self, self._server)
        self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def enrol(self, terminals: Sequence[SenderOrder], certificate_pem: bytes) -> None:
        """Lend the keys of these terminals to the gateway with this certificate."""
        self._roll.roll.version = 1
        for each in terminals:
            lease = LeasedKey(
                bytes.fromhex(each.terminal_id), each.usage, each.key_version, Algorithm.TDES,
                bytes.fromhex(each.session_key), SystemClock().unix_ms() + DAY_MS,
            )  # fmt: skip
            serial = bytes.fromhex(each.psam_serial)
            sealed = seal_lease(lease, serial, certificate_pem)
            self._roll.roll.terminals.add(
                terminal_id=lease.terminal_id, name=each.name, psam_serial=serial, sealed_key=sealed
            )

    def wait_for(self, records: int, timeout_s: float) -> bool:
        """Wait until so many different records are there."""
        with self._moved:
            return self._moved.wait_for(lambda: len(self.records) >= records, timeout_s)

    # gRPC names the arguments; its context's type says nothing.
    def Attach(  # noqa: N802
        self, requests: Iterator[pb.GatewayToNode], context: Any
    ) -> Iterator[pb.NodeToGateway]:
        """Serve one stream of the gateway."""
        del context
        hello = next(requests).hello
        answers: queue.Queue[pb.NodeToGateway | None] = queue.Queue()
        welcome = pb.NodeWelcome(clock_unix_ms=hello.clock_unix_ms)
        yield pb.NodeToGateway(welcome=welcome)
        yield self._roll
        threading.Thread(target=self._read, args=(requests, answers), daemon=True).start()
        while (answer := answers.get()) is not None:
            yield answer

    def FetchImage(self, request: pb.ImageAsked, context: Any) -> Iterator[pb.ImagePart]:  # noqa: N802
        """Refuse: nothing is distributed here."""
        context.abort(grpc.StatusCode.NOT_FOUND, f"there is no image {request.hash.hex()}")
        yield pb.ImagePart()

    def _read(
        self, requests: Iterator[pb.GatewayToNode], answers: "queue.Queue[pb.NodeToGateway | None]"
    ) -> None:
        try:
            for message in requests:
                if message.WhichOneof("body") == "records":
                    through = self._commit(message.records.records)
                    taken = pb.SpoolTaken(committed_through=through, covered_through=through)
                    answers.put(pb.NodeToGateway(taken=taken))
        except grpc.RpcError:
            pass  # the gateway has gone
        answers.put(None)

    def _commit(self, records: Sequence[pb.SpooledRecord]) -> int:
        with self._moved:
            for each in records:
                known = self.records.setdefault((each.journal_id, each.seq), each.body)
                self.changed += known != each.body
            self._moved.notify_all()
        return records[-1].position
