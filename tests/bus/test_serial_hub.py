"""The hub of pseudo-terminals, opened as real ports would be. Times are the model's, never the clock's."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import serial

from hil_rig.processes import PYTHON, process_environment
from hil_rig.virtual.serial_hub import PtyHub, SerialEvent

WAIT_S = 30.0
SECOND_NS = 1_000_000_000


class Ports:
    """The devices of a hub, open."""

    def __init__(self, hub: PtyHub, stack: ExitStack) -> None:
        self._paths = hub.paths
        self._stack = stack

    def open(self, name: str, baud: int = 115_200) -> serial.Serial:
        return self._stack.enter_context(serial.Serial(self._paths[name], baud, timeout=WAIT_S))


@pytest.fixture
def events() -> list[SerialEvent]:
    return []


@pytest.fixture
def hub(events: list[SerialEvent]) -> Iterator[PtyHub]:
    with PtyHub(["head", "till 1", "till 2"], trace=events.append) as hub:
        yield hub


@pytest.fixture
def ports(hub: PtyHub) -> Iterator[Ports]:
    with ExitStack() as stack:
        yield Ports(hub, stack)


def test_all_hear_what_one_sends_and_it_took_its_time_on_the_wire(
    ports: Ports, events: list[SerialEvent]
) -> None:
    head, one, two = ports.open("head"), ports.open("till 1"), ports.open("till 2")
    head.write(b"x" * 100)
    assert one.read(100) == two.read(100) == b"x" * 100
    assert sum(event.end_ns - event.start_ns for event in events) == pytest.approx(
        1000 * SECOND_NS / 115_200, abs=len(events)
    )
    assert b"".join(event.payload for event in events) == b"x" * 100


def test_a_port_set_to_another_rate_understands_nothing_until_it_is_set_right(ports: Ports) -> None:
    head, one, two = ports.open("head"), ports.open("till 1"), ports.open("till 2", 9600)
    head.write(b"poll 2")
    assert one.read(6) == b"poll 2"
    two.baudrate = 115_200
    head.write(b"mark")
    assert one.read(4) == b"mark"
    heard = b""
    while not heard.endswith(b"mark"):
        heard += two.read(1)
        assert len(heard) < 20
    assert b"poll 2" not in heard


def test_rates_are_read_from_each_terminal(ports: Ports, events: list[SerialEvent]) -> None:
    head, one = ports.open("head", 19_200), ports.open("till 1", 19_200)
    head.write(b"a")
    assert one.read(1) == b"a"
    head.baudrate = one.baudrate = 57_600
    one.write(b"b")
    assert head.read(1) == b"b"
    assert [event.baud for event in events] == [19_200, 57_600]


def test_a_pulled_plug_is_deaf_and_dumb_until_it_is_back(hub: PtyHub, ports: Ports) -> None:
    head, one, two = ports.open("head"), ports.open("till 1"), ports.open("till 2")
    hub.unplug("till 2")
    head.write(b"first")
    assert one.read(5) == b"first"
    hub.plug("till 2")
    head.write(b"second")
    assert two.read(6) == one.read(6) == b"second"


def test_the_process_links_its_devices_and_ends_on_sigterm(tmp_path: Path) -> None:
    program = [*PYTHON, "-m", "hil_rig.virtual.serial_hub", "--directory", str(tmp_path)]
    process = subprocess.Popen(
        [*program, "--node", "head", "--node", "till"], stdout=subprocess.PIPE, env=process_environment({})
    )
    try:
        assert process.stdout
        assert select.select([process.stdout], [], [], WAIT_S)[0]
        nodes = json.loads(process.stdout.readline())["nodes"]
        with (
            serial.Serial(nodes["head"], 9600) as head,
            serial.Serial(nodes["till"], 9600, timeout=WAIT_S) as till,
        ):
            head.write(b"over")
            assert till.read(4) == b"over"
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert os.listdir(tmp_path) == []
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
