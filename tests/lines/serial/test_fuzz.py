"""Whatever bytes are on a line, and whatever frames: nothing is raised out of the loop, and it goes on."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.lines.distribution import BlockReceiver, Manifest
from campus_node.lines.errors import Forged
from campus_node.lines.line import ALL, HEAD, Line, Peer
from campus_node.lines.serial.frames import START, Kind, SerialFrame
from hil_rig.virtual.line_time import LineTime
from tests.lines.serial.test_multicast import ForgetfulStore

HONEST = b"still here, all sixty bytes" * 2
FRAMES = st.builds(
    SerialFrame,
    st.sampled_from([0, 1, 2, 3, 255]),
    st.sampled_from([0, 1, 2, 3, 255]),
    st.sampled_from(Kind),
    st.integers(0, 1),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda n, rest: bytes([1, *n]) + rest,
            st.tuples(*[st.integers(0, 255)] * 3),
            st.binary(max_size=20),
        ),
    ),
)


def refuse(_signed: bytes) -> Manifest:
    raise Forged("nothing here is signed")


def furnished() -> LineTime:
    bus = LineTime(2)
    image = random.Random("image").randbytes(4096)
    manifest = Manifest.of(image, 1024)
    bus.tills[1].attach_receiver(BlockReceiver(refuse, ForgetfulStore(1)))
    bus.tills[2].attach_receiver(BlockReceiver(lambda _signed: manifest, ForgetfulStore(1)))
    bus.run(0.5)
    bus.head.distribute(1, b"signed" * 200, image, {1, 2}, block_bytes=1024, load=0.3)
    bus.head.send(ALL, b"\x21 a notice")
    return bus


def received(line: Line) -> list[bytes]:
    """Return all messages that a line has."""
    found = []
    while (one := line.receive(0)) is not None:
        found.append(one.message)
    return found


def goes_on(bus: LineTime) -> bool:
    """Return whether an honest message gets through both ways, repeated as its sender would."""
    for line, peer, other in (
        (bus.tills[1], HEAD, bus.head),
        (bus.head, Peer(1), bus.tills[1]),
    ):
        for _ in range(5):
            if peer != HEAD and peer not in bus.head.addresses().known:
                bus.run(3.0)
                continue
            line.send(peer, HONEST)
            bus.run(1.0)
            if HONEST in received(other):
                break
        else:
            return False
    return True


@settings(max_examples=25, deadline=None)
@given(frames=st.lists(FRAMES, max_size=25), pause_ms=st.integers(0, 20))
def test_no_sequence_of_frames_stops_a_line(frames: list[SerialFrame], pause_ms: int) -> None:
    bus = furnished()
    stranger = bus.model.attach("stranger", 115_200)
    for frame in frames:
        stranger.write(frame.encode())
        bus.run(pause_ms / 1000)
    bus.run(0.5)
    assert goes_on(bus)
    bus.close()


@settings(max_examples=15, deadline=None)
@given(bursts=st.lists(st.one_of(st.binary(max_size=60), st.just(START * 9)), max_size=20))
def test_no_bytes_stop_a_line(bursts: list[bytes]) -> None:
    bus = furnished()
    stranger = bus.model.attach("stranger", 115_200)
    for burst in bursts:
        stranger.write(burst)
        bus.run(0.004)
    bus.run(0.5)
    assert goes_on(bus)
    bus.close()


@pytest.fixture
def bus() -> Iterator[LineTime]:
    bus = LineTime(3)
    bus.run(0.5)
    yield bus
    bus.close()


def test_a_notice_reaches_all_once_though_it_goes_twice_and_the_same_again_is_another(bus: LineTime) -> None:
    for urgent in (True, False):
        bus.head.send(ALL, b"\x21 the same words", urgent=urgent)
    bus.run(0.5)
    for line in bus.tills.values():
        assert received(line) == [b"\x21 the same words"] * 2


def test_a_notice_that_is_too_long_for_a_frame_reaches_each_apart(bus: LineTime) -> None:
    notice = random.Random("long").randbytes(3_000)
    bus.head.send(ALL, notice)
    bus.run(2.0)
    for line in bus.tills.values():
        assert line.receive(0) == (HEAD, notice)


def test_what_is_urgent_goes_before_everything_that_has_not_begun(bus: LineTime) -> None:
    for number in range(20):
        bus.head.send(Peer(1), bytes([number]) * 1_000)
        bus.tills[2].send(HEAD, bytes([number]) * 1_000)
    bus.head.send(Peer(3), b"now", urgent=True)
    bus.tills[2].send(HEAD, b"now", urgent=True)
    bus.run(0.3)
    assert bus.tills[3].receive(0) == (HEAD, b"now")
    from_two = received(bus.head)
    assert b"now" in from_two[:2]
