"""The thin link at the clock's pace, its radios behind sockets: what a gateway owns."""

import json
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from campus_node.lines.driver import Drive
from campus_node.lines.errors import LineDown
from campus_node.lines.events import What
from campus_node.lines.line import HEAD, Line, Peer
from campus_node.lines.thin.head import ThinHeadLine
from campus_node.lines.thin.socket_radio import SocketRadio
from campus_node.lines.thin.terminal import ThinTerminalLine
from federation.clock import SystemClock
from hil_rig.virtual.radio_air import Misfortune
from hil_rig.virtual.radio_hub import RadioHub
from tests.lines.contract import TERMINALS, Ends, take

ONE = Peer(1)


class HubEnds:
    """Time passes on the clock."""

    message_bytes_max = 4095
    patience_s = 20.0
    tells_gone = False

    def __init__(self, hub: RadioHub) -> None:
        self._hub = hub
        self._clock = SystemClock()
        self._head = ThinHeadLine("air 0", SocketRadio(hub.path, HEAD), secrets.token_bytes)
        self._tills = {
            a: ThinTerminalLine(f"air {a}", SocketRadio(hub.path, a), a, secrets.token_bytes)
            for a in TERMINALS
        }
        self.head: Line = self._head
        self._drive = Drive(self._head, *self._tills.values())

    def terminal(self, address: Peer) -> Line:
        return self._tills[address]

    def pass_time(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def cut(self, address: Peer) -> None:
        self._hub.unplug(address)

    def mend(self, address: Peer) -> None:
        self._hub.unplug(address, plugged=True)

    def close(self) -> None:
        self._drive.close()
        for line in (self._head, *self._tills.values()):
            line.close()


@pytest.fixture
def ends() -> Iterator[HubEnds]:
    with (
        tempfile.TemporaryDirectory() as directory,
        RadioHub(Path(directory) / "air", 7, Misfortune(lose=0.05, duplicate=0.05)) as hub,
    ):
        ends = HubEnds(hub)
        yield ends
        ends.close()


def test_messages_go_both_ways_at_the_clocks_pace(ends: Ends) -> None:
    message = bytes(range(250))
    ends.terminal(ONE).send(HEAD, message)
    ends.head.send(Peer(2), message)
    assert take(ends, ends.head) == (ONE, message)
    assert take(ends, ends.terminal(Peer(2))) == (HEAD, message)


def test_a_message_waits_for_an_antenna_that_is_put_back(ends: Ends) -> None:
    ends.cut(ONE)
    ends.terminal(ONE).send(HEAD, b"first")
    ends.pass_time(0.3)
    assert ends.head.receive(0) is None
    ends.mend(ONE)
    assert take(ends, ends.head) == (ONE, b"first")


def test_a_module_whose_program_starts_again_is_taken_back() -> None:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "air"
        first = _hub_process(path)
        head = ThinHeadLine("air 0", SocketRadio(path, HEAD), secrets.token_bytes)
        _end(first)
        path.unlink(missing_ok=True)
        head.step(clock.monotonic_s())
        with pytest.raises(LineDown):
            head.send(ONE, b"x")
        second = _hub_process(path)
        till = ThinTerminalLine("air 1", SocketRadio(path, ONE), ONE, secrets.token_bytes)
        drive = Drive(head, till)
        try:
            till.send(HEAD, b"on the new one")
            received = None
            until_s = clock.monotonic_s() + 20
            while received is None and clock.monotonic_s() < until_s:
                received = head.receive(1.0)
            assert received == (ONE, b"on the new one")
            assert [event.what for event in head.events()] == [What.PORT_DOWN, What.BUS_BACK]
        finally:
            drive.close()
            head.close()
            till.close()
            _end(second)


def test_an_address_is_given_once() -> None:
    with tempfile.TemporaryDirectory() as directory, RadioHub(Path(directory) / "air") as hub:
        radio = SocketRadio(hub.path, ONE)
        with pytest.raises(LineDown):
            SocketRadio(hub.path, ONE)
        radio.close()
        with pytest.raises(LineDown):
            radio.send(b"x", HEAD)


def _hub_process(path: Path) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "hil_rig.virtual.radio_hub", "--socket", str(path)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"socket": str(path)}
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert process.stdout is not None
    process.stdout.close()
