"""Garbage, floods and slow callers at the open interface: honest ones go on (B5.2)."""

import random
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import pytest

from campus_node.devices import rest_guard, web_server
from campuscard.v1 import gateway_pb2 as pb
from tests.devices.served import Served, serving
from tests.serving.node import make_campus

LINE = b"POST /v1/devices/reports HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    patch = pytest.MonkeyPatch()
    for section in ("WEB", "DEVICES"):
        patch.setenv(f"CAMPUS_{section}__LISTEN", "127.0.0.1:0")
    patch.setenv("CAMPUS_DEVICES__CALLS_PER_S", "1000")
    # Shorter than in service, so that a test sees them end.
    patch.setattr(web_server, "HEAD_TIMEOUT_S", 0.5)
    patch.setattr(web_server, "HANDSHAKE_TIMEOUT_S", 1.0)
    patch.setattr(rest_guard.Guard.__init__, "__defaults__", (0.5,))
    campus = make_campus(tmp_path_factory.mktemp("rough") / "north")
    with serving(campus, campus.directory.settings()) as running:
        yield running
    patch.undo()


@pytest.fixture(scope="module")
def key(served: Served) -> str:
    return served.key("honest")


def rest_of(connection: ssl.SSLSocket) -> bytes:
    """Everything until the other side closes."""
    told = b""
    try:
        while part := connection.recv(65_536):
            told += part
    except (ConnectionResetError, ssl.SSLError):
        pass
    return told


def test_a_message_that_is_too_large_is_refused_before_it_is_read(served: Served, key: str) -> None:
    with served.connected() as connection:
        head = LINE + f"Authorization: Bearer {key}\r\nContent-Length: 900000000\r\n\r\n".encode()
        connection.sendall(head)
        assert b"413" in rest_of(connection).split(b"\r\n")[0]
    served.require_alive(key)


def test_a_message_without_a_length_is_cut_off_where_it_is_too_large(served: Served, key: str) -> None:
    with served.connected() as connection:
        connection.sendall(
            LINE + f"Authorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        with suppress(OSError):  # it was cut off while we still wrote
            for _ in range(40):
                connection.sendall(b"4000\r\n" + b"[" * 0x4000 + b"\r\n")
        told = rest_of(connection)
        assert not told or b"413" in told.split(b"\r\n")[0], "a reset may take the answer with it"
    served.require_alive(key)


def test_a_stranger_is_refused_before_the_body_is_read(served: Served, key: str) -> None:
    with served.connected() as connection:
        connection.sendall(LINE + b"Content-Length: 100000\r\n\r\n")
        assert b"401" in rest_of(connection).split(b"\r\n")[0]
    served.require_alive(key)


def test_who_sends_a_body_too_slowly_is_told_so_and_cut_off(served: Served, key: str) -> None:
    with served.connected() as connection:
        connection.sendall(LINE + f"Authorization: Bearer {key}\r\nContent-Length: 50\r\n\r\n{{".encode())
        told = rest_of(connection)
    assert b"408" in told.split(b"\r\n")[0]
    assert b'"too_slow"' in told


@pytest.mark.parametrize("said", [b"", b"GET / HT", LINE])
def test_who_never_ends_the_head_is_cut_off(served: Served, key: str, said: bytes) -> None:
    with served.connected() as connection:
        connection.sendall(said)
        assert rest_of(connection) == b""
    served.require_alive(key)


def test_who_never_ends_the_handshake_is_cut_off(served: Served, key: str) -> None:
    with socket.create_connection(("127.0.0.1", served.web_port), timeout=20) as connection:
        connection.sendall(b"\x16\x03\x01")
        with suppress(ConnectionResetError):  # cut off is cut off
            assert connection.recv(100) == b""
    served.require_alive(key)


def test_many_who_wait_do_not_keep_an_honest_caller_out(served: Served, key: str) -> None:
    waiting = [served.connected() for _ in range(50)]
    try:
        served.require_alive(key)
        assert served.report(served.door(), key=key).status == 200
    finally:
        for connection in waiting:
            connection.close()


def test_random_bytes_behind_tls_never_end_the_server(served: Served, key: str, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(12):
        said = chance.randbytes(chance.randrange(1, 2_000))
        if chance.random() < 0.5:
            said = LINE + said
        with served.connected() as connection:
            connection.sendall(said)
            connection.settimeout(5)
            told = rest_of(connection)
            assert told == b"" or told.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), told[:200]
    served.require_alive(key)


def test_random_bytes_and_oversize_at_the_grpc_port_never_end_the_server(
    served: Served, key: str, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.grpc_port), timeout=20) as connection:
            connection.sendall(chance.randbytes(chance.randrange(1, 500)))
    too_large = pb.ReportRequest(reports=[pb.DeviceReport(reason="x" * 300_000)])
    with pytest.raises(grpc.RpcError) as raised:
        served.grpc_report(too_large, key)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with served.grpc_channel() as channel:
        call: Callable[..., object] = channel.unary_unary("/campuscard.v1.Devices/Report")
        for _ in range(20):
            with pytest.raises(grpc.RpcError):
                call(chance.randbytes(50), metadata=(("authorization", f"Bearer {key}"),), timeout=20)
    at = served.clock.unix_ms()
    honest = pb.DeviceReport(device="g", kind="door-controller", health=pb.HEALTH_WELL, at_unix_ms=at)
    assert served.grpc_report(pb.ReportRequest(reports=[honest]), key) == 1


def test_many_callers_at_once_get_all_their_reports_in(served: Served, key: str) -> None:
    def tell(number: int) -> int:
        return sum(
            served.report(served.door(f"crowd-{number}-{n}"), key=key).content["taken"] for n in range(5)
        )

    with ThreadPoolExecutor(8) as crowd:
        assert sum(crowd.map(tell, range(8))) == 40
    read = served.ask("GET", "/v1/devices", key=key).content["reported"]
    assert sum(each["device"].startswith("crowd-") for each in read) == 40
