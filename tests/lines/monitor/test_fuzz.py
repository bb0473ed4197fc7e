"""Nothing that stands on a wire makes a monitor raise, and nothing makes it grow without bound."""

import random

import can
from hypothesis import given
from hypothesis import strategies as st

from campus_node.cli.language import Language
from campus_node.lines.can.ids import (
    Frame,
    Priority,
    Signal,
    Spread,
    functional_id,
    multicast_id,
    physical_id,
    signal_id,
)
from campus_node.lines.can.transfer import Transfer
from campus_node.lines.monitor.can_ear import CanEar
from campus_node.lines.monitor.inside import said_by_gateway, said_by_terminal
from campus_node.lines.monitor.iso_tp import UNDER_WAY_MAX, IsoTpEar
from campus_node.lines.monitor.keys import OnePsam
from campus_node.lines.monitor.scan import CanScan
from campus_node.lines.monitor.seen import Seen
from campus_node.lines.monitor.serial_ear import SerialEar
from campus_node.lines.monitor.talk import Heard, Talk
from campus_node.lines.serial.frames import Kind, SerialFrame
from tests.lines.monitor.conftest import Capture
from tests.lines.monitor.exchange import authorization, hotlist_notice, records, report
from tests.lines.subject import KEY_3DES

ADDRESS = st.integers(0, 255)
IDS = st.one_of(
    st.builds(physical_id, st.sampled_from([Priority.P2, Priority.P6]), ADDRESS, ADDRESS),
    st.builds(functional_id, st.sampled_from([Priority.P2, Priority.P6]), ADDRESS),
    st.builds(signal_id, st.sampled_from(list(Signal)), ADDRESS),
    st.builds(multicast_id, st.sampled_from(list(Spread)), st.integers(0, 0xFFFFF)),
    st.integers(0, 0x1FFFFFFF),
)
FRAMES = st.builds(
    lambda can_id, payload, error: can.Message(arbitration_id=can_id, data=payload, is_error_frame=error),
    IDS,
    st.binary(max_size=8),
    st.sampled_from([False] * 9 + [True]),
)


def _say_all(all_seen: list[Seen]) -> None:
    for seen in all_seen:
        assert seen.content()["text"]
        assert Language.CHINESE.say(seen.words)


@given(messages=st.lists(FRAMES, max_size=60))
def test_no_frames_make_it_raise(messages: list[can.Message]) -> None:
    ear, scan = CanEar(Talk(OnePsam(KEY_3DES))), CanScan()
    for message in messages:
        _say_all(ear.take(message))
        scan.take(message)
    assert all(0 <= place.address < 255 for place in scan.places)


@given(message=st.binary(min_size=1, max_size=200), first=st.sampled_from(b"\x01\x11\x12\x13\x14\x21\x00"))
def test_no_message_makes_it_raise(message: bytes, first: int) -> None:
    talk = Talk(OnePsam(KEY_3DES))
    for target in (0, 5, 255):
        _say_all(talk.take(Heard(5, target, bytes((first,)) + message)))


@given(plaintext=st.binary(max_size=300))
def test_nothing_inside_an_envelope_makes_it_raise(plaintext: bytes) -> None:
    _say_all(said_by_terminal(plaintext))
    _say_all(said_by_gateway(plaintext))


def test_nearly_right_contents_do_not_make_it_raise(seed: int) -> None:
    rng = random.Random(seed)
    right = [said.SerializeToString() for said in (records(), authorization(), report())]
    for _ in range(3000):
        changed = bytearray(rng.choice(right))
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        plaintext = bytes(changed[: rng.randint(1, len(changed))] if rng.random() < 0.3 else changed)
        _say_all(said_by_terminal(plaintext))
        _say_all(said_by_gateway(plaintext))


def test_a_conversation_with_flipped_lost_and_doubled_frames_does_not_make_it_raise(
    capture: Capture, seed: int
) -> None:
    rng = random.Random(seed)
    opened = 0
    for _ in range(60):
        talk = Talk(OnePsam(KEY_3DES))
        ear = CanEar(talk)
        for message in capture.messages:
            octets = bytearray(message.data)
            if octets and rng.random() < 0.02:
                octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
            for _ in range(rng.choice([0, 2]) if rng.random() < 0.02 else 1):
                changed = can.Message(
                    arbitration_id=message.arbitration_id, data=octets, timestamp=message.timestamp
                )
                _say_all(ear.take(changed))
        opened += talk.opened_count
    assert opened > 0, "some of them were still whole"


def test_many_unfinished_transfers_are_bounded() -> None:
    ear = IsoTpEar()
    for number in range(3 * UNDER_WAY_MAX):
        ear.take((6, number >> 8, number & 0xFF), b"\x1f\xff" + bytes(6))
    assert ear.unfinished == UNDER_WAY_MAX


@given(message=st.binary(min_size=1, max_size=4095))
def test_a_bystander_hears_what_the_receiver_hears(message: bytes) -> None:
    ear = IsoTpEar()
    heard: list[bytes] = []
    wires: list[list[Frame]] = [[], []]
    ends = [
        Transfer(Priority.P6, own, 7 - own, wires[own == 7].append, answer_within_s=1, pause_s=1, attempts=3)
        for own in (0, 7)
    ]
    ends[0].send(message, 0.0)
    while any(wires):
        for own in (0, 1):
            while wires[own]:
                frame = wires[own].pop(0)
                piece = ear.take((6, frame.can_id >> 8 & 0xFF, frame.can_id & 0xFF), frame.payload)
                heard += [] if piece.message is None else [piece.message]
                ends[1 - own].take(frame, 0.0)
    assert heard == list(ends[1].received) == [message]


def test_bytes_on_a_serial_line_do_not_make_it_raise(seed: int) -> None:
    rng = random.Random(seed)
    ear = SerialEar(Talk(OnePsam(KEY_3DES)))
    good = hotlist_notice()
    frames = 0
    for number in range(4000):
        frame = SerialFrame(
            rng.randrange(256), rng.randrange(256), Kind(rng.randrange(8)), rng.randrange(2),
            rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5,
            rng.choice([b"", good, rng.randbytes(rng.randrange(40))]),
        ).encode()  # fmt: skip
        if rng.random() < 0.3:
            frame = frame[: rng.randrange(len(frame))] + rng.randbytes(rng.randrange(4))
        seen = ear.take(frame, float(number), gap=rng.random() < 0.1)
        frames += len(seen)
        _say_all(seen)
    assert frames > 2000
    assert ear.unfinished < 4000
