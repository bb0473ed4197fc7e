"""A real terminal and a real gateway on a bus: signed in, cut off, refused, admitted (B3, A10, A15)."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hil_rig.senders.order import SenderOrder
from hil_rig.virtual.can_broker import CanBroker
from tests.gateway.places import can_line, make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.terminal_process.running import RunningTerminal, make_terminal

pytestmark = pytest.mark.slow

BITRATE = 250_000
ADDRESS = 7
WHO = SenderOrder(
    name="till-1",
    address=ADDRESS,
    terminal_id="112233445566",  # as in the shipped PSAM
    psam_serial="00000000000000000001",
    session_key="C8C8C8C8C8C8C8C81122334455667788",
)


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory) / "can0"


def till_on(directory: Path, socket_path: Path) -> RunningTerminal:
    line = {"kind": "can", "interface": "campus-broker", "channel": str(socket_path), "address": ADDRESS}
    chosen = {"line": line, "trust": {"clock": "told"}}
    return RunningTerminal(make_terminal(directory / "till-1", chosen))


def is_online(till: RunningTerminal) -> bool:
    return till.is_ready() and bool(till.status()["online"])


def test_it_sells_online_and_cut_off_and_every_record_arrives(tmp_path: Path, socket_path: Path) -> None:
    campus = make_campus(tmp_path)
    with PlainNode(campus) as node, CanBroker(socket_path, BITRATE):
        directory = make_gateway(campus, node.port, [can_line("can0", socket_path)])
        node.first.append(roll_of(directory, [WHO]))
        with WatchedGateway(directory) as gateway, till_on(tmp_path, socket_path) as till:
            till.start(until=lambda: bool(till.status().get("journal")))
            assert not till.status()["clock_valid"], "nobody told it the time yet: it sells nothing"
            gateway.start()
            till.wait_until(lambda: is_online(till))
            till.sell("5")
            node.wait_until(lambda: len(node.all_records()) >= 2)
            assert "联机" in till.ask("/")
            gateway.kill()
            till.sell("6")  # at once: nothing waits for a gateway that is not there
            till.wait_until(lambda: not till.status()["online"])
            assert "脱机" in till.ask("/")
            till.sell("7")
            gateway.start()
            till.wait_until(lambda: is_online(till))
            written = till.status()["journal"]["last_seq"]
            node.wait_until(lambda: {each.seq for each in node.all_records()} == set(range(1, written + 1)))
            till.wait_until(lambda: till.status()["journal"]["durable_through"] == written)
            assert [each.amount_fen for each in till.sold()] == [500, 600, 700]
            assert till.terminate() == 0
            assert gateway.terminate() == 0


def test_a_terminal_that_is_not_registered_says_so_and_is_alarmed_until_it_is(
    tmp_path: Path, socket_path: Path
) -> None:
    campus = make_campus(tmp_path)
    with PlainNode(campus) as node, CanBroker(socket_path, BITRATE):
        directory = make_gateway(campus, node.port, [can_line("can0", socket_path)])
        node.first.append(roll_of(directory, []))
        with WatchedGateway(directory) as gateway, till_on(tmp_path, socket_path) as till:
            gateway.start()
            till.start(until=lambda: bool(till.status().get("line")))
            till.wait_until(lambda: bool(till.status()["line"]["unadmitted"]), 90.0)
            node.wait_until(lambda: any("112233445566" in str(alarm).lower() for alarm in node.alarms))
            assert till.status()["online"] is False
            node.say(roll_of(directory, [WHO], version=2))
            till.wait_until(lambda: is_online(till), 60.0)
            assert not till.status()["line"]["unadmitted"]
            till.sell("5")
            assert till.terminate() == 0
            assert gateway.terminate() == 0


def test_over_tcp_a_terminal_is_refused_by_its_certificates_name_until_it_is_registered(
    tmp_path: Path,
) -> None:
    campus = make_campus(tmp_path)
    with PlainNode(campus) as node:
        tcp = 'name = "tills"\nkind = "tcp"\nlisten = "127.0.0.1:0"'
        directory = make_gateway(campus, node.port, [tcp])
        node.first.append(roll_of(directory, []))
        with WatchedGateway(directory) as gateway:
            gateway.start()
            head = f"127.0.0.1:{gateway.ports()['tcp']['tills']}"
            line = {"kind": "tcp", "head": head, "head_name": "canteen.gateway.north.campus.test"}
            chosen = {"line": line, "trust": {"clock": "told"}}
            with RunningTerminal(make_terminal(tmp_path / "till-1", chosen, campus)) as till:
                till.start(until=lambda: bool(till.status().get("line")))
                till.wait_until(lambda: bool(till.status()["line"]["unadmitted"]), 90.0)
                node.say(roll_of(directory, [replace(WHO, address=0)], version=2))
                till.wait_until(lambda: is_online(till), 90.0)
                till.sell("5")
                node.wait_until(lambda: len(node.all_records()) >= 2)
                assert till.terminate() == 0
            assert gateway.terminate() == 0
