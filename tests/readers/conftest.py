"""A stand: one reader and the hand that lays cards on it; once in this process and once over PC/SC."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from campus_node.purse.pcsc import PcscReader
from hil_rig.pcsc_daemon import PcscDaemon
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.vpcd import VpcdSlot


@dataclass(frozen=True, slots=True)
class Stand:
    """Both sides of one reader.

    Args:
        reader: what a terminal has.
        hand: what a cardholder does.
        unplug: takes the reader away from the machine.
        plug_in: brings it back.
    """

    reader: VirtualReader | PcscReader
    hand: VirtualReader | VpcdSlot
    unplug: Callable[[], None]
    plug_in: Callable[[], None]


@pytest.fixture(params=["in_process", pytest.param("pcsc", marks=pytest.mark.pcsc)])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Give an empty reader of either side."""
    if request.param == "in_process":
        both = VirtualReader()
        yield Stand(both, both, both.unplug, both.plug_in)
        return
    daemon: PcscDaemon = request.getfixturevalue("pcsc_daemon")
    slot: VpcdSlot = request.getfixturevalue("card_slot")
    reader = PcscReader(slot.name)
    assert reader.wait_for_reader(10)
    assert reader.wait_for_removal(10), "a card of an earlier test is still there"
    yield Stand(reader, slot, lambda: _kill(daemon), daemon.start)
    reader.close()


def _kill(daemon: PcscDaemon) -> None:
    if not daemon.ours:
        pytest.skip("the pcscd of this machine is not ours to kill: stop it, and the tests start their own")
    daemon.kill()
