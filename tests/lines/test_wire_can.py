"""The CAN side makes and reads the golden frames of docs/wire.md."""

from campus_node.lines.can.broadcast import notice_frames
from campus_node.lines.can.ids import (
    Frame,
    Functional,
    Multicast,
    Physical,
    Priority,
    Signal,
    Signalled,
    Spread,
    meaning,
    physical_id,
)
from campus_node.lines.can.multicast import (
    Asked,
    Done,
    Missing,
    Poll,
    done_frame,
    heard,
    missing_frames,
    part_frame,
    poll_frame,
)
from campus_node.lines.can.signals import (
    Condition,
    Distress,
    Emergency,
    FollowUp,
    Heartbeat,
    Said,
    Sync,
    frame_of,
    said_by,
)
from campus_node.lines.can.transfer import Transfer
from campus_node.lines.distribution import Result
from tests.lines.golden import golden

MARK = bytes.fromhex("A1B2C3D4")


def frames() -> dict[str, Frame]:
    return {
        title: Frame(int.from_bytes(fields["id"], "big"), fields["bytes"])
        for title, fields in golden("can.txt").items()
    }


def test_time_heartbeat_and_emergency_are_the_golden_frames_both_ways() -> None:
    made: dict[str, Said] = {
        "SYNC 7": Sync(7),
        "FOLLOW_UP 7, 1 s after 1970": FollowUp(7, 1_000_000),
        "heartbeat of terminal 17: selling, 2 receive errors, 1 send error, 3 bus-offs, 300 records wait,"
        " serial number ends 5566": Heartbeat(17, Condition.SELLING, 2, 1, 3, 300, 0x5566),
        "emergency of terminal 254: its store is full": Emergency(254, Distress.STORE_FULL),
    }
    for title, said in made.items():
        assert frame_of(said) == frames()[title]
        assert said_by(frames()[title]) == said


def test_a_notice_is_cut_as_in_the_golden_frames() -> None:
    cut = notice_frames(10, bytes.fromhex("210102030405060708"))
    assert cut == [
        frames()["a notice of 9 bytes, number 10, first frame"],
        frames()["the same, second frame"],
    ]
    assert meaning(cut[0].can_id) == Functional(Priority.P2, 0)


def test_multicast_is_as_in_the_golden_frames_both_ways() -> None:
    golden_frames = frames()
    poll = Poll(3, 7, Asked.IMAGE, 0x0800, MARK)
    title = "POLL of round 3: what lacks of the image of transfer 7"
    assert poll_frame(poll) == golden_frames[title]
    assert heard(golden_frames[title]) == poll

    done = Done(254, 7, Result.STORED, MARK)
    title = "DONE of terminal 254: transfer 7 is stored"
    assert done_frame(done) == golden_frames[title]
    assert heard(golden_frames[title]) == done

    title = "NACK of terminal 17: of window 2 the frames 128 and 191 lack"
    assert heard(golden_frames[title]) == Missing(17, Spread.NACK_WINDOW, (128, 191))

    title = "NACK of terminal 17: the frames 5 and 70000 lack"
    assert missing_frames(17, Spread.NACK_WINDOW, [5, 70000], 9) == [golden_frames[title]]
    assert heard(golden_frames[title]) == Missing(17, Spread.NACK_WINDOW, (5, 70000))

    image = bytes(65535 * 8) + bytes.fromhex("0102030405060708")
    assert part_frame(Spread.IMAGE, image, 65535) == golden_frames["frame 65535 of an image"]
    assert meaning(0x1F50FFFF) == Multicast(Spread.IMAGE, 65535)


def test_iso_tp_uses_the_golden_identifiers_and_no_padding() -> None:
    urgent = frames()["the first frame of an urgent message of 20 bytes from terminal 17 to the head"]
    single = frames()["the only frame of a record's acknowledgement of 5 bytes from the head to terminal 17"]
    assert urgent.can_id == physical_id(Priority.P2, 0, 17)
    assert meaning(urgent.can_id) == Physical(Priority.P2, 0, 17)
    posted: list[Frame] = []
    limits = {"answer_within_s": 1.0, "pause_s": 1.0, "attempts": 1}
    terminal = Transfer(Priority.P2, 17, 0, posted.append, **limits)  # type: ignore[arg-type]  # by name
    terminal.send(bytes.fromhex("010000000100") + bytes(14), 0.0)
    terminal.step(0.0)
    head = Transfer(Priority.P6, 0, 17, posted.append, **limits)  # type: ignore[arg-type]  # by name
    head.send(bytes.fromhex("1400001001"), 0.0)
    head.step(0.0)
    assert posted == [urgent, single]


def test_every_golden_identifier_has_a_meaning() -> None:
    for title, frame in frames().items():
        assert meaning(frame.can_id) is not None, title
    assert meaning(0x0C030011) == Signalled(Signal.HEARTBEAT, 17)
