"""A serial port that goes away and comes back, as an adapter does that is pulled and put in again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.lines.errors import LineDown
from campus_node.lines.events import What
from campus_node.lines.line import Peer
from campus_node.lines.serial.head import SerialHeadLine
from campus_node.lines.serial.serial_port import Direction, SerialDevice
from federation.clock import SystemClock
from hil_rig.virtual.serial_hub import PtyHub

WITHIN_S = 20.0


def until(line: SerialHeadLine, true: Callable[[], bool]) -> None:
    clock = SystemClock()
    end_s = clock.monotonic_s() + WITHIN_S
    while not true():
        assert clock.monotonic_s() < end_s
        line.step(clock.monotonic_s())
        clock.sleep(0.005)


def test_a_line_whose_port_goes_away_is_down_and_up_again_when_it_is_back(tmp_path: Path) -> None:
    path, seen = tmp_path / "rs485", list[What]()
    with PtyHub(["head"]) as hub:
        path.symlink_to(hub.paths["head"])
        line = SerialHeadLine("rs485", SerialDevice(str(path)), addresses=[1], discover=())
        until(line, lambda: line.addresses().silent == {1})
    path.unlink()

    def saw(what: What) -> bool:
        seen.extend(event.what for event in line.events())
        return what in seen

    until(line, lambda: saw(What.PORT_DOWN))
    assert line.descriptor() == -1
    with pytest.raises(LineDown):
        line.send(Peer(1), b"x")
    with PtyHub(["head"]) as hub:
        path.symlink_to(hub.paths["head"])
        until(line, lambda: saw(What.BUS_BACK))
        assert (line.descriptor() or 0) > 0
        line.close()


def test_a_device_that_is_not_there_is_a_line_that_is_down(tmp_path: Path) -> None:
    device = SerialDevice(str(tmp_path / "nowhere"), direction=Direction.KERNEL)
    for use in (device.read, lambda: device.write(b"x"), lambda: device.set_baud(9_600)):
        with pytest.raises(LineDown):
            use()
    assert not device.reopen()
    device.close()
    device.close()
    assert not device.reopen()


def test_a_pseudo_terminal_has_no_direction_and_takes_its_rate() -> None:
    with PtyHub(["head", "till"]) as hub:
        head = SerialDevice(hub.paths["head"], direction=Direction.KERNEL)
        till = SerialDevice(hub.paths["till"], direction=Direction.RTS)
        for baud in (9_600, 115_200):
            head.set_baud(baud)
            till.set_baud(baud)
            head.write(b"sent once")
            clock, got = SystemClock(), b""
            end_s = clock.monotonic_s() + WITHIN_S
            while got != b"sent once":
                assert clock.monotonic_s() < end_s
                got += till.read()
                clock.sleep(0.002)
        head.close()
        till.close()
