"""Whatever frames are on a bus, in whatever order: nothing is raised out of the loop, and it goes on."""

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.lines.can.ids import (
    CAN_ID_MAX,
    Frame,
    Priority,
    Signal,
    Spread,
    functional_id,
    multicast_id,
    physical_id,
    signal_id,
)
from campus_node.lines.can.line import CanLine
from campus_node.lines.can.multicast_receiver import MulticastReceiver
from campus_node.lines.can.multicast_sender import MulticastSender
from campus_node.lines.can.presence import Presence
from campus_node.lines.can.time_sync import TimeSource, TrimmedClock
from campus_node.lines.can.transfer import Transfer
from campus_node.lines.distribution import BlockReceiver, Manifest
from campus_node.lines.errors import Forged
from campus_node.lines.line import HEAD, Peer
from federation.errors import Unavailable
from hil_rig.virtual.bus_time import BusTime
from hil_rig.virtual.can_bus import Frame as WireFrame

ADDRESS = st.integers(0, 255)
IDS = st.one_of(
    st.builds(physical_id, st.sampled_from([Priority.P2, Priority.P6]), ADDRESS, ADDRESS),
    st.builds(functional_id, st.sampled_from([Priority.P2, Priority.P6]), ADDRESS),
    st.builds(signal_id, st.sampled_from(Signal), ADDRESS),
    st.builds(multicast_id, st.sampled_from(Spread), st.integers(0, 2**20 - 1)),
    st.integers(0, CAN_ID_MAX),
)
FRAMES = st.lists(st.tuples(IDS, st.binary(max_size=8)), max_size=60)


HONEST = b"still here, all sixty bytes" * 2


class Nowhere:
    """A store that forgets: what a fuzzed manifest would be written to."""

    def begin(self, _manifest: Manifest) -> set[int]:
        return set()

    def write(self, manifest: Manifest, block: int, content: bytes) -> None:
        assert len(content) == manifest.size_of(block)

    def complete(self, _manifest: Manifest) -> bool:
        return True


def refuse(_signed: bytes) -> Manifest:
    raise Forged("nothing here is signed")


def furnished() -> BusTime:
    bus = BusTime(2)
    bus.head.attach(Presence(bus.head.tell))
    bus.head.attach(TimeSource(lambda now_s: round(now_s * 1e6)))
    image = random.Random("image").randbytes(4096)
    manifest = Manifest.of(image, 1024)
    bus.head.attach(MulticastSender(1, b"signed" * 20, image, {1, 2}, block_bytes=1024))
    for address, trust in ((1, refuse), (2, lambda _signed: manifest)):
        bus.tills[address].attach(MulticastReceiver(address, BlockReceiver(trust, Nowhere())))
        bus.tills[address].attach(TrimmedClock())
    return bus


@settings(max_examples=40, deadline=None)
@given(frames=FRAMES)
def test_no_sequence_of_frames_stops_a_bus(frames: list[tuple[int, bytes]]) -> None:
    bus = furnished()
    stranger = bus.model.attach("stranger")
    for can_id, payload in frames:
        stranger.send(WireFrame(can_id, payload))
    bus.tills[1].send(HEAD, b"record" * 20)
    bus.head.send(Peer(2), b"parameters" * 20)
    bus.run(0.2)
    for line in bus.lines.values():
        while line.receive(0) is not None:
            pass
    again_s = 0.0

    def heard() -> bool:
        nonlocal again_s
        if bus.now_s >= again_s:
            again_s = bus.now_s + 1.0
            with suppress(Unavailable):  # it may be off the bus, or in quarantine, for a while
                bus.tills[2].send(HEAD, HONEST)
        return any(received.message == HONEST for received in iter(lambda: bus.head.receive(0), None))

    assert bus.run(40.0, heard), "one stranger's burst does not silence an honest terminal"
    bus.close()


@settings(max_examples=200, deadline=None)
@given(frames=st.lists(st.tuples(st.binary(max_size=8), st.floats(0, 0.5)), max_size=80))
def test_no_sequence_of_frames_stops_a_transfer(frames: list[tuple[bytes, float]]) -> None:
    sent: list[Frame] = []
    transfer = Transfer(Priority.P6, 0, 7, sent.append, answer_within_s=0.5, pause_s=1.0, attempts=3)
    now_s = 0.0
    transfer.send(b"x" * 300, now_s)
    for payload, pause_s in frames:
        now_s += pause_s
        transfer.take(Frame(physical_id(Priority.P6, 0, 7), payload), now_s)
        transfer.step(now_s)
    assert all(len(message) <= 4095 for message in transfer.received)
    for _ in range(10):
        now_s += 2.0
        transfer.step(now_s)
    assert not transfer.receiving
    assert not transfer.waiting


@pytest.mark.parametrize("seed", range(5))
def test_frames_that_come_twice_change_no_message(seed: int) -> None:
    rng = random.Random(f"twice {seed}")
    wires: list[list[Frame]] = [[], []]
    ends: list[Transfer] = [
        Transfer(Priority.P6, own, 7 - own, wires[own == 7].append, answer_within_s=1, pause_s=1, attempts=3)
        for own in (0, 7)
    ]
    messages = [rng.randbytes(rng.randrange(8, 600)) for _ in range(50)]
    for message in messages:
        ends[0].send(message, 0.0)
        while any(wires):
            for own in (0, 1):
                if wires[own]:
                    frame = wires[own].pop(0)
                    for _ in range(rng.choice([1, 1, 1, 2])):
                        ends[1 - own].take(frame, 0.0)
    assert list(ends[1].received) == messages


@pytest.mark.parametrize("payload", [b"", b"\x10", b"\x30", b"\x00", b"\x10\x00\xff\xff\xff\xff\x00\x00"])
@pytest.mark.parametrize("end", ["head", "till 1"])
def test_degenerate_frames_are_counted_at_most(payload: bytes, end: str) -> None:
    bus = BusTime(1)
    line: CanLine = bus.lines[end]
    can_id = physical_id(Priority.P6, line.own, 1 - line.own)
    bus.model.attach("stranger").send(WireFrame(can_id, payload))
    bus.run(0.1)
    assert line.receive(0) is None
    bus.close()


def test_noise_becomes_no_manifest() -> None:
    opened: list[bytes] = []

    def note(signed: bytes) -> Manifest:
        opened.append(signed)
        return refuse(signed)

    receiver = MulticastReceiver(1, BlockReceiver(note, Nowhere()))
    rng = random.Random("receiver")
    for _ in range(20_000):
        spread = rng.choice([Spread.POLL, Spread.MANIFEST, Spread.IMAGE])
        receiver.take(Frame(multicast_id(spread, rng.randrange(64)), rng.randbytes(8)), 0.0)
    assert receiver.blocks.progress == (0, 0)
    assert not opened, "a manifest whose mark does not fit is not even looked at"
