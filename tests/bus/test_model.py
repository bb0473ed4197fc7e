"""The bus in virtual time: who wins, how long everything takes, who leaves and comes back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_rig.virtual.can_bus import (
    Arrival,
    BusModel,
    BusOff,
    CanNode,
    Filter,
    Frame,
    Notice,
    NoticeKind,
    Outcome,
    QueueFull,
    State,
    WireEvent,
    frame_bits,
    slot_bits,
)

SECOND_NS = 1_000_000_000
ERROR_FRAME_BITS = 6 + 8 + 3  # flag, delimiter, intermission


def frames_at(node: CanNode) -> list[Frame]:
    found = []
    while (item := node.receive()) is not None:
        if isinstance(item, Arrival):
            found.append(item.frame)
    return found


def notices_at(node: CanNode) -> list[Notice]:
    found = []
    while (item := node.receive()) is not None:
        if isinstance(item, Notice):
            found.append(item)
    return found


def test_a_frame_arrives_everywhere_when_its_last_bit_is_over() -> None:
    bus = BusModel(250_000)
    till, head, other = (bus.attach(name) for name in ("till", "head", "other"))
    frame = Frame(0x18DA0001, b"12345678")
    till.send(frame)
    bus.advance_by_bits(frame_bits(frame) - 1)
    assert head.receive() is None
    bus.advance_by_bits(1)
    assert head.receive() == other.receive() == Arrival(frame, frame_bits(frame) * 4000)
    assert till.receive() is None


@pytest.mark.parametrize("bitrate", [125_000, 250_000, 500_000])
def test_a_full_bus_of_fifty_takes_exactly_the_sum_of_its_frames(bitrate: int) -> None:
    bus = BusModel(bitrate)
    head = bus.attach("head")
    tills = [bus.attach(f"till {n}") for n in range(1, 51)]
    sent = [Frame(0x18DA0000 | n, bytes([n, turn] * 4)) for turn in range(4) for n in range(1, 51)]
    for frame in sent:
        tills[(frame.identifier & 0xFF) - 1].send(frame)
    assert bus.advance_until_quiet(10 * SECOND_NS)
    last_frame_less_intermission_ns = (sum(map(slot_bits, sent)) - 3) * SECOND_NS // bitrate
    arrived = []
    while (item := head.receive()) is not None:
        assert isinstance(item, Arrival)
        arrived.append(item)
    assert arrived[-1].at_ns == last_frame_less_intermission_ns
    assert [arrival.frame for arrival in arrived] == sorted(sent, key=lambda frame: frame.identifier)


def test_the_lowest_identifier_wins_every_arbitration_among_fifty() -> None:
    events: list[WireEvent] = []
    bus = BusModel(trace=events.append)
    bus.attach("head")
    waiting: dict[str, list[int]] = {}
    for n in range(50):
        node = bus.attach(f"till {n}")
        waiting[node.name] = [((n * 7919 + turn * 104_729) % (1 << 29)) for turn in range(6)]
        for identifier in waiting[node.name]:
            node.send(Frame(identifier, b"x"))
    assert bus.advance_until_quiet(10 * SECOND_NS)
    for event in events:  # all waited from the beginning: each frame must be the lowest that was left
        assert event.frame.identifier == min(map(min, filter(None, waiting.values())))
        waiting[event.senders[0]].remove(event.frame.identifier)
    assert not any(waiting.values())


def test_base_wins_over_extended_and_a_frame_over_a_question() -> None:
    bus = BusModel()
    head = bus.attach("head")
    contenders = [
        Frame(0x123 << 18, b"e"),
        Frame(0x123, extended=False, remote=True, asked_bytes=1),
        Frame(0x123, b"b", extended=False),
        Frame(0x122 << 18 | 0x3FFFF, b"lower base"[:8]),
    ]
    for n, frame in enumerate(contenders):
        bus.attach(f"till {n}").send(frame)
    bus.advance_until_quiet(SECOND_NS)
    assert frames_at(head) == [contenders[3], contenders[2], contenders[1], contenders[0]]


def test_frames_of_one_identifier_keep_their_order() -> None:
    bus = BusModel()
    till, head = bus.attach("till"), bus.attach("head")
    for n in range(20):
        till.send(Frame(7, bytes([n])))
    till.send(Frame(6, b"urgent"))
    bus.advance_until_quiet(SECOND_NS)
    assert [frame.payload for frame in frames_at(head)] == [b"urgent"] + [bytes([n]) for n in range(20)]


def test_alone_a_node_becomes_passive_and_never_leaves_the_bus() -> None:
    bus = BusModel()
    till = bus.attach("till")
    frame = Frame(1, b"anybody?")
    till.send(frame)
    attempt_bits = frame_bits(frame) - 10 + 2 + ERROR_FRAME_BITS  # to the slot that nobody fills
    bus.advance_by_bits(16 * attempt_bits - ERROR_FRAME_BITS - 1)
    assert (till.counters.transmit, till.state) == (120, State.ACTIVE)
    bus.advance_by_bits(1)
    assert (till.counters.transmit, till.state) == (128, State.PASSIVE)
    bus.advance_by_ns(60 * SECOND_NS)
    assert (till.counters.transmit, till.state) == (128, State.PASSIVE)
    seconds_of_attempts = 60 * bus.bitrate // (attempt_bits + 8)
    head = bus.attach("head")
    bus.advance_by_bits(400)
    assert frames_at(head) == [frame]
    assert abs(till.counts["attempts"] - seconds_of_attempts) < 20
    assert till.counters.transmit == 127  # one less for the frame that was acknowledged
    assert till.state is State.ACTIVE


def test_a_silent_listener_does_not_acknowledge() -> None:
    bus = BusModel()
    till, listener = bus.attach("till"), bus.attach("recorder", listen_only=True)
    till.send(Frame(1))
    bus.advance_by_bits(1000)
    assert till.waiting == 1
    assert listener.receive() is None
    with pytest.raises(ValueError, match="only listens"):
        listener.send(Frame(1))
    bus.attach("head")
    bus.advance_by_bits(1000)
    assert frames_at(listener) == [Frame(1)]


def off_bus(bus: BusModel, *names: str) -> list[CanNode]:
    """Attach nodes and drive the first off the bus by a short. The 32 failures take 42 + 16 times 26 bits."""
    nodes = [bus.attach(name) for name in names]
    bus.short()
    nodes[0].send(Frame(1))
    bus.advance_by_bits(1000)
    bus.repair()
    assert nodes[0].state is State.BUS_OFF
    notices_at(nodes[0])
    return nodes


def test_a_short_drives_a_sender_off_the_bus_after_the_counted_bits() -> None:
    bus = BusModel(125_000)
    till, _ = bus.attach("till"), bus.attach("head")
    bus.short()
    till.send(Frame(1))
    bus.advance_by_bits(10_000)
    passive, off = notices_at(till)
    assert (passive.state, passive.at_ns) == (State.PASSIVE, 16 * bus.bit_ns)  # 16 dominant bits that fail
    # flag 6, delimiter 8, intermission 3, and from then on: suspension 8, one bit that fails, and the same
    assert (off.state, off.at_ns) == (State.BUS_OFF, (16 + 16 * (6 + 8 + 3 + 8 + 1)) * bus.bit_ns)
    with pytest.raises(BusOff):
        till.send(Frame(1))
    assert till.waiting == 0


def test_recovery_takes_128_times_11_recessive_bits_from_when_the_application_asks() -> None:
    bus = BusModel(250_000)
    till, head = off_bus(bus, "till", "head")
    bus.advance_by_bits(100_000)
    assert till.state is State.BUS_OFF  # nothing happens by itself
    asked_ns = bus.now_ns
    till.recover()
    bus.advance_by_ns(5_632_000 - 1)
    assert till.state is State.BUS_OFF
    bus.advance_by_ns(1)
    assert notices_at(till) == [Notice(NoticeKind.RECOVERED, asked_ns + 5_632_000, State.ACTIVE, 0, 0)]
    till.send(Frame(5, b"back"))
    bus.advance_by_bits(200)
    assert frames_at(head) == [Frame(5, b"back")]


def test_every_frame_of_others_counts_as_one_of_the_128() -> None:
    bus = BusModel(250_000)
    till, head, _ = off_bus(bus, "till", "head", "other")
    frame = Frame(0x700, bytes(8))
    for _ in range(127):
        head.send(frame)
    began_ns = bus.now_ns
    till.recover()
    bus.advance_until_quiet(SECOND_NS)
    (recovered,) = notices_at(till)
    # 127 frames with their recessive ends back to back, and 11 bits more
    assert recovered.at_ns - began_ns == (127 * slot_bits(frame) + 11) * bus.bit_ns


def test_who_is_off_neither_hears_nor_acknowledges() -> None:
    bus = BusModel()
    till, head = off_bus(bus, "till", "head")
    head.send(Frame(9))
    bus.advance_by_bits(500)
    assert till.receive() is None
    assert head.waiting == 1


def test_an_unplugged_sender_keeps_its_frames_until_it_is_back() -> None:
    bus = BusModel()
    till, head, other = bus.attach("till"), bus.attach("head"), bus.attach("other")
    till.unplug()
    till.send(Frame(1, b"later"))
    head.send(Frame(2, b"now"))
    bus.advance_by_ns(SECOND_NS)
    assert frames_at(other) == [Frame(2, b"now")]
    assert frames_at(till) == []
    assert till.state is State.PASSIVE
    till.plug()
    bus.advance_by_bits(500)
    assert frames_at(head) == [Frame(1, b"later")]


@pytest.mark.parametrize("bit", [0, 20, 40, 60, 80, 100])
def test_a_plug_pulled_within_a_frame_loses_and_doubles_nothing(bit: int) -> None:
    bus = BusModel()
    till, head, other = bus.attach("till"), bus.attach("head"), bus.attach("other")
    till.send(Frame(0x1F00_0001, b"torn off"))
    bus.advance_by_bits(bit)
    till.unplug()
    bus.advance_by_bits(3000)
    other.send(Frame(5, b"others"))
    bus.advance_by_bits(3000)
    assert frames_at(head) == [Frame(5, b"others")]
    till.plug()
    bus.advance_by_bits(3000)
    assert frames_at(head) == [Frame(0x1F00_0001, b"torn off")]


def test_the_only_listener_leaving_within_a_frame_leaves_it_unacknowledged() -> None:
    bus = BusModel()
    till, head = bus.attach("till"), bus.attach("head")
    till.send(Frame(1, b"hello"))
    bus.advance_by_bits(50)
    head.unplug()
    bus.advance_by_bits(1000)
    assert (till.waiting, frames_at(head)) == (1, [])
    head.plug()
    bus.advance_by_bits(1000)
    assert (till.waiting, frames_at(head)) == (0, [Frame(1, b"hello")])


def test_a_cut_cable_makes_two_buses_that_both_go_on() -> None:
    bus = BusModel()
    nodes = [bus.attach(str(n)) for n in range(4)]
    bus.cut(["2", "3"])
    nodes[0].send(Frame(1, b"near"))
    nodes[3].send(Frame(1, b"far"))
    bus.advance_by_bits(1000)
    assert [frames_at(node) for node in nodes] == [[], [Frame(1, b"near")], [Frame(1, b"far")], []]
    bus.mend()
    nodes[3].send(Frame(1, b"joined"))
    bus.advance_by_bits(1000)
    assert [frames_at(node) for node in nodes[:3]] == [[Frame(1, b"joined")]] * 3


def test_a_stuck_transmitter_stops_all_until_its_plug_is_pulled() -> None:
    bus = BusModel()
    till, head, bad = bus.attach("till"), bus.attach("head"), bus.attach("bad")
    bad.stick()
    till.send(Frame(1, b"held up"))
    bus.advance_by_ns(SECOND_NS)
    assert frames_at(head) == []
    assert head.state is State.PASSIVE  # its receive counter: dominant bits without end
    assert till.state is State.PASSIVE
    bad.unplug()
    bus.advance_by_bits(500)
    assert frames_at(head) == [Frame(1, b"held up")]


def test_a_wire_taken_within_a_frame_drives_its_sender_off() -> None:
    bus = BusModel()
    till, head = bus.attach("till"), bus.attach("head")
    till.send(Frame(1, b"caught"))
    bus.advance_by_bits(30)
    bus.short(dominant=True)
    bus.advance_by_bits(1000)
    assert till.state is State.BUS_OFF
    assert head.state is State.PASSIVE
    bus.repair()
    till.recover()
    bus.advance_by_bits(2000)
    assert till.state is State.ACTIVE


def test_two_of_one_identifier_and_different_contents_drive_each_other_off() -> None:
    events: list[WireEvent] = []
    bus = BusModel(trace=events.append)
    one, twin, head = bus.attach("one"), bus.attach("twin"), bus.attach("head")
    one.send(Frame(0x100, b"\x00"))
    twin.send(Frame(0x100, b"\xff"))
    bus.advance_by_bits(20_000)
    outcomes = [event.outcome for event in events]
    assert outcomes[:16] == [Outcome.COLLISION] * 16  # then both are passive: the recessive one gives way
    assert outcomes[16:] == [Outcome.SENT, Outcome.SENT]
    assert frames_at(head) == [Frame(0x100, b"\x00"), Frame(0x100, b"\xff")]
    assert one.counts["errors"] == 16
    assert twin.counts["errors"] == 17


def test_two_that_send_the_very_same_frame_never_notice() -> None:
    bus = BusModel()
    one, twin, head = bus.attach("one"), bus.attach("twin"), bus.attach("head")
    one.send(Frame(0x100, b"same"))
    twin.send(Frame(0x100, b"same"))
    bus.advance_until_quiet(SECOND_NS)
    assert frames_at(head) == [Frame(0x100, b"same")]
    assert (one.waiting, twin.waiting) == (0, 0)


def test_filters_let_through_what_agrees_with_one_of_them() -> None:
    bus = BusModel()
    till, head = bus.attach("till"), bus.attach("head")
    head.set_filters([Filter(0x18DA0000, 0x1FFFFF00, True), Filter(0x7, 0x7FF, False)])
    frames = [Frame(0x18DA0001), Frame(0x18DA0101), Frame(0x7, extended=False), Frame(0x7)]
    for frame in frames:
        till.send(frame)
    bus.advance_until_quiet(SECOND_NS)
    assert set(frames_at(head)) == {frames[0], frames[2]}


def test_queues_have_a_limit_and_say_so() -> None:
    bus = BusModel()
    till = bus.attach("till", send_queue_frames=2)
    head = bus.attach("head", receive_queue_frames=3)
    till.send(Frame(0))
    till.send(Frame(1))
    with pytest.raises(QueueFull):
        till.send(Frame(2))
    for n in range(4):
        bus.advance_until_quiet(SECOND_NS)
        till.send(Frame(n))
    bus.advance_until_quiet(SECOND_NS)
    assert len(frames_at(head)) == 3
    assert head.counts["overruns"] == 3


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 3000)), max_size=25),
    st.lists(st.integers(1, 400_000), min_size=1, max_size=10),
)
def test_how_time_is_cut_into_steps_changes_nothing(
    acts: list[tuple[int, int, int]], steps: list[int]
) -> None:
    def run(stepped: bool) -> list[WireEvent]:
        events: list[WireEvent] = []
        bus = BusModel(500_000, trace=events.append)
        nodes = [bus.attach(str(n)) for n in range(5)]
        for turn, (who, what, wait_bits) in enumerate(acts):
            node = nodes[who]
            if what < 24 and not node.counters.bus_off:
                node.send(Frame(what // 6, bytes([what])))
            elif what < 27:
                node.unplug() if node.plugged else node.plug()
            elif what == 27:
                bus.short() if turn % 2 else bus.repair()
            elif what == 28:
                node.stick(not node.stuck)
            else:
                node.recover()
            target_ns = bus.now_ns + wait_bits * bus.bit_ns
            if stepped:
                for step_ns in steps * 3:
                    bus.advance_to(min(target_ns, bus.now_ns + step_ns))
            bus.advance_to(target_ns)
        return events

    assert run(True) == run(False)
