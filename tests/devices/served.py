"""A campus whose part for devices serves on real ports, and clients as strangers would write them."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse, HTTPSConnection
from typing import Any

import grpc
from sqlalchemy import Engine

from campus_node.database.connect import connect
from campus_node.devices.front import DeviceFront
from campus_node.devices.keys import create_key
from campus_node.operators.audit import Actor, auditing
from campus_node.settings import Settings
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1.gateway_pb2_grpc import DevicesStub
from federation.clock import SystemClock
from tests.serving.node import Campus

TIMEOUT_S = 20


@dataclass
class Answer:
    """What REST said."""

    status: int
    headers: dict[str, str]
    content: Any  # JSON

    @property
    def error(self) -> str:
        return str(self.content["error"]["name"])


@dataclass
class Served:
    """The interface of one campus, and how to reach it."""

    campus: Campus
    db: Engine
    front: DeviceFront
    web_port: int
    grpc_port: int
    clock: SystemClock = field(default_factory=SystemClock)

    def key(self, name: str = "doors", *kinds: str, reads: bool = True) -> str:
        with auditing(self.db, self.clock) as change:
            given = kinds or ("door-controller",)
            return create_key(change, Actor("alice", "test"), name, given, reads=reads, why="test")

    @property
    def trusted(self) -> bytes:
        return (self.campus.path / "pki" / "root.pem").read_bytes()

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.trusted.decode())

    def connected(self) -> ssl.SSLSocket:
        """A TLS connection on which anything can be written."""
        raw = socket.create_connection(("127.0.0.1", self.web_port), timeout=TIMEOUT_S)
        return self.tls().wrap_socket(raw, server_hostname=self.campus.settings.domain)

    def ask(self, method: str, path: str, body: bytes | None = None, key: str = "", **headers: str) -> Answer:
        """One call on a connection of its own."""
        connection = HTTPSConnection(self.campus.settings.domain, self.web_port, timeout=TIMEOUT_S)
        connection.sock = self.connected()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        with closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json", **sent})
            return answer_of(connection.getresponse())

    def report(self, *reports: object, key: str, **headers: str) -> Answer:
        body = json.dumps({"reports": reports}).encode()
        return self.ask("POST", "/v1/devices/reports", body, key, **headers)

    def grpc_report(self, request: pb.ReportRequest, key: str = "") -> int:
        """Raises grpc.RpcError."""
        with self.grpc_channel() as channel:
            metadata = (("authorization", f"Bearer {key}"),) if key else ()
            return int(DevicesStub(channel).Report(request, metadata=metadata, timeout=TIMEOUT_S).taken)

    def grpc_channel(self) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(self.trusted)
        name = ("grpc.ssl_target_name_override", self.campus.settings.domain)
        return grpc.secure_channel(f"127.0.0.1:{self.grpc_port}", credentials, [name])

    def now(self) -> str:
        from campus_node.devices.topology import instant

        return str(instant(self.clock.unix_ms()))

    def door(self, device: str = "east-1", **changes: object) -> dict[str, object]:
        return {
            "device": device,
            "kind": "door-controller",
            "health": "well",
            "at": self.now(),
            "silent_after_s": 300,
            "figures": [{"name": "temperature_c", "value_thousandths": 21_500}],
            "place": "东门",
        } | changes

    def require_alive(self, key: str) -> None:
        assert self.ask("GET", "/v1/devices", key=key).status == 200


def answer_of(response: HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, json.loads(response.read()))


@contextmanager
def serving(campus: Campus, settings: Settings) -> Iterator[Served]:
    """Serve from a thread, as a node does from its loop."""
    clock = SystemClock()
    db = connect(campus.directory.database_url(settings))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[DeviceFront, tuple[int, int]]:
        front = DeviceFront(campus.path, settings, db, clock)
        return front, await front.start()

    front, ports = asyncio.run_coroutine_threadsafe(start(), loop).result(TIMEOUT_S)
    try:
        yield Served(campus, db, front, *ports)
    finally:
        asyncio.run_coroutine_threadsafe(front.stop(), loop).result(TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_S)
        loop.close()
        db.dispose()
