"""Faults from a seed: every one of them does what it is for, and nobody loses or doubles a frame by it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_rig.faults import Counted, Fault, FaultNotFired, FaultPlan, FaultRecord, What
from hil_rig.virtual.can_bus import (
    Arrival,
    BusModel,
    CanNode,
    Frame,
    Outcome,
    State,
    WireEvent,
    bit_error_plan,
    frame_bits,
)
from hil_rig.virtual.can_bus.attempt import flag_bits

SECOND_NS = 1_000_000_000


def payloads_at(node: CanNode) -> list[bytes]:
    found = []
    while (item := node.receive()) is not None:
        if isinstance(item, Arrival):
            found.append(item.frame.payload)
    return found


def plan(*faults: Fault) -> FaultRecord:
    return FaultRecord(FaultPlan(7, faults))


def test_a_hit_frame_is_repeated_and_arrives_once() -> None:
    record = plan(Fault("can0", What.BIT_ERROR, Counted.FRAME, 1, 20))
    bus = BusModel(faults=record)
    till, head = bus.attach("till"), bus.attach("head")
    till.send(Frame(1, b"a"))
    till.send(Frame(1, b"b"))
    bus.advance_until_quiet(SECOND_NS)
    assert payloads_at(head) == [b"a", b"b"]
    assert till.counts["attempts"] == 3
    assert till.counters.transmit == 8 - 2
    assert head.counters.receive == 0  # 1 for the error, less for what came then
    record.demand_fired()


def test_what_an_error_costs_is_counted_in_bits() -> None:
    events: list[WireEvent] = []
    bus = BusModel(faults=plan(Fault("can0", What.BIT_ERROR, Counted.FRAME, 1, 0)), trace=events.append)
    till, _ = bus.attach("till"), bus.attach("head")
    frame = Frame(0x555, b"\x55", extended=False)
    # SOF 0, 10101010101, 000, 0001, 01010101: bit 16 is the second of the length code's zeros and turns 1.
    till.send(frame)
    bus.advance_until_quiet(SECOND_NS)
    failed, sent = events
    assert failed.at_ns == 17 * bus.bit_ns
    # That 1 ends a run of zeros: the receiver sees six equal bits after the whole flag, 12 bits in all.
    assert sent.start_ns == (17 + 12 + 8 + 3) * bus.bit_ns
    assert sent.at_ns - sent.start_ns == frame_bits(frame) * bus.bit_ns


@pytest.mark.parametrize(
    ("seen", "active", "others", "bits"),
    [
        ("0101", True, True, 12),  # no dominant run before: the others flag after the whole flag
        ("0100", True, True, 10),
        ("100000", True, True, 7),
        ("0000000", True, True, 6),
        ("0100", True, False, 6),  # nobody answers
        ("0111", False, True, 9),  # a passive flag is seen as a run of recessive bits
        ("0111", False, False, 6),
    ],
)
def test_error_flags_overlap_by_what_stood_before(seen: str, active: bool, others: bool, bits: int) -> None:
    assert flag_bits(seen, active, others) == bits


def test_thirty_two_errors_in_a_row_take_a_sender_off_the_bus() -> None:
    record = plan(*(Fault("can0", What.BIT_ERROR, Counted.FRAME, nth, nth) for nth in range(1, 33)))
    bus = BusModel(faults=record)
    till, head = bus.attach("till"), bus.attach("head")
    till.send(Frame(1, b"never"))
    bus.advance_until_quiet(SECOND_NS)
    assert till.state is State.BUS_OFF
    assert till.counts["attempts"] == 32
    assert payloads_at(head) == []
    record.demand_fired()
    till.recover()
    bus.advance_until_quiet(SECOND_NS)
    till.send(Frame(1, b"again"))
    bus.advance_until_quiet(SECOND_NS)
    assert payloads_at(head) == [b"again"]


def test_thirty_one_do_not() -> None:
    faults = (Fault("can0", What.BIT_ERROR, Counted.FRAME, nth, nth) for nth in range(1, 32))
    bus = BusModel(faults=plan(*faults))
    till, head = bus.attach("till"), bus.attach("head")
    till.send(Frame(1, b"at last"))
    bus.advance_until_quiet(SECOND_NS)
    assert (till.state, till.counters.transmit) == (State.PASSIVE, 31 * 8 - 1)
    assert payloads_at(head) == [b"at last"]


def test_a_receiver_that_reads_wrong_has_the_frame_repeated_for_all() -> None:
    events: list[WireEvent] = []
    record = plan(Fault("deaf", What.BIT_ERROR, Counted.FRAME, 1, 9))
    bus = BusModel(faults=record, trace=events.append)
    till, deaf, head = bus.attach("till"), bus.attach("deaf"), bus.attach("head")
    till.send(Frame(0x18DA0001, b"everybody"[:8]))
    bus.advance_until_quiet(SECOND_NS)
    assert [event.outcome for event in events] == [Outcome.RECEIVER_ERROR, Outcome.SENT]
    assert payloads_at(deaf) == payloads_at(head) == [b"everybod"]
    assert (deaf.counters.receive, head.counters.receive) == (9 - 1, 1 - 1)
    record.demand_fired()


def test_a_passive_receiver_that_reads_wrong_loses_the_frame_alone() -> None:
    faults = (Fault("deaf", What.BIT_ERROR, Counted.FRAME, nth, 9) for nth in range(1, 40))
    bus = BusModel(faults=plan(*faults))
    till, deaf, head = bus.attach("till"), bus.attach("deaf"), bus.attach("head")
    for n in range(30):
        till.send(Frame(1, bytes([n])))
    bus.advance_until_quiet(SECOND_NS)
    assert payloads_at(head) == [bytes([n]) for n in range(30)]
    lost = 30 - len(payloads_at(deaf))
    assert deaf.state is State.PASSIVE or deaf.counts["receive_errors"] > 15
    assert (
        lost == 39 - 15
    )  # 9 more by each error: passive after 15, and from then on its flags disturb nobody
    assert till.state is State.ACTIVE


def test_a_lost_frame_was_acknowledged_and_is_not_repeated() -> None:
    record = plan(
        Fault("slow", What.FRAME_LOST, Counted.FRAME, 2), Fault("can0", What.FRAME_LOST, Counted.FRAME, 4)
    )
    bus = BusModel(faults=record)
    till, slow, head = bus.attach("till"), bus.attach("slow"), bus.attach("head")
    for n in range(5):
        till.send(Frame(1, bytes([n])))
    bus.advance_until_quiet(SECOND_NS)
    assert payloads_at(slow) == [b"\0", b"\2", b"\4"]
    assert payloads_at(head) == [b"\0", b"\1", b"\2", b"\4"]
    record.demand_fired()


def test_a_fault_that_never_fell_due_is_missed() -> None:
    record = plan(Fault("can0", What.BIT_ERROR, Counted.FRAME, 3))
    bus = BusModel(faults=record)
    till, _ = bus.attach("till"), bus.attach("head")
    till.send(Frame(1))
    bus.advance_until_quiet(SECOND_NS)
    with pytest.raises(FaultNotFired, match="seed 7"):
        record.demand_fired()


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.005, 0.02]))
def test_whatever_is_hit_every_frame_arrives_once_and_in_order(seed: int, rate: float) -> None:
    def run() -> tuple[list[WireEvent], list[bytes]]:
        events: list[WireEvent] = []
        names = ["can0", "head", "till 1"]
        record = FaultRecord(bit_error_plan(seed, names, frames=400, rate=rate))
        bus = BusModel(faults=record, trace=events.append)
        head = bus.attach("head")
        tills = [bus.attach(f"till {n}") for n in range(3)]
        for n in range(40):
            for till in tills:
                till.send(Frame(tills.index(till), bytes([tills.index(till), n])))
        assert bus.advance_until_quiet(60 * SECOND_NS)
        assert [till.state is State.BUS_OFF for till in tills] == [False] * 3, seed
        assert head.counters.receive < 128, seed
        return events, payloads_at(head)

    events, arrived = run()
    for till in range(3):
        assert [one for one in arrived if one[0] == till] == [bytes([till, n]) for n in range(40)], seed
    assert (events, arrived) == run()
