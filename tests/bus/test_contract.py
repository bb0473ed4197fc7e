"""One suite for every way to a bus: the model in virtual time, the broker, a serial adapter in front of it.

Whatever is compared is content and order, or bus time where an interface gives it. Limits on waiting are only
there to end a broken run.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import can
import pytest

from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus import BusModel
from hil_rig.virtual.can_bus.broker_node import BrokerNode, BrokerOrders
from hil_rig.virtual.can_bus.virtual_node import VirtualNode
from hil_rig.virtual.slcan_adapter import SlcanAdapter

WAIT_S = 30.0
BITRATE = 250_000


class Bench(NamedTuple):
    """A bus: how to get a node of it, and a hand at its cabling."""

    node: Callable[[str], can.BusABC]
    order: Callable[..., object]


@pytest.fixture(params=["model", "broker", "slcan"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        if request.param == "model":
            model = BusModel(BITRATE)

            def order(act: str, **arguments: object) -> None:
                node = arguments.pop("node", None)
                if node is not None:
                    getattr(model.nodes[str(node)], act)(**arguments)
                else:
                    getattr(model, act)(**arguments)

            yield Bench(lambda name: stack.enter_context(VirtualNode(model, name)), order)
            return
        path = tmp_path / "can0.sock"
        stack.enter_context(CanBroker(path, BITRATE))
        orders = stack.enter_context(BrokerOrders(path))

        def broker_node(name: str) -> can.BusABC:
            return stack.enter_context(BrokerNode(path, name))

        def slcan_node(name: str) -> can.BusABC:
            adapter = SlcanAdapter(lambda listen: BrokerNode(path, name, listen_only=listen), BITRATE)
            stack.enter_context(adapter)
            bus = can.Bus(interface="slcan", channel=adapter.path, bitrate=BITRATE, sleep_after_open=0)
            stack.enter_context(bus)
            assert bus.get_version(WAIT_S) == (10, 13)  # it is open: this was obeyed after that
            return bus

        yield Bench(slcan_node if request.param == "slcan" else broker_node, orders.order)


def message(identifier: int, payload: bytes = b"", extended: bool = True) -> can.Message:
    return can.Message(arbitration_id=identifier, data=payload, is_extended_id=extended)


def received(bus: can.BusABC) -> can.Message:
    """Return the next frame, error frames passed over."""
    for _ in range(10_000):
        got = bus.recv(WAIT_S)
        assert got is not None, "nothing arrived"
        if not got.is_error_frame:
            return got
    raise AssertionError("only error frames")


def contents(got: can.Message) -> tuple[int, bytes, bool, bool]:
    return got.arbitration_id, bytes(got.data), got.is_extended_id, got.is_remote_frame


def test_what_one_sends_arrives_at_all_others(bench: Bench) -> None:
    one, two, three = (bench.node(name) for name in ("one", "two", "three"))
    one.send(message(0x18DA0001, b"12345678"))
    two.send(message(0x7FF, b"", extended=False))
    expected = {(0x18DA0001, b"12345678", True, False), (0x7FF, b"", False, False)}
    assert {contents(received(three)) for _ in range(2)} == expected
    assert contents(received(one)) == (0x7FF, b"", False, False)
    assert contents(received(two)) == (0x18DA0001, b"12345678", True, False)


def test_a_question_for_a_frame_keeps_its_length(bench: Bench) -> None:
    one, two = bench.node("one"), bench.node("two")
    one.send(can.Message(arbitration_id=0x123, is_extended_id=False, is_remote_frame=True, dlc=5))
    got = received(two)
    assert (contents(got), got.dlc) == ((0x123, b"", False, True), 5)


def test_a_burst_longer_than_a_queue_arrives_whole_and_in_order(bench: Bench) -> None:
    one, two = bench.node("one"), bench.node("two")
    for n in range(300):
        one.send(message(0x100, n.to_bytes(2)), timeout=WAIT_S)
    assert [int.from_bytes(received(two).data) for _ in range(300)] == list(range(300))


def test_filters_hold_back_what_agrees_with_none(bench: Bench) -> None:
    one, two = bench.node("one"), bench.node("two")
    two.set_filters([{"can_id": 0x200, "can_mask": 0x1FFFFF00, "extended": True}])
    one.send(message(0x201, b"mark"))  # the filter is set when this arrives, or it passes as well
    assert received(two).data == b"mark"
    for identifier in (0x301, 0x202, 0x402, 0x203):
        one.send(message(identifier))
    assert [received(two).arbitration_id for _ in range(2)] == [0x202, 0x203]


def test_a_pulled_plug_holds_frames_back_until_it_is_put_back(bench: Bench) -> None:
    one, two, three = (bench.node(name) for name in ("one", "two", "three"))
    bench.order("unplug", node="one")
    one.send(message(0x100, b"held"))
    two.send(message(0x200, b"meanwhile"[:8]))
    assert received(three).data == b"meanwhil"
    bench.order("plug", node="one")
    assert received(three).data == received(two).data == b"held"


def test_a_cut_cable_parts_and_mending_joins(bench: Bench) -> None:
    one, two, three, four = (bench.node(name) for name in ("one", "two", "three", "four"))
    bench.order("cut", names=["three", "four"])
    one.send(message(0x100, b"near"))
    three.send(message(0x100, b"far"))
    assert received(two).data == b"near"
    assert received(four).data == b"far"
    bench.order("mend")
    four.send(message(0x100, b"joined"))
    assert received(one).data == received(two).data == received(three).data == b"joined"


@pytest.mark.parametrize("bench", ["model", "broker"], indirect=True)  # python-can's slcan passes no state
def test_a_short_takes_a_sender_off_and_recovery_brings_it_back(bench: Bench) -> None:
    one, two = bench.node("one"), bench.node("two")
    bench.order("short")
    one.send(message(0x100, b"lost"))
    for _ in range(10):
        notice = one.recv(WAIT_S)
        assert notice is not None
        assert notice.is_error_frame
        if notice.arbitration_id & 0x40:
            break
    assert one.state is can.BusState.ERROR
    with pytest.raises(can.CanOperationError) as caught:
        one.send(message(0x100))
    assert caught.value.error_code == errno.ENETDOWN
    bench.order("repair")
    one.state = can.BusState.ACTIVE
    back = one.recv(WAIT_S)
    assert back is not None
    assert back.is_error_frame
    assert back.arbitration_id & 0x100
    assert one.state is can.BusState.ACTIVE
    one.send(message(0x100, b"back"))
    assert received(two).data == b"back"
