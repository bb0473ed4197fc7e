"""A real terminal on RS-485 and on the thin link, through a real gateway (B3, B4.1)."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from hil_rig.virtual.radio_hub import RadioHub
from hil_rig.virtual.serial_hub import PtyHub
from tests.gateway.places import make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.terminal_process.running import RunningTerminal, make_terminal
from tests.terminal_process.test_with_gateway import ADDRESS, WHO, is_online

pytestmark = pytest.mark.slow

BAUD = 115_200


@pytest.fixture
def places() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory)


def wire_of(kind: str, places: Path, ending: ExitStack) -> tuple[str, str]:
    """Return the gateway's [[line]] and the terminal's channel on a new wire."""
    if kind == "thin":
        ending.enter_context(RadioHub(places / "air0", 7))
        return f'name = "one"\nkind = "thin"\nsocket = "{places / "air0"}"', str(places / "air0")
    wire = ending.enter_context(PtyHub(["head", "till-1"]))
    head = f'name = "one"\nkind = "serial"\ndevice = "{wire.paths["head"]}"\nbaud = {BAUD}'
    return head, str(wire.paths["till-1"])


@pytest.mark.parametrize("kind", ["serial", "thin"])
def test_it_is_told_the_time_sells_and_its_records_arrive(kind: str, tmp_path: Path, places: Path) -> None:
    campus = make_campus(tmp_path)
    with ExitStack() as ending:
        head, channel = wire_of(kind, places, ending)
        node = ending.enter_context(PlainNode(campus))
        directory = make_gateway(campus, node.port, [head])
        node.first.append(roll_of(directory, [replace(WHO)]))
        gateway = ending.enter_context(WatchedGateway(directory))
        gateway.start()
        line = {"kind": kind, "channel": channel, "address": ADDRESS}
        if kind == "serial":
            line["rate"] = BAUD
        chosen = {"line": line, "trust": {"clock": "told"}}
        till = ending.enter_context(RunningTerminal(make_terminal(tmp_path / "till-1", chosen)))
        till.start(until=lambda: bool(till.status().get("line")))
        till.wait_until(lambda: is_online(till), 90.0)
        till.sell("5")
        written = till.status()["journal"]["last_seq"]
        node.wait_until(lambda: {each.seq for each in node.all_records()} >= set(range(1, written + 1)))
        assert till.terminate() == 0
        assert gateway.terminate() == 0
