"""Who should be on a polled line, who joins it unannounced, and what looking for them costs (B4.1, B4.2)."""

import pytest

from campus_node.lines.events import What
from campus_node.lines.line import HEAD, Peer
from campus_node.lines.serial.frames import START, Kind
from campus_node.lines.serial.prober import SHARE, SHARE_QUIET
from hil_rig.virtual.line_time import LineTime
from tests.lines.serial.test_speed import EXCHANGE_BYTES, Sales, mean_ms

EVERYBODY = range(1, 255)
FOUND_WITHIN_S = 30.0


def test_whoever_the_head_is_told_to_expect_is_in_contact_at_once() -> None:
    bus = LineTime(3, expected=())
    assert not bus.run(5.0, lambda: bool(bus.head.addresses().known))
    bus.head.expect([1, 2, 3])
    assert bus.run(0.3, lambda: bus.head.addresses().known == {1, 2, 3})
    bus.tills[2].send(HEAD, b"a record")
    assert bus.run(1.0, lambda: bus.head.receive(0) is not None)
    bus.close()


def test_who_is_expected_and_absent_is_missed_until_nobody_expects_it() -> None:
    bus = LineTime(2)
    assert bus.run(1.0, lambda: bus.head.addresses().known == {1, 2})
    bus.head.expect([1, 2, 9])
    assert bus.run(2.0, lambda: bus.head.addresses().silent == {9})
    assert [event.address for event in bus.head.events() if event.what is What.PEER_SILENT] == [9]
    bus.add(9)
    assert bus.run(FOUND_WITHIN_S, lambda: bus.head.addresses().known == {1, 2, 9})
    bus.head.expect([1, 2, 9, 10])
    assert bus.run(2.0, lambda: bus.head.addresses().silent == {10})
    bus.head.expect([2])
    assert bus.head.addresses() == (frozenset({1, 2, 9}), frozenset(), frozenset())
    for address in (1, 2, 9):  # who is there stays in contact, expected or not
        bus.head.send(Peer(address), b"still there")
    bus.run(1.0)
    for address in (1, 2, 9):
        heard = bus.lines[f"till {address}"].receive(0)
        assert heard is not None
        assert heard.message == b"still there"
    bus.close()


def test_a_terminal_that_was_expected_in_vain_is_found_when_it_joins_later_as_anybody() -> None:
    bus = LineTime(1, expected=(1, 77), discover=EVERYBODY)
    assert bus.run(5.0, lambda: bus.head.addresses().silent == {77})
    bus.head.expect([1])
    bus.add(77)
    assert bus.run(FOUND_WITHIN_S, lambda: 77 in bus.head.addresses().known)
    bus.close()


@pytest.mark.parametrize("address", [2, 130, 254])
def test_a_terminal_that_nobody_expects_is_found_while_others_are_there(address: int) -> None:
    bus = LineTime(1, discover=EVERYBODY)
    assert bus.run(3.0, lambda: bus.head.addresses().known == {1})
    bus.run(7.0)
    bus.add(address)
    assert bus.run(FOUND_WITHIN_S, lambda: bus.head.addresses().known == {1, address})
    bus.close()


def asking_share(bus: LineTime, seconds: float, seed: int, load: float) -> tuple[float, float]:
    """Return the share of the line that looking for others takes, and a record's mean wait in ms."""
    assert bus.run(60, lambda: len(bus.head.addresses().known) == len(bus.tills))
    sales = Sales(bus, dict.fromkeys(bus.tills, load * 11_520 / EXCHANGE_BYTES / len(bus.tills)), seed)
    bus.run(10.0, sales.pump)
    sales.waits = {address: [] for address in bus.tills}
    bus.keep_bursts = True
    bus.run(seconds, sales.pump)
    asked = [
        event
        for event in bus.bursts
        if event.payload.startswith(START) and event.payload[4] >> 5 == Kind.DISCOVER
    ]
    every = [wait for waits in sales.waits.values() for wait in waits]
    silence_s = 9 * 10 / 115_200 + 10 * 10 / 115_200 + 0.008
    return len(asked) * silence_s / seconds, mean_ms(every)


@pytest.mark.slow
def test_looking_for_others_costs_a_busy_line_a_twentieth_and_a_quiet_one_a_quarter(seed: int) -> None:
    measured = {}
    for load in (0.35, 0.02):
        bus = LineTime(10, discover=EVERYBODY)
        measured[load], mean = asking_share(bus, 20.0, seed, load)
        print(f"load {load}: {measured[load]:.3f} of the line, a record waits {mean:.1f} ms")
        assert mean < 60
        bus.close()
    assert 0.5 * SHARE < measured[0.35] < 2 * SHARE
    assert 0.5 * SHARE_QUIET < measured[0.02] < 1.1 * SHARE_QUIET
