"""The serial adapter's own words, typed and read on its terminal."""

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import can
import pytest

from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus.broker_node import BrokerNode, BrokerOrders
from hil_rig.virtual.slcan_adapter import SlcanAdapter

WAIT_S = 30.0


class Terminal:
    """A person who types at the adapter."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)

    def ask(self, line: bytes) -> bytes:
        """Type a line and return the answer."""
        os.write(self._descriptor, line + b"\r")
        return self.read()

    def read(self) -> bytes:
        """Return what comes up to a carriage return or a bell."""
        answer = b""
        while answer[-1:] not in (b"\r", b"\a"):
            assert select.select([self._descriptor], [], [], WAIT_S)[0], answer
            answer += os.read(self._descriptor, 1)
        return answer

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "can0.sock"
    with CanBroker(path, 250_000):
        yield path


@pytest.fixture
def typed(path: Path) -> Iterator[Terminal]:
    with ExitStack() as stack:
        adapter = SlcanAdapter(lambda listen: BrokerNode(path, "adapter", listen_only=listen))
        stack.enter_context(adapter)
        terminal = Terminal(adapter.path)
        stack.callback(terminal.close)
        yield terminal


def test_it_opens_sends_receives_and_shuts(typed: Terminal, path: Path) -> None:
    with BrokerNode(path, "head") as head:
        assert typed.ask(b"S5") == b"\r"
        assert typed.ask(b"O") == b"\r"
        assert typed.ask(b"T18DA000121122") == b"Z\r"
        got = head.recv(WAIT_S)
        assert got is not None
        assert (got.arbitration_id, bytes(got.data)) == (0x18DA0001, b"\x11\x22")
        assert typed.ask(b"t7FF0") == b"z\r"
        head.send(can.Message(arbitration_id=0x18DA0100, data=b"\xab\xcd"))
        assert typed.read() == b"T18DA01002ABCD\r"
        head.send(can.Message(arbitration_id=0x12, is_extended_id=False, is_remote_frame=True, dlc=8))
        assert typed.read() == b"r0128\r"
        assert typed.ask(b"C") == b"\r"
        assert typed.ask(b"C") == b"\a"


@pytest.mark.parametrize(
    "line",
    [
        b"t7FF0",
        b"T000000019",
        b"T0000000121",
        b"tXYZ0",
        b"S10",
        b"Sx",
        b"O",
        b"Q",
        b"\xff",
        b"t",
        b"F",
        b"s0",
    ],
)
def test_what_it_cannot_do_it_answers_with_a_bell(typed: Terminal, line: bytes) -> None:
    assert typed.ask(line) == b"\a"
    assert typed.ask(b"V") == b"V1013\r"


@pytest.mark.parametrize(
    "line", [b"T000000019", b"T0000000121", b"tXYZ0", b"S5", b"O", b"t8000", b"TFFFFFFFF0"]
)
def test_what_is_wrong_on_an_open_channel_is_refused(typed: Terminal, line: bytes) -> None:
    assert (typed.ask(b"S5"), typed.ask(b"O")) == (b"\r", b"\r")
    assert typed.ask(line) == b"\a"


def test_another_bit_rate_than_the_bus_has_does_not_open(typed: Terminal) -> None:
    assert typed.ask(b"S4") == b"\r"
    assert typed.ask(b"O") == b"\a"


def test_timing_registers_are_a_bit_rate_as_well(typed: Terminal) -> None:
    assert typed.ask(b"s011C") == b"\r"  # SJA1000 at 16 MHz: 16 MHz / 2 / 2 / 16 quanta = 250 kbit/s
    assert typed.ask(b"O") == b"\r"


def test_who_only_listens_does_not_send(typed: Terminal, path: Path) -> None:
    assert (typed.ask(b"S5"), typed.ask(b"L")) == (b"\r", b"\r")
    assert typed.ask(b"t1230") == b"\a"
    with BrokerNode(path, "one") as one, BrokerNode(path, "two"):
        one.send(can.Message(arbitration_id=0x123, is_extended_id=False))
        assert typed.read() == b"t1230\r"


def test_time_stamps_are_milliseconds_within_the_minute(typed: Terminal, path: Path) -> None:
    with BrokerNode(path, "head") as head:
        assert (typed.ask(b"S5"), typed.ask(b"Z1"), typed.ask(b"O")) == (b"\r", b"\r", b"\r")
        head.send(can.Message(arbitration_id=0x123, is_extended_id=False))
        stamped = typed.read()
        assert stamped[:5] == b"t1230"
        assert 0 <= int(stamped[5:9], 16) < 60_000


def test_bus_off_shows_in_the_status_and_opening_again_heals_it(typed: Terminal, path: Path) -> None:
    with BrokerOrders(path) as orders, BrokerNode(path, "head") as head:
        assert (typed.ask(b"S5"), typed.ask(b"O")) == (b"\r", b"\r")
        orders.order("short")
        assert typed.ask(b"t1230") == b"z\r"
        seen = 0
        while not seen & 0x80:
            seen |= int(typed.ask(b"F")[1:3], 16)
        assert seen & 0x20  # passive on the way
        assert typed.ask(b"t1230") == b"\a"
        orders.order("repair")
        assert (typed.ask(b"C"), typed.ask(b"O")) == (b"\r", b"\r")
        assert typed.ask(b"t1231AA") == b"z\r"
        got = head.recv(WAIT_S)
        while got is not None and got.is_error_frame:
            got = head.recv(WAIT_S)
        assert got is not None
        assert bytes(got.data) == b"\xaa"


def test_a_line_without_end_is_thrown_away(typed: Terminal) -> None:
    assert typed.ask(b"t" * 500) == b"\a"
