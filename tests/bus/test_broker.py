"""The broker as a process of its own. What is compared is bus time, which the clock does not bend."""

import errno
import itertools
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import can
import pytest

from federation.errors import Misconfigured
from hil_rig.processes import PYTHON, process_environment
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus import Frame, slot_bits
from hil_rig.virtual.can_bus.broker_node import BrokerNode, BrokerOrders
from hil_rig.virtual.can_bus.packets import Kind

WAIT_S = 30.0
POLLS_MAX = 20_000
SECOND_NS = 1_000_000_000


class BrokerProcess:
    """`python -m hil_rig.virtual.can_broker`, ready."""

    def __init__(self, path: Path, bitrate: int, *options: str) -> None:
        program = [
            *PYTHON,
            "-m",
            "hil_rig.virtual.can_broker",
            "--socket",
            str(path),
            "--bitrate",
            str(bitrate),
        ]
        self.path = path
        self.process = subprocess.Popen(
            [*program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=process_environment({})
        )
        assert self.process.stdout
        assert self.process.stderr
        assert select.select([self.process.stdout], [], [], WAIT_S)[0]
        self.ready = self.process.stdout.readline()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@pytest.fixture(params=[125_000, 250_000, 500_000])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path / "can0.sock", request.param)
    assert json.loads(process.ready) == {"socket": str(process.path), "bitrate": request.param}
    yield process
    process.close()


def test_fifty_full_queues_leave_in_the_order_of_their_identifiers_at_the_exact_time(
    broker: BrokerProcess,
) -> None:
    with ExitStack() as stack:
        orders = stack.enter_context(BrokerOrders(broker.path))
        head = stack.enter_context(BrokerNode(broker.path, "head"))
        nothing: list[can.typechecking.CanFilter] = [{"can_id": 0, "can_mask": 0x1FFFFFFF, "extended": True}]
        tills = [
            stack.enter_context(BrokerNode(broker.path, f"till {n}", can_filters=nothing))
            for n in range(1, 51)
        ]
        orders.order("stick", node="head")  # nobody can begin until all queues are full
        sent = [
            Frame(0x18DA0000 | turn << 8 | n, bytes([n, turn] * 4))
            for turn in (3, 1, 2)
            for n in range(1, 51)
        ]
        for frame in sent:
            till = tills[(frame.identifier & 0xFF) - 1]
            till.send(can.Message(arbitration_id=frame.identifier, data=frame.payload))
        for _ in range(POLLS_MAX):
            if sum(node["waiting"] for node in orders.order("health")["nodes"].values()) == len(sent):
                break
        else:
            pytest.fail("the frames do not reach the broker")
        orders.order("stick", node="head", stuck=False)
        arrived: list[can.Message] = []
        while len(arrived) < len(sent):
            message = head.recv(WAIT_S)
            assert message is not None
            if not message.is_error_frame:
                arrived.append(message)
    assert [message.arbitration_id for message in arrived] == sorted(frame.identifier for frame in sent)
    by_identifier = {frame.identifier: frame for frame in sent}
    for before, after in itertools.pairwise(arrived):
        # From end to end: intermission and the frame itself. A float of seconds keeps nanoseconds to a few.
        expected_ns = slot_bits(by_identifier[after.arbitration_id]) * SECOND_NS // head.bitrate
        assert abs((after.timestamp - before.timestamp) * SECOND_NS - expected_ns) < 100


def test_recovery_takes_at_least_its_1408_bits_of_bus_time(broker: BrokerProcess) -> None:
    with ExitStack() as stack:
        orders = stack.enter_context(BrokerOrders(broker.path))
        till = stack.enter_context(BrokerNode(broker.path, "till"))
        stack.enter_context(BrokerNode(broker.path, "head"))
        orders.order("short")
        till.send(can.Message(arbitration_id=1))
        while till.state is not can.BusState.ERROR:
            assert till.recv(WAIT_S) is not None
        orders.order("repair")
        before_ns = orders.order("health")["now_ns"]
        till.recover()
        back = till.recv(WAIT_S)
        assert back is not None
        assert back.arbitration_id & 0x100
        assert back.timestamp * SECOND_NS - before_ns >= 1408 * SECOND_NS // till.bitrate - 100


def test_it_ends_on_sigterm_and_its_nodes_notice(tmp_path: Path) -> None:
    process = BrokerProcess(tmp_path / "can0.sock", 250_000)
    try:
        with BrokerNode(process.path, "till") as till:
            process.process.send_signal(signal.SIGTERM)
            assert process.process.wait(WAIT_S) == 0
            assert os.listdir(tmp_path) == []
            with pytest.raises(can.CanOperationError, match="ended"):
                till.recv(WAIT_S)
            with pytest.raises(can.CanOperationError, match="ended"):
                till.send(can.Message(arbitration_id=1))
    finally:
        process.close()


def test_a_socket_that_was_left_behind_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "can0.sock"
    killed = BrokerProcess(path, 250_000)
    killed.close()
    assert path.is_socket()
    with pytest.raises(can.CanInitializationError, match="nobody serves"):
        BrokerNode(path)
    refused = BrokerProcess(path, 250_000)
    try:
        assert refused.process.wait(WAIT_S) == 1
        assert refused.process.stderr
        assert b"is there already" in refused.process.stderr.read()
    finally:
        refused.close()
    assert path.is_socket()
    with CanBroker(path, replace=True), pytest.raises(Misconfigured, match="another broker's"):
        CanBroker(path, replace=True)
    assert not path.exists()


def test_two_nodes_cannot_have_one_name(tmp_path: Path) -> None:
    path = tmp_path / "can0.sock"
    with CanBroker(path), BrokerNode(path, "till"):
        with pytest.raises(can.CanInitializationError, match="till"):
            BrokerNode(path, "till")
        with BrokerNode(path) as other:
            assert other.name


def test_whoever_closes_leaves_the_bus(tmp_path: Path) -> None:
    path = tmp_path / "can0.sock"
    with CanBroker(path), BrokerNode(path, "head") as head, BrokerOrders(path) as orders:
        with BrokerNode(path, "till") as till:
            till.send(can.Message(arbitration_id=1))
            assert head.recv(WAIT_S) is not None
        for _ in range(POLLS_MAX):
            if list(orders.order("health")["nodes"]) == ["head"]:
                break
        else:
            pytest.fail("it is still there")


def test_a_full_queue_is_refused_after_the_time_that_was_given(tmp_path: Path) -> None:
    path = tmp_path / "can0.sock"
    with CanBroker(path), BrokerNode(path, "alone") as alone:
        for n in range(128):
            alone.send(can.Message(arbitration_id=n))
        for timeout in (None, 0.01):
            with pytest.raises(can.CanOperationError) as caught:
                alone.send(can.Message(arbitration_id=1), timeout)
            assert caught.value.error_code == errno.ENOBUFS


@pytest.mark.parametrize(
    "packet",
    [
        b"\xff",
        bytes([Kind.SEND]),
        bytes([Kind.HELLO]) + b"{",
        bytes([Kind.HELLO]) + b"{}",
        bytes([Kind.HELLO]) + b"[]",
        bytes([Kind.FILTERS]) + b"[1]",
        bytes([Kind.ORDER]) + b"7",
    ],
)
def test_who_speaks_something_else_is_dropped_or_told_and_the_others_go_on(
    tmp_path: Path, packet: bytes
) -> None:
    path = tmp_path / "can0.sock"
    with CanBroker(path), BrokerNode(path, "one") as one, BrokerNode(path, "two") as two:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.settimeout(WAIT_S)
            stranger.connect(str(path))
            stranger.send(packet)
            answer = stranger.recv(1000)
            assert answer == b"" or b"error" in answer
        one.send(can.Message(arbitration_id=1))
        assert two.recv(WAIT_S) is not None


def test_unknown_orders_are_named(tmp_path: Path) -> None:
    path = tmp_path / "can0.sock"
    with CanBroker(path), BrokerOrders(path) as orders:
        with pytest.raises(ValueError, match="unplug"):
            orders.order("unplug", node="nobody")
        with pytest.raises(ValueError, match="dance"):
            orders.order("dance")
