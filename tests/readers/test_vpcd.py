"""The card's end of the vpcd protocol, with a driver played by this test: every message byte for byte."""

import socket
import statistics
from collections.abc import Iterator
from contextlib import closing

import pytest

from federation.clock import SystemClock
from hil_rig.virtual.vpcd import VpcdSlot
from tests.readers.devices import ARM, ARMED, BREAK, COUNT, Counter

TIMEOUT_S = 10.0


class Driver:
    """What pcscd loads: listens for cards, one at a time."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self.line = socket.socket()

    def accept(self) -> None:
        self.line.close()
        self.line, _ = self._listener.accept()
        self.line.settimeout(TIMEOUT_S)

    def ask(self, message: bytes) -> bytes:
        """Send a message in two pieces, as the driver of Debian 12 does, and return the answer's body."""
        self.tell(message)
        length = int.from_bytes(self._receive(2))
        return self._receive(length)

    def tell(self, message: bytes) -> None:
        self.line.sendall(len(message).to_bytes(2))
        self.line.sendall(message)

    def rest(self) -> bytes:
        """Return what still comes until the card hangs up."""
        received = b""
        while part := self.line.recv(100):
            received += part
        return received

    def close(self) -> None:
        self.line.close()
        self._listener.close()

    def _receive(self, size: int) -> bytes:
        received = self.line.recv(size, socket.MSG_WAITALL)
        assert len(received) == size, "the card hung up"
        return received


@pytest.fixture
def driver() -> Iterator[Driver]:
    with closing(Driver()) as made:
        yield made


@pytest.fixture
def slot(driver: Driver) -> Iterator[VpcdSlot]:
    with VpcdSlot("127.0.0.1", driver.port) as made:
        yield made


def test_controls_switch_the_card_and_only_the_question_for_its_atr_is_answered(
    driver: Driver, slot: VpcdSlot
) -> None:
    device = Counter(9)
    slot.insert(device)
    driver.accept()
    assert driver.ask(b"\x04") == device.atr
    assert driver.ask(ARM) == b"\x90\x00"
    driver.tell(b"\x00")
    assert driver.ask(b"\x04") == device.atr, "presence is asked without power"
    assert not device.powered
    driver.tell(b"\x01")
    assert driver.ask(ARMED) == b"\x00\x90\x00"
    assert driver.ask(ARM) == b"\x90\x00"
    driver.tell(b"\x02")
    assert driver.ask(ARMED) == b"\x00\x90\x00"


def test_a_message_may_come_in_single_bytes(driver: Driver, slot: VpcdSlot) -> None:
    slot.insert(Counter())
    driver.accept()
    driver.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in len(COUNT).to_bytes(2) + COUNT[:-1]:
        driver.line.sendall(bytes([byte]))
    driver.line.sendall(COUNT[-1:])
    assert driver.line.recv(8, socket.MSG_WAITALL) == b"\x00\x06\x00\x00\x00\x01\x90\x00"


def test_nothing_volatile_survives_a_connection_and_the_card_comes_back_by_itself(
    driver: Driver, slot: VpcdSlot
) -> None:
    device = Counter()
    slot.insert(device)
    driver.accept()
    driver.ask(ARM)
    driver.ask(COUNT)
    driver.accept()
    assert driver.ask(ARMED) == b"\x00\x90\x00"
    assert driver.ask(COUNT) == b"\x00\x00\x00\x02\x90\x00"


def test_a_card_waits_for_a_driver_that_is_not_there_yet() -> None:
    with closing(Driver()) as gone:
        port = gone.port
    with VpcdSlot("127.0.0.1", port) as slot:
        slot.insert(Counter())
        with closing(Driver(port)) as driver:
            driver.accept()
            assert driver.ask(COUNT) == b"\x00\x00\x00\x01\x90\x00"


@pytest.mark.parametrize("sent_bytes", range(6))
def test_a_torn_answer_keeps_its_length_and_loses_its_end(
    driver: Driver, slot: VpcdSlot, sent_bytes: int
) -> None:
    slot.insert(Counter())
    driver.accept()
    slot.tear_in_answer(sent_bytes)
    driver.tell(COUNT)
    whole = b"\x00\x06\x00\x00\x00\x01\x90\x00"
    assert driver.rest() == (whole[: 2 + sent_bytes] if sent_bytes else b"")
    assert not slot.occupied
    slot.tears.demand_fired()


def test_a_removed_card_is_gone_from_the_line_and_powerless(driver: Driver, slot: VpcdSlot) -> None:
    device = Counter()
    slot.insert(device)
    driver.accept()
    driver.ask(COUNT)
    slot.remove()
    assert driver.rest() == b""
    assert not device.powered
    slot.insert(device)
    driver.accept()
    assert driver.ask(COUNT) == b"\x00\x00\x00\x02\x90\x00"


def test_a_mistake_in_the_card_is_told_to_the_rig_and_not_taken_for_a_removal(driver: Driver) -> None:
    slot = VpcdSlot("127.0.0.1", driver.port)
    slot.insert(Counter())
    driver.accept()
    driver.tell(BREAK)
    assert driver.rest() == b""
    slot.remove()
    with pytest.raises(ZeroDivisionError, match="a mistake in the card"):
        slot.demand_health()
    slot.insert(Counter())
    driver.accept()
    assert driver.ask(COUNT) == b"\x00\x00\x00\x01\x90\x00"
    slot.remove()


def test_a_driver_that_holds_its_second_packet_back_is_not_waited_for(driver: Driver, slot: VpcdSlot) -> None:
    slot.insert(Counter())
    driver.accept()
    clock, took_s = SystemClock(), []
    for _ in range(60):
        started_s = clock.monotonic_s()
        driver.ask(COUNT)
        took_s.append(clock.monotonic_s() - started_s)
    assert statistics.median(took_s) < 0.02, "a delayed acknowledgement takes 0.04 s"


def test_commands_are_counted(driver: Driver, slot: VpcdSlot) -> None:
    slot.insert(Counter())
    driver.accept()
    for _ in range(3):
        driver.ask(COUNT)
    driver.ask(b"\x04")
    assert slot.commands == 3
