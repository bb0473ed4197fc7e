"""The id map, and the single frames against the DBC that is shipped: what cantools reads is what we mean."""

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines.can.broadcast import NOTICE_BYTES_MAX, Gathering, notice_frames
from campus_node.lines.can.ids import (
    CAN_ID_MAX,
    INDEX_MAX,
    Frame,
    Functional,
    Multicast,
    Physical,
    Priority,
    Signal,
    Signalled,
    Spread,
    functional_id,
    meaning,
    multicast_id,
    physical_id,
    signal_id,
)
from campus_node.lines.can.signals import (
    UNIX_US_MODULUS,
    Condition,
    Distress,
    Emergency,
    FollowUp,
    Heartbeat,
    Said,
    Sync,
    dbc_text,
    frame_of,
    said_by,
)
from campus_node.lines.errors import FrameBroken

OCTET = st.integers(0, 255)
TWO_OCTETS = st.integers(0, 65535)
TERMINAL = st.integers(1, 254)
SAID: st.SearchStrategy[Said] = st.one_of(
    st.builds(Sync, OCTET),
    st.builds(FollowUp, OCTET, st.integers(0, UNIX_US_MODULUS - 1)),
    st.builds(Heartbeat, TERMINAL, st.sampled_from(Condition), OCTET, OCTET, OCTET, TWO_OCTETS, TWO_OCTETS),
    st.builds(Emergency, TERMINAL, st.sampled_from(Distress), OCTET, TWO_OCTETS),
)
DATABASE = cantools.database.can.Database()
DATABASE.add_dbc_string(dbc_text())


@pytest.mark.parametrize(
    ("can_id", "means"),
    [
        (0x08DA_0007, Physical(Priority.P2, 0, 7)),
        (0x18DA_FE00, Physical(Priority.P6, 254, 0)),
        (0x08DB_FF00, Functional(Priority.P2, 0)),
        (0x18DB_FF00, Functional(Priority.P6, 0)),
        (0x0C00_0003, Signalled(Signal.EMERGENCY, 3)),
        (0x0C01_0000, Signalled(Signal.SYNC, 0)),
        (0x0C02_0000, Signalled(Signal.FOLLOW_UP, 0)),
        (0x0C03_00FE, Signalled(Signal.HEARTBEAT, 254)),
        (0x1F00_0001, Multicast(Spread.POLL, 1)),
        (0x1F10_7002, Multicast(Spread.NACK_WINDOW, 0x07002)),
        (0x1F5F_FFFF, Multicast(Spread.IMAGE, INDEX_MAX)),
    ],
)
def test_the_id_map_is_the_documented_one(can_id: int, means: object) -> None:
    assert meaning(can_id) == means


@pytest.mark.parametrize(
    "can_id", [0, 0x08DB_0500, 0x0C00_0103, 0x0C04_0000, 0x18D9_0001, 0x1F80_0000, 0x1E00_0000, CAN_ID_MAX]
)
def test_other_identifiers_are_not_ours(can_id: int) -> None:
    assert meaning(can_id) is None


@given(can_id=st.integers(0, CAN_ID_MAX))
def test_an_identifier_is_made_again_from_what_it_means(can_id: int) -> None:
    match meaning(can_id):
        case None:
            return
        case Physical(priority, target, source):
            assert physical_id(priority, target, source) == can_id
        case Functional(priority, source):
            assert functional_id(priority, source) == can_id
        case Signalled(signal, source):
            assert signal_id(signal, source) == can_id
        case Multicast(spread, number):
            assert multicast_id(spread, number) == can_id


def test_urgency_is_the_order_of_the_identifiers() -> None:
    ids = [
        physical_id(Priority.P2, 254, 0),
        signal_id(Signal.EMERGENCY, 254),
        signal_id(Signal.SYNC, 0),
        signal_id(Signal.HEARTBEAT, 1),
        physical_id(Priority.P6, 0, 1),
        multicast_id(Spread.POLL, 0),
        multicast_id(Spread.IMAGE, 0),
    ]
    assert ids == sorted(ids)


@given(said=SAID)
def test_cantools_reads_what_we_send_by_the_shipped_dbc(said: Said) -> None:
    frame = frame_of(said)
    assert len(frame.payload) == 8
    message = DATABASE.get_message_by_frame_id(frame.can_id & ~0xFF)
    read = message.decode(frame.payload, decode_choices=False)
    match said:
        case Sync(sequence):
            assert read == {"Sequence": sequence}
        case FollowUp(sequence, unix_us):
            assert read == {"Sequence": sequence, "UnixTime": unix_us}
        case Heartbeat():
            assert read == {
                "Condition": said.condition,
                "ReceiveErrors": said.receive_errors,
                "SendErrors": said.send_errors,
                "BusOffs": said.bus_offs,
                "RecordsWaiting": said.records_waiting,
                "Serial": said.serial,
            }
        case Emergency():
            assert read == {"Distress": said.distress, "Subject": said.subject, "Count": said.count}


@given(said=SAID)
def test_what_is_sent_is_understood(said: Said) -> None:
    assert said_by(frame_of(said)) == said


def test_the_dbc_names_the_same_values_as_the_code() -> None:
    condition = DATABASE.get_message_by_name("HEARTBEAT").get_signal_by_name("Condition")
    distress = DATABASE.get_message_by_name("EMERGENCY").get_signal_by_name("Distress")
    assert {value: str(name) for value, name in (condition.choices or {}).items()} == {
        one.value: one.name for one in Condition
    }
    assert {value: str(name) for value, name in (distress.choices or {}).items()} == {
        one.value: one.name for one in Distress
    }


@pytest.mark.parametrize(
    "frame",
    [
        Frame(signal_id(Signal.HEARTBEAT, 0), bytes(8)),  # the head has none
        Frame(signal_id(Signal.SYNC, 5), bytes(8)),  # a terminal tells no time
        Frame(signal_id(Signal.HEARTBEAT, 5), bytes(7)),
        Frame(signal_id(Signal.HEARTBEAT, 5), b"\x63" + bytes(7)),
        Frame(signal_id(Signal.EMERGENCY, 5), bytes(8)),
        Frame(multicast_id(Spread.DONE, 5), bytes(8)),
    ],
)
def test_a_single_frame_that_makes_no_sense_says_nothing(frame: Frame) -> None:
    assert said_by(frame) is None


@given(message=st.binary(min_size=1, max_size=NOTICE_BYTES_MAX), number=st.integers(0, 20), lost=st.data())
def test_a_notice_is_whole_if_each_frame_came_in_one_of_two_goes(
    message: bytes, number: int, lost: st.DataObject
) -> None:
    frames = notice_frames(number, message)
    assert len(frames) <= 31
    first = lost.draw(st.sets(st.integers(0, len(frames) - 1)))
    second = lost.draw(st.sets(st.integers(0, len(frames) - 1))) - first
    gathering, got = Gathering(), []
    for missing in (first, second):
        for position, frame in enumerate(frames):
            if position not in missing and (whole := gathering.take(frame, 0.0)) is not None:
                got.append(whole)
    assert got == [message]


def test_notices_do_not_mix() -> None:
    gathering = Gathering()
    one, other = notice_frames(1, b"x" * 100), notice_frames(2, b"y" * 100)
    for frame in one[:5]:
        assert gathering.take(frame, 0.0) is None
    assert [whole for frame in other if (whole := gathering.take(frame, 0.1))] == [b"y" * 100]
    assert all(gathering.take(frame, 0.2) is None for frame in one[5:])


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00", b"\x00\xff" + bytes(6)])
def test_a_notices_frame_without_sense_is_broken(payload: bytes) -> None:
    with pytest.raises(FrameBroken):
        Gathering().take(Frame(functional_id(Priority.P2), payload), 0.0)
