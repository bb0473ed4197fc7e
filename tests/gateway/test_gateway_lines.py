"""Lines of a whole gateway: TCP beside CAN, and a line that is not there when it starts."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from campus_node.campus_directory import CampusDirectory
from federation.clock import SystemClock
from federation.identity import Identity, Role
from hil_rig.senders.order import SegmentLine, SenderOrder
from hil_rig.virtual.can_broker import CanBroker
from tests.gateway.places import can_line, make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.gateway.till import Till
from tests.outage_lines.segments import terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory) / "can0"


def certified(campus: Path, who: SenderOrder) -> SenderOrder:
    place = CampusDirectory(campus)
    pki = place.pki(place.settings())
    identity = Identity("north", Role.TERMINAL, who.name)
    pki.issue(identity, SystemClock().unix_ms())
    leaf, key = pki.leaf_paths(identity)
    return replace(who, chain=str(leaf), key=str(key))


def test_a_terminal_over_tcp_is_served_while_a_bus_is_away_and_the_bus_joins_by_itself(
    tmp_path: Path, socket_path: Path
) -> None:
    campus = make_campus(tmp_path)
    caller = certified(campus, terminal(1, 0))
    on_bus = terminal(2, 2)
    with PlainNode(campus) as node:
        tcp = 'name = "tills"\nkind = "tcp"\nlisten = "127.0.0.1:0"'
        directory = make_gateway(campus, node.port, [can_line("can0", socket_path), tcp])
        node.first.append(roll_of(directory, [caller, on_bus]))
        with WatchedGateway(directory) as gateway:
            gateway.start()
            line = SegmentLine(
                "tcp",
                f"127.0.0.1:{gateway.ports()['tcp']['tills']}",
                server_name="canteen.gateway.north.campus.test",
                authority=str(campus / "pki" / "campus.pem"),
            )
            with Till(tmp_path / "tills", line, caller) as till:
                till.sell(20)
                till.wait_until(lambda: till.journal.durable_through == 20)
                opened = {each["line"]: each["open"] for each in gateway.status()["lines"]}
                assert opened == {"can0": False, "tills": True}
                node.wait_until(lambda: any(each.name == "line.down" for each in node.alarms))
                with CanBroker(socket_path, 250_000):
                    gateway.wait_until(lambda: gateway.status()["lines"][0]["open"])
                    bus = SegmentLine("can", str(socket_path), 250_000)
                    with Till(tmp_path / "tills", bus, on_bus) as other:
                        other.sell(3)
                        other.wait_until(lambda: other.journal.durable_through == 3)
            node.wait_until(lambda: len(node.all_records()) == 23)
            assert gateway.terminate() == 0
