"""The PC/SC service of the rig: one a machine, found or started, never stopped unless it is ours."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from campus_node.purse.errors import ReaderLost
from campus_node.purse.pcsc import PcscReader, readers, wait_for_readers
from federation.errors import Misconfigured
from hil_rig.pcsc_daemon import PcscDaemon
from hil_rig.virtual.vpcd import VpcdSlot
from tests.readers.devices import COUNT, Counter

pytestmark = pytest.mark.pcsc
SOON_S = 10.0


@pytest.fixture
def no_daemon(pcsc_daemon: PcscDaemon) -> Iterator[None]:
    """Stop the session's service for one test."""
    if not pcsc_daemon.ours:
        pytest.skip("the pcscd of this machine is not ours to stop: stop it, and the tests start their own")
    pcsc_daemon.stop()
    yield
    pcsc_daemon.start()


def test_a_service_that_runs_is_used_and_left_running(pcsc_daemon: PcscDaemon, tmp_path: Path) -> None:
    with PcscDaemon(tmp_path) as second:
        assert not second.ours
        assert second.slots == pcsc_daemon.slots
    assert [slot.reader for slot in pcsc_daemon.slots] == list(readers())
    assert not list(tmp_path.iterdir())


def test_a_service_that_runs_with_too_few_readers_is_refused_by_name(
    pcsc_daemon: PcscDaemon, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match="lists 2 virtual readers, 16 are needed"):
        PcscDaemon(tmp_path, readers=16).start()


def test_without_a_service_readers_are_lost_and_say_what_to_start(no_daemon: None) -> None:
    with pytest.raises(ReaderLost, match="apt-get install pcscd"):
        readers()
    reader = PcscReader("Virtual PCD 00 00")
    with pytest.raises(ReaderLost, match="apt-get install pcscd"):
        reader.wait_for_card(1)
    assert not reader.wait_for_reader(0.05)


def test_four_readers_each_have_a_card_of_their_own(no_daemon: None, tmp_path: Path) -> None:
    with PcscDaemon(tmp_path, readers=4) as daemon, ExitStack() as stack:
        assert len({slot.port for slot in daemon.slots}) == 4
        for number, slot in enumerate(daemon.slots):
            stack.enter_context(VpcdSlot(slot.host, slot.port)).insert(Counter(number))
        for number, slot in enumerate(daemon.slots):
            reader = stack.enter_context(closing(PcscReader(slot.reader)))
            channel = reader.wait_for_card(SOON_S)
            assert channel is not None
            assert channel.power_on()[-1] == number
            assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_a_reader_that_is_plugged_in_is_noticed(no_daemon: None, tmp_path: Path) -> None:
    with PcscDaemon(tmp_path, readers=2) as daemon:
        few = [slot.reader for slot in daemon.slots]
        assert list(wait_for_readers(few, 0.05)) == few
        assert list(wait_for_readers([], 0)) == few
        assert list(wait_for_readers([*few, "Virtual PCD 2 01 00"], SOON_S)) == few


def test_a_port_that_is_taken_is_gone_round(no_daemon: None, tmp_path: Path) -> None:
    with socket.create_server(("", 35964)), PcscDaemon(tmp_path) as daemon:
        assert not {slot.port for slot in daemon.slots} & {35963, 35964}
        slot = daemon.slots[1]
        with VpcdSlot(slot.host, slot.port) as hand, closing(PcscReader(slot.reader)) as reader:
            hand.insert(Counter())
            channel = reader.wait_for_card(SOON_S)
            assert channel is not None
            assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_a_service_that_crashed_is_started_again_at_once(no_daemon: None, tmp_path: Path) -> None:
    with PcscDaemon(tmp_path) as daemon:
        ports = [slot.port for slot in daemon.slots]
        daemon.kill()
        daemon.start()
        assert [slot.port for slot in daemon.slots] == ports
