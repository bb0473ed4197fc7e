"""What goes wrong on a polled line: it recovers without a person, and the right address is named."""

import random
from collections.abc import Iterator

import pytest

from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import HEAD, Peer
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.head import SerialHeadLine
from campus_node.lines.serial.timing import RATES
from federation.errors import Overloaded
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord
from hil_rig.faults import What as Act
from hil_rig.virtual.line_time import HEAD_NODE, LineTime, node_name, serial_number

REPEAT_S = 0.8
RECORDS = 10
ALARMING = {What.ADDRESS_CONFLICT, What.BABBLING, What.HELD, What.WRONG_RATE, What.FALSE_HEAD}


class Shift:
    """Every terminal has some records, repeats each until it is acknowledged, and the head acknowledges."""

    def __init__(self, bus: LineTime, seed: int, records: int = RECORDS) -> None:
        self.bus = bus
        rng = random.Random(f"shift {seed}")
        self.left = {
            address: [bytes([address, number]) + rng.randbytes(94) for number in range(records)]
            for address in bus.tills
        }
        self.sent = {address: list(records) for address, records in self.left.items()}
        self.taken: dict[int, list[bytes]] = {address: [] for address in bus.tills}
        self.events: list[Event] = []
        self._again_s = dict.fromkeys(bus.tills, 0.0)

    def run(self, for_s: float) -> bool:
        done = self.bus.run(for_s, self.pump)
        self.events += self.bus.head.events()
        return done

    def work(self, for_s: float) -> None:
        """Let so much time pass, whether or not there is anything left to do."""
        self.bus.run(for_s, self._go_on)
        self.events += self.bus.head.events()

    def named(self, what: What) -> set[int]:
        return {event.address for event in self.events if event.what is what}

    def _go_on(self) -> bool:
        self.pump()
        return False

    def pump(self) -> bool:
        while (record := self.bus.head.receive(0)) is not None:
            if record.message not in self.taken[record.peer]:
                self.taken[record.peer].append(record.message)
            self._try_to_send(HEAD, record.peer, b"ok" + record.message[:2])
        for address, records in self.left.items():
            while (answer := self.bus.tills[address].receive(0)) is not None:
                if records and answer.message == b"ok" + records[0][:2]:
                    records.pop(0)
                    self._again_s[address] = 0.0
            if records and self._again_s[address] <= self.bus.now_s:
                self._again_s[address] = self.bus.now_s + REPEAT_S
                self.bus.call_at(self._again_s[address])
                self._try_to_send(address, HEAD, records[0])
        return not any(self.left.values())

    def _try_to_send(self, source: int, target: int, message: bytes) -> None:
        line = self.bus.tills[source] if source else self.bus.head
        try:
            line.send(Peer(target), message)
        except (LineDown, PeerGone, Overloaded):
            return  # it is repeated


@pytest.fixture
def bus() -> Iterator[LineTime]:
    bus = LineTime(4)
    assert bus.run(1.0, lambda: len(bus.head.addresses().known) == 4)
    yield bus
    bus.close()


def planned(act: Act, seed: int, sizes: range) -> FaultPlan:
    rng = random.Random(f"faults {act} {seed}")
    places = [node_name(address) for address in range(4)]
    return FaultPlan(
        seed,
        tuple(
            Fault(place, act, Counted.FRAME, nth, rng.choice(sizes), must_fire=nth < 40)
            for place in places
            for nth in sorted(rng.sample(range(2, 400), 30))
        ),
    )


@pytest.mark.parametrize(
    ("act", "sizes"),
    [
        (Act.FRAME_LOST, range(1)),
        (Act.BIT_ERROR, range(2000)),
        (Act.FRAME_TWICE, range(1)),
        (Act.FRAME_LATE, range(1, 60)),
    ],
)
def test_frames_lost_hit_doubled_or_late_cost_repeats_and_no_record(
    act: Act, sizes: range, seed: int
) -> None:
    faults = FaultRecord(planned(act, seed, sizes))
    bus = LineTime(3, faults=faults)
    shift = Shift(bus, seed, records=30)
    assert shift.run(120), shift.left
    assert shift.taken == shift.sent
    late = {What.BABBLING} if act is Act.FRAME_LATE else set()  # too late is unasked
    assert not [event for event in shift.events if event.what in ALARMING - late and not event.hint]
    faults.demand_fired()
    bus.close()


def test_a_message_is_never_delivered_twice_though_every_fourth_frame_is_lost(seed: int) -> None:
    rng = random.Random(f"every fourth {seed}")
    lost = (
        Fault(node_name(address), Act.FRAME_LOST, Counted.FRAME, nth, must_fire=nth < 50)
        for address in range(3)
        for nth in range(1, 3_000)
        if rng.random() < 0.25
    )
    faults = FaultRecord(FaultPlan(seed, tuple(lost)))
    bus, got, heard = LineTime(2, faults=faults), list[bytes](), list[bytes]()
    for number in range(60):
        message = number.to_bytes(2) + rng.randbytes(rng.randrange(1, 3_000))
        try:
            bus.head.send(Peer(1), message)
        except (PeerGone, Overloaded):
            bus.run(1.0)
        bus.tills[1].send(HEAD, message)
        bus.run(1.0)
        got += [r.message for r in iter(lambda: bus.head.receive(0), None) if r.peer == 1]
        heard += [r.message for r in iter(lambda: bus.tills[1].receive(0), None)]
    for messages in (got, heard):
        numbers = [int.from_bytes(message[:2]) for message in messages]
        assert numbers == sorted(set(numbers)), "in order and at most once"
        assert len(numbers) > 30
    faults.demand_fired()
    bus.close()


def test_a_terminal_that_is_unplugged_is_named_and_comes_back_by_itself(bus: LineTime, seed: int) -> None:
    shift = Shift(bus, seed)
    bus.ports[node_name(2)].node.unplug()
    assert not shift.run(5.0)
    assert shift.named(What.PEER_SILENT) == {2}
    assert bus.head.addresses().silent == {2}
    assert not any(shift.left[address] for address in (1, 3, 4)), "the others go on"
    with pytest.raises(PeerGone):
        bus.head.send(Peer(2), b"are you there")
    bus.ports[node_name(2)].node.plug()
    assert shift.run(10.0)
    assert shift.named(What.PEER_BACK) == {2}
    assert shift.taken == shift.sent
    assert not shift.named(What.HELD)


def test_a_short_is_told_as_one_thing_and_all_come_back_when_it_is_repaired(bus: LineTime, seed: int) -> None:
    shift = Shift(bus, seed, records=40)
    shift.work(0.2)
    bus.model.short()
    assert not shift.run(6.0)
    assert shift.named(What.HELD) == {0xFF}
    assert not shift.named(What.PEER_SILENT), "nobody is blamed for the wire"
    bus.model.repair()
    assert shift.run(10.0), shift.left
    assert shift.named(What.CLEAR) == {0xFF}
    assert shift.taken == shift.sent


def test_a_stuck_transmitter_that_is_taken_off_is_named_when_all_others_are_back(
    bus: LineTime, seed: int
) -> None:
    shift = Shift(bus, seed, records=40)
    shift.work(0.2)
    bus.ports[node_name(3)].node.stick()
    assert not shift.run(5.0)
    assert shift.named(What.HELD) == {0xFF}
    bus.ports[node_name(3)].node.unplug()
    assert not shift.run(10.0)
    assert shift.named(What.HELD) == {0xFF, 3}
    assert shift.named(What.PEER_SILENT) == {3}
    assert not any(shift.left[address] for address in (1, 2, 4))
    bus.ports[node_name(3)].node.plug()
    assert shift.run(10.0)
    assert shift.taken == shift.sent


def test_a_transmitter_that_lets_go_by_itself_costs_time_only(bus: LineTime, seed: int) -> None:
    shift = Shift(bus, seed)
    for _ in range(3):
        bus.ports[node_name(3)].node.stick()
        shift.work(1.5)
        bus.ports[node_name(3)].node.stick(False)
        shift.work(0.5)
    assert shift.run(20.0), shift.left
    assert shift.taken == shift.sent
    assert shift.named(What.HELD) == {0xFF}
    assert bus.head.addresses().known == {1, 2, 3, 4}


def test_noise_among_the_frames_is_told_and_costs_repeats_only(bus: LineTime, seed: int) -> None:
    shift, rng = Shift(bus, seed, records=30), random.Random(f"noise {seed}")
    noisy = bus.model.attach("noisy", 115_200)
    for _ in range(120):
        shift.work(rng.uniform(0.001, 0.03))
        noisy.write(rng.randbytes(rng.randrange(1, 30)))
    assert shift.run(60.0), shift.left
    assert shift.taken == shift.sent
    assert shift.named(What.NOISE) == {0xFF}
    shift.work(8.0)
    assert shift.named(What.CLEAR) == {0xFF}
    assert not shift.named(What.BABBLING) | shift.named(What.ADDRESS_CONFLICT)


def test_a_terminal_that_speaks_unasked_is_named(bus: LineTime, seed: int) -> None:
    shift, rng = Shift(bus, seed, records=40), random.Random(f"unasked {seed}")
    for _ in range(150):
        shift.work(rng.uniform(0.005, 0.02))
        frame = SerialFrame(HEAD, 2, Kind.SEGMENT, 0, True, True, payload=rng.randbytes(20))
        bus.ports[node_name(2)].node.write(frame.encode())
    assert shift.run(60.0), shift.left
    assert shift.named(What.BABBLING) == {2}
    for address, sent in shift.sent.items():
        assert [record for record in shift.taken[address] if record in sent] == sent
    shift.work(12.0)
    assert shift.named(What.RELEASED) == {2}


def test_a_terminal_gone_mad_is_suspected_when_only_it_falls_silent(bus: LineTime, seed: int) -> None:
    shift, rng = Shift(bus, seed, records=200), random.Random(f"mad {seed}")
    bus.lines[node_name(2)].close()
    del bus.lines[node_name(2)]
    del shift.left[2]
    mad = bus.model.attach("till 2 gone mad", 115_200)
    for _ in range(250):
        shift.work(rng.uniform(0.02, 0.05))
        mad.write(rng.randbytes(rng.randrange(1, 12)))
    assert {event.address for event in shift.events if event.what is What.BABBLING and event.hint} == {2}
    assert shift.run(60.0), shift.left
    assert all(shift.taken[address] == shift.sent[address] for address in (1, 3, 4))


@pytest.mark.parametrize("there_from_the_beginning", [True, False])
def test_two_under_one_address_are_both_named_and_one_alone_goes_on(
    there_from_the_beginning: bool, seed: int
) -> None:
    bus = LineTime(3)
    if not there_from_the_beginning:
        assert bus.run(1.0, lambda: len(bus.head.addresses().known) == 3)
    bus.add(2, node="twin", serial=77)
    shift = Shift(bus, seed)
    assert not shift.run(10.0)
    conflicts = {
        (event.address, event.detail) for event in shift.events if event.what is What.ADDRESS_CONFLICT
    }
    assert conflicts == {(2, 2), (2, 77)}
    assert bus.head.addresses().slow == {2}
    assert not any(shift.left[address] for address in (1, 3)), "the others go on"
    bus.ports["twin"].node.unplug()
    assert shift.run(20.0), shift.left
    assert shift.taken == shift.sent
    assert shift.named(What.RELEASED) == {2}
    assert bus.head.serial_of(2) == serial_number(2)


@pytest.mark.parametrize(("line", "wrong"), [(115_200, 9_600), (9_600, 115_200), (19_200, 57_600)])
def test_a_terminal_at_another_rate_is_named_with_its_rate(line: int, wrong: int, seed: int) -> None:
    bus = LineTime(2, baud=line, expected=[1, 2, 3])
    bus.add(3, baud=wrong)
    shift = Shift(bus, seed)
    assert shift.run(60.0), "the others go on"
    assert bus.run(60.0, lambda: bus.head.addresses().slow == {3})
    shift.work(0.1)
    wrong_rates = {(event.address, event.detail) for event in shift.events if event.what is What.WRONG_RATE}
    assert wrong_rates == {(3, wrong)}
    bus.close()


@pytest.mark.parametrize(("line", "wrong"), [(115_200, 9_600), (9_600, 115_200), (38_400, 57_600)])
def test_a_terminal_that_may_finds_the_rate_of_its_line(line: int, wrong: int, seed: int) -> None:
    bus = LineTime(2, baud=line, expected=[1, 2, 3])
    bus.tills[3] = bus.add(3, baud=wrong, rates=RATES)
    shift = Shift(bus, seed)
    assert shift.run(60.0), shift.left
    assert bus.tills[3].baud == line
    assert shift.taken == shift.sent
    bus.close()


def test_a_line_whose_rate_changes_is_followed_by_all(seed: int) -> None:
    bus = LineTime(0, baud=57_600, expected=[1, 2, 3])
    bus.tills.update({address: bus.add(address, baud=9_600, rates=RATES) for address in (1, 2, 3)})
    shift = Shift(bus, seed)
    assert shift.run(60.0), shift.left
    assert {line.baud for line in bus.tills.values()} == {57_600}
    bus.close()


def test_somebody_nobody_expected_is_found_and_a_scan_finds_every_rate(seed: int) -> None:
    bus = LineTime(2, expected=[], discover=range(1, 30))
    bus.add(9, baud=19_200)
    shift = Shift(bus, seed)
    assert shift.run(20.0), shift.left
    assert bus.head.addresses().known == {1, 2}
    bus.head.scan(range(1, 12))
    assert bus.run(60.0, lambda: bus.head.scanning == 0)
    assert {(found.address, found.baud) for found in bus.head.found} == {
        (1, 115_200),
        (2, 115_200),
        (9, 19_200),
    }
    bus.run(1.0)
    assert bus.head.baud == 115_200
    bus.close()


def test_somebody_who_speaks_as_the_head_is_told(bus: LineTime) -> None:
    stranger = bus.model.attach("stranger", 115_200)
    for _ in range(30):
        bus.run(0.02)
        stranger.write(SerialFrame(1, HEAD, Kind.ACK).encode())
    assert What.FALSE_HEAD in {event.what for event in bus.head.events()}


def test_a_head_that_restarts_and_a_terminal_that_restarts_go_on(seed: int) -> None:
    bus = LineTime(2)
    bus.run(0.5)
    for number in range(3):
        bus.tills[1].send(HEAD, bytes([number]) * 2_000)
        bus.run(0.2)
    bus.lines.pop(HEAD_NODE).close()
    bus.head = SerialHeadLine("rs485", bus.port(HEAD_NODE, 115_200), addresses=[1, 2], discover=())
    bus.join(HEAD_NODE, 0, bus.head)
    bus.lines.pop(node_name(2)).close()
    bus.tills[2] = bus.add(2)
    shift = Shift(bus, seed)
    assert shift.run(20.0), shift.left
    assert shift.taken == shift.sent
    bus.close()
