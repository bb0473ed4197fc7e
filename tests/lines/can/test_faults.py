"""What goes wrong on a bus: it recovers without a person, and the right node is named."""

import random
from collections.abc import Iterator
from functools import partial

import pytest

from campus_node.lines.can.ids import Priority, Spread, functional_id, multicast_id, physical_id
from campus_node.lines.can.presence import HeartbeatSource, Presence
from campus_node.lines.can.signals import Condition, Heartbeat
from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import HEAD, Peer, Received
from federation.errors import Overloaded
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord
from hil_rig.faults import What as Act
from hil_rig.virtual.bus_time import BusTime, node_name
from hil_rig.virtual.can_bus import CanNode, Frame, bit_error_plan

REPEAT_S = 1.5
RECORD_BYTES = 96


class Shift:
    """Every terminal has some records, repeats each until it is acknowledged, and the head acknowledges."""

    def __init__(self, bus: BusTime, records: int, seed: int) -> None:
        self.bus = bus
        rng = random.Random(f"shift {seed}")
        self.left = {
            address: [bytes([address, number]) + rng.randbytes(94) for number in range(records)]
            for address in bus.tills
        }
        self.sent = {address: list(records) for address, records in self.left.items()}
        self.taken: dict[int, list[bytes]] = {address: [] for address in bus.tills}
        self.asked: list[Received] = []
        self._again_s = dict.fromkeys(bus.tills, 0.0)

    def run(self, for_s: float) -> bool:
        return self.bus.run(for_s, self.pump)

    def pump(self) -> bool:
        while (record := self.bus.head.receive(0)) is not None:
            if len(record.message) < RECORD_BYTES:
                self.asked.append(record)
            elif record.message not in self.taken[record.peer]:
                self.taken[record.peer].append(record.message)
            self._try_to_send(HEAD, record.peer, b"ok" + record.message[:2])
        for address, records in self.left.items():
            line = self.bus.tills[address]
            while (answer := line.receive(0)) is not None:
                if records and answer.message == b"ok" + records[0][:2]:
                    records.pop(0)
                    self._again_s[address] = 0.0
            if records and self._again_s[address] <= self.bus.now_s:
                self._again_s[address] = self.bus.now_s + REPEAT_S
                self._try_to_send(address, HEAD, records[0])
        return not any(self.left.values())

    def _try_to_send(self, source: int, target: int, message: bytes) -> None:
        line = self.bus.tills[source] if source else self.bus.head
        try:
            line.send(Peer(target), message)
        except (LineDown, PeerGone, Overloaded):
            return  # it is repeated


@pytest.fixture
def bus() -> Iterator[BusTime]:
    bus = BusTime(5)
    yield bus
    bus.close()


def named(events: list[Event], what: What) -> set[int]:
    return {event.address for event in events if event.what is what}


def babbler(bus: BusTime, frame: Frame) -> CanNode:
    """A node that sends this frame as often as the bus lets it."""
    node = bus.model.attach(
        "babbler", told=lambda node, _item: node.send(frame) if not node.waiting else None
    )
    node.send(frame)
    return node


@pytest.mark.parametrize("seed", range(3))
def test_frames_that_receivers_lose_cost_repeats_and_no_record(seed: int) -> None:
    rng = random.Random(f"losses {seed}")
    places = [node_name(address) for address in range(4)]
    plan = FaultPlan(
        seed,
        tuple(
            Fault(place, Act.FRAME_LOST, Counted.FRAME, nth, must_fire=nth < 100)
            for place in places
            for nth in range(1, 4000)
            if rng.random() < 0.01
        ),
    )
    faults = FaultRecord(plan)
    bus = BusTime(3, faults=faults)
    shift = Shift(bus, 10, seed)
    assert shift.run(120), shift.left
    assert shift.taken == shift.sent
    assert not named(bus.head.events(), What.BABBLING), "a lost frame makes nobody a suspect"
    faults.demand_fired()
    bus.close()


@pytest.mark.parametrize("seed", range(3))
def test_bit_errors_cost_time_and_no_record(seed: int) -> None:
    faults = FaultRecord(bit_error_plan(seed, ["can0"], frames=4000, rate=0.05))
    bus = BusTime(3, faults=faults)
    shift = Shift(bus, 10, seed)
    assert shift.run(60), shift.left
    assert shift.taken == shift.sent
    assert sum(row.fired for row in faults.report()) > 10
    bus.close()


def test_a_device_at_another_rate_spoils_every_frame_and_when_it_is_off_all_go_on_by_themselves() -> None:
    """A controller at a wrong bit rate flags every frame, until its own counter takes it off."""
    spoiled = tuple(Fault("can0", Act.BIT_ERROR, Counted.FRAME, nth, 20) for nth in range(1, 400))
    faults = FaultRecord(FaultPlan(1, spoiled))
    bus = BusTime(3, faults=faults)
    shift = Shift(bus, 5, 6)
    assert shift.run(120), shift.left
    assert shift.taken == shift.sent
    assert all(named(till.events(), What.BUS_OFF) for till in bus.tills.values()), "nobody could send"
    told = {event.what for event in bus.head.events()}
    assert not told & {What.BABBLING, What.STALLING, What.BROKEN, What.ADDRESS_CONFLICT, What.FALSE_HEAD}
    faults.demand_fired()
    bus.close()


def test_frames_that_wait_for_seconds_behind_others_arrive_and_nobody_is_suspected(bus: BusTime) -> None:
    shift = Shift(bus, 6, 7)
    shift.run(0.05)
    taken = sum(map(len, shift.taken.values()))
    others = babbler(bus, Frame(0x0000_0001, b"anything"))  # wins every arbitration
    assert not shift.run(3.0)
    assert sum(map(len, shift.taken.values())) <= taken + 1, "nothing got through"
    others.unplug()
    assert shift.run(60), shift.left
    assert shift.taken == shift.sent
    events = bus.head.events()
    assert not named(events, What.BABBLING) | named(events, What.STALLING) | named(events, What.BROKEN)


def test_a_short_takes_everybody_off_the_bus_and_all_come_back_by_themselves(bus: BusTime) -> None:
    shift = Shift(bus, 5, 1)
    shift.run(0.02)
    bus.model.short()
    assert bus.run(5.0, lambda: shift.pump() or bus.head.back_off.off)
    assert named(bus.head.events(), What.BUS_OFF) == {HEAD}
    with pytest.raises(LineDown):
        bus.head.send(Peer(1), b"not now")
    shift.run(1.0)
    bus.model.repair()
    assert shift.run(30), shift.left
    assert shift.taken == shift.sent
    assert named(bus.head.events(), What.BUS_BACK) == {HEAD}
    assert 1 <= bus.head.back_off.count <= 4, "each time it waits twice as long"


def test_a_cable_pulled_in_the_middle_of_records_loses_none(bus: BusTime) -> None:
    shift = Shift(bus, 6, 2)
    for address in (2, 4, 2):
        shift.run(0.05)
        bus.model.nodes[node_name(address)].unplug()
        shift.run(0.7)
        bus.model.nodes[node_name(address)].plug()
    bus.model.nodes[node_name(0)].unplug()
    shift.run(3.0)
    bus.model.nodes[node_name(0)].plug()
    assert shift.run(60), shift.left
    assert shift.taken == shift.sent


def test_a_terminal_whose_heartbeat_stops_is_named(bus: BusTime) -> None:
    presence = Presence(bus.head.tell)
    bus.head.attach(presence)
    for address, line in bus.tills.items():
        line.attach(HeartbeatSource(partial(Heartbeat, address, Condition.SELLING, serial=address)))
    bus.run(6)
    assert set(presence.seen) == set(bus.tills)
    bus.model.nodes[node_name(3)].unplug()
    bus.run(12)
    assert named(bus.head.events(), What.LOST) == {3}


def test_a_babbling_node_is_named_and_the_rest_goes_on_when_it_is_unplugged(bus: BusTime) -> None:
    node = babbler(bus, Frame(physical_id(Priority.P6, HEAD, 3), b"\x07babble!"))
    shift = Shift(bus, 4, 3)
    shift.run(1.0)
    bus.tills[5].send(HEAD, b"may she pay", urgent=True)
    shift.run(2.0)
    events = bus.head.events()
    assert named(events, What.BABBLING) == {3}
    assert bus.head.suspects.all_held == (3,)
    with pytest.raises(PeerGone):
        bus.head.send(Peer(3), b"be quiet")
    assert b"may she pay" in [record.message for record in shift.asked], "what is urgent gets through"
    node.unplug()
    assert shift.run(90), shift.left
    assert shift.taken[5] == shift.sent[5]
    assert named(bus.head.events(), What.RELEASED) == {3}


def test_a_node_that_sends_nonsense_is_named_and_only_that(bus: BusTime) -> None:
    node = babbler(bus, Frame(physical_id(Priority.P6, HEAD, 4), b"\xf0nonsens"))
    bus.run(0.5)
    assert named(bus.head.events(), What.BROKEN) == {4}
    node.unplug()


def test_a_node_that_begins_and_never_goes_on_is_named_and_does_not_block_the_others(bus: BusTime) -> None:
    stalls = bus.model.attach("staller")
    shift = Shift(bus, 30, 4)
    first = Frame(physical_id(Priority.P6, HEAD, 9), b"\x10\x60stalls")
    for _ in range(8):
        stalls.send(first)
        shift.run(0.1)
        bus.run(1.2)
    assert shift.run(5), shift.left
    assert 9 in named(bus.head.events(), What.STALLING)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(functional_id(Priority.P2), b"\x00\x05false"),
        Frame(physical_id(Priority.P6, 2, HEAD), b"\x03pay"),
        Frame(multicast_id(Spread.IMAGE, 7), b"firmware"),
    ],
)
def test_somebody_who_speaks_as_the_head_is_noticed(bus: BusTime, frame: Frame) -> None:
    bus.model.attach("stranger").send(frame)
    bus.run(0.1)
    assert [event.what for event in bus.head.events()] == [What.FALSE_HEAD]


def test_frames_of_other_identifiers_are_counted_and_change_nothing(bus: BusTime) -> None:
    node = bus.model.attach("stranger")
    for number in range(100):
        node.send(Frame(0x1234_5600 + number, b"whatever"))
    shift = Shift(bus, 3, 5)
    assert shift.run(10)
    assert bus.head.foreign_count == 100
    assert named(bus.head.events(), What.FOREIGN) == {0xFF}


def test_two_devices_under_one_address_are_named_by_the_head_and_notice_it_themselves() -> None:
    bus = BusTime(2)
    presence = Presence(bus.head.tell)
    bus.head.attach(presence)
    twin = bus.add(2, "till 2 twin")
    for line, serial in ((bus.tills[1], 1), (bus.tills[2], 1000), (twin, 2000)):
        line.attach(HeartbeatSource(partial(Heartbeat, line.own, serial=serial)))
    bus.run(30)
    assert named(bus.head.events(), What.ADDRESS_CONFLICT) == {2}
    assert named(bus.tills[2].events(), What.ADDRESS_CONFLICT) == {2}
    assert not named(bus.tills[1].events(), What.ADDRESS_CONFLICT)
    bus.close()


def test_messages_with_a_wrong_seal_put_their_address_into_quarantine(bus: BusTime) -> None:
    bus.head.report_forged(Peer(2), 20)
    assert not bus.head.suspects.all_held, "a few are not enough"
    bus.head.report_forged(Peer(2))
    assert bus.head.suspects.all_held == (2,)
    bus.run(11)
    assert named(bus.head.events(), What.RELEASED) == {2}
