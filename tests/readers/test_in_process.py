"""What only the reader in this process can do: waiting that moves a clock, and tears that must happen."""

import pytest

from campus_node.purse.errors import CardLeft
from federation.clock import VirtualClock
from hil_rig.faults import FaultNotFired
from hil_rig.virtual.in_process import VirtualReader
from tests.readers.devices import COUNT, Counter


def test_waiting_for_nobody_moves_the_given_clock_and_takes_no_time() -> None:
    clock = VirtualClock()
    reader = VirtualReader(clock=clock)
    assert reader.wait_for_card(10) is None
    assert clock.monotonic_s() == 10
    reader.insert(Counter())
    assert not reader.wait_for_removal(5)
    assert clock.monotonic_s() == 15


def test_holders_come_in_turn_when_they_are_awaited() -> None:
    reader = VirtualReader(clock=VirtualClock())
    mine, other = Counter(1), Counter(2)
    reader.insert_when_awaited(None)
    reader.insert_when_awaited(other)
    reader.insert_when_awaited(mine)
    assert reader.wait_for_card(1) is None
    found = reader.wait_for_card(1)
    assert found is not None
    assert found.power_on() == other.atr
    reader.remove()
    found = reader.wait_for_card(1)
    assert found is not None
    assert found.power_on() == mine.atr


def test_a_reader_may_have_its_card_from_the_start() -> None:
    assert VirtualReader(Counter()).channel().transmit(COUNT) == b"\0\0\0\1\x90\0"
    with pytest.raises(CardLeft):
        VirtualReader().channel()


def test_a_tear_that_never_falls_fails_the_run() -> None:
    reader = VirtualReader(Counter())
    channel = reader.channel()
    reader.tear_before_command(3)
    channel.transmit(COUNT)
    with pytest.raises(FaultNotFired, match="card left before the command virtual reader, command 3"):
        reader.tears.demand_fired()
    channel.transmit(COUNT)
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    reader.tears.demand_fired()


def test_tears_are_counted_from_the_moment_they_are_planned() -> None:
    device = Counter()
    reader = VirtualReader(device)
    channel = reader.channel()
    channel.transmit(COUNT)
    reader.tear_after_command(2)
    channel.transmit(COUNT)
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    assert device.count == 3
