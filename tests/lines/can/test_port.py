"""Controllers by configuration, and what happens when one goes away and comes back."""

import tempfile
from pathlib import Path

import pytest

from campus_node.lines.can.head import HeadLine
from campus_node.lines.can.port import CanConfiguration, CanPort, filters_of
from campus_node.lines.can.terminal import TerminalLine
from campus_node.lines.driver import Drive
from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import HEAD, Peer
from federation.clock import SystemClock
from hil_rig.virtual.bus_time import BusTime
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus.broker_node import BrokerNode


def test_a_line_runs_on_any_interface_that_is_configured() -> None:
    configuration = CanConfiguration("virtual", "campus-test-port")
    head = HeadLine("can0", configuration.port(HEAD))
    till = TerminalLine("till 5", configuration.port(5), 5)
    till.send(HEAD, b"record" * 20)
    for step in range(10):
        for line in (head, till):
            line.step(step / 1000)
    assert head.receive(0) == (Peer(5), b"record" * 20)
    head.send(Peer(5), b"answer" * 20)
    for step in range(10, 20):
        for line in (head, till):
            line.step(step / 1000)
    assert till.receive(0) == (HEAD, b"answer" * 20)
    for line in (head, till):
        line.close()


def test_an_interface_that_does_not_exist_is_a_line_that_is_down() -> None:
    with pytest.raises(LineDown):
        CanConfiguration("no-such-interface", "can0").port(HEAD)


def test_the_controller_of_a_terminal_drops_what_is_not_for_it() -> None:
    bus = BusTime(3)
    bus.tills[1].send(HEAD, b"record" * 20)
    bus.head.send(Peer(2), b"parameters" * 20)
    bus.run(0.1)
    received = bus.model.nodes["till 3"].counts["received"]
    assert received > 20, "it is on the bus"
    assert bus.tills[3].receive(0) is None
    port = bus.port(4, "listener")
    for address in (1, 2):
        bus.tills[address].send(HEAD, b"record" * 20)
    bus.run(0.1)
    assert port.receive() is None, "its loop is not even woken"
    port.close()
    bus.close()


def test_a_controller_that_goes_away_and_comes_back_is_opened_again() -> None:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "can0"

        def port(address: int) -> CanPort:
            return CanPort(
                lambda: BrokerNode(path, f"node {address}", receive_own_messages=address == HEAD),
                filters_of(address),
            )

        with CanBroker(path, 1_000_000):
            head, till = HeadLine("can0", port(HEAD)), TerminalLine("till 5", port(5), 5)
            drive = Drive(head, till)
            till.send(HEAD, b"before" * 20)
            assert head.receive(5.0) == (Peer(5), b"before" * 20)
        down = [event.what for event in _events_within(head, clock, 5.0)]
        assert down == [What.PORT_DOWN]
        with pytest.raises(LineDown):
            head.send(Peer(5), b"nobody hears this")
        with CanBroker(path, 1_000_000):
            deadline_s = clock.monotonic_s() + 20.0
            received = None
            while received is None and clock.monotonic_s() < deadline_s:
                try:
                    till.send(HEAD, b"after" * 20)
                except (LineDown, PeerGone):
                    clock.sleep(0.05)
                    continue
                received = head.receive(1.0)
            assert received == (Peer(5), b"after" * 20)
            drive.close()
            head.close()
            till.close()


def _events_within(head: HeadLine, clock: SystemClock, seconds: float) -> list[Event]:
    deadline_s = clock.monotonic_s() + seconds
    while not (events := head.events()) and clock.monotonic_s() < deadline_s:
        clock.sleep(0.01)
    return events
