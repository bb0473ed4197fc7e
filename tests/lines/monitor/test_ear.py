"""What a monitor says of a conversation is what was said, as far as it has keys; and it trusts nothing."""

import can
import pytest

from campus_node.cli.language import Language
from campus_node.lines.can.broadcast import notice_frames
from campus_node.lines.can.ids import Frame, Priority, Spread, physical_id
from campus_node.lines.can.multicast import (
    Asked,
    Done,
    Poll,
    done_frame,
    missing_frames,
    part_frame,
    poll_frame,
)
from campus_node.lines.distribution import Result, mark_of
from campus_node.lines.handshake import SecretSource
from campus_node.lines.monitor.can_ear import CanEar
from campus_node.lines.monitor.keys import OnePsam
from campus_node.lines.monitor.seen import Layer, Seen
from campus_node.lines.monitor.talk import Talk
from campus_node.lines.notice import sign
from campuscard.v1 import terminal_pb2 as wire
from tests.lines.monitor.conftest import Capture
from tests.lines.monitor.exchange import NOTICE_KEY, TILL, hotlist_notice
from tests.lines.subject import KEY_3DES, leased

MASKED = "00001234********3456"


def _seen(
    messages: list[can.Message], source: SecretSource | None = None, *, open_asn: bool = False
) -> list[Seen]:
    ear = CanEar(Talk(source, open_asn=open_asn))
    return [seen for message in messages for seen in ear.take(message)]


def _can(frames: list[Frame]) -> list[can.Message]:
    return [
        can.Message(timestamp=at / 1000, arbitration_id=frame.can_id, data=frame.payload)
        for at, frame in enumerate(frames)
    ]


def _whole(all_seen: list[Seen]) -> list[Seen]:
    return [seen for seen in all_seen if seen.layer is Layer.MESSAGE]


def _of_kind(all_seen: list[Seen], kind: str) -> Seen:
    found = [seen for seen in all_seen if seen.kind == kind]
    assert len(found) == 1, kind
    return found[0]


def test_with_the_key_all_that_was_said_is_told(capture: Capture) -> None:
    seen = _seen(capture.messages, OnePsam(KEY_3DES))
    kinds = {each.kind for each in _whole(seen)}
    assert kinds == {
        "HELLO", "CHALLENGE", "PROOF", "Records", "RecordsTaken", "AuthorizationAsked",
        "AuthorizationAnswered", "TerminalReport", "TimeTold", "notice",
    }  # fmt: skip
    told = [each for each in seen if each.layer is Layer.RECORD]
    assert [(each.fields["seq"], each.fields["amount_fen"], each.fields["asn"]) for each in told] == [
        (5, 599, MASKED),
        (6, 699, MASKED),
        (7, 799, MASKED),
    ]
    assert str(told[0].words) == f"record 5: purchase, 5.99 yuan, card {MASKED}, counter 5, done"
    taken = _of_kind(seen, "RecordsTaken")
    assert (taken.source, taken.target, taken.grade) == (0, TILL, "P6")
    assert (taken.fields["durable_through"], taken.fields["backed_up_through"]) == (7, 4)
    asked = _of_kind(seen, "AuthorizationAsked")
    assert (asked.grade, asked.fields["amount_fen"], asked.fields["asn"]) == ("P2", 1250, MASKED)


def test_the_keys_that_a_gateway_was_lent_open_the_same(capture: Capture) -> None:
    by_lease = [str(seen.words) for seen in _seen(capture.messages, leased())]
    assert by_lease == [str(seen.words) for seen in _seen(capture.messages, OnePsam(KEY_3DES))]


def test_card_numbers_are_whole_only_where_that_is_asked_for(capture: Capture) -> None:
    shown = " ".join(str(seen.content()) for seen in _seen(capture.messages, OnePsam(KEY_3DES)))
    assert "567890" not in shown.replace(capture.log.read_text(), "")
    assert MASKED in shown
    whole = " ".join(str(seen.words) for seen in _seen(capture.messages, OnePsam(KEY_3DES), open_asn=True))
    assert "00001234567890123456" in whole


def test_without_a_key_what_is_sealed_stays_so(capture: Capture) -> None:
    seen = _whole(_seen(capture.messages))
    sealed = [each for each in seen if each.kind == "envelope"]
    assert [each.fields["session"] for each in sealed] == [7] * 6
    assert {each.fields["counter"] for each in sealed} == {1, 2, 3}
    hello = _of_kind(seen, "HELLO")
    assert (hello.fields["terminal_id"], hello.fields["psam_serial"]) == ("112233445566", "0" * 19 + "1")
    assert not any(each.trouble for each in seen)


def test_with_another_key_nothing_is_opened_and_it_says_why(capture: Capture) -> None:
    seen = _whole(_seen(capture.messages, OnePsam(bytes(16))))
    assert "proof" in str(_of_kind(seen, "CHALLENGE").words)
    assert _of_kind(seen, "CHALLENGE").fields["key_known"] is False
    assert sum(each.kind == "envelope" for each in seen) == 6


def test_a_replay_and_a_forgery_are_marked(capture: Capture) -> None:
    messages = capture.messages
    sealed = [m for m in messages if m.arbitration_id == physical_id(Priority.P2, 0, TILL)]
    wrong = [
        can.Message(timestamp=m.timestamp, arbitration_id=m.arbitration_id, data=bytes(m.data))
        for m in sealed
    ]
    wrong[-1].data[0:2] = bytes((wrong[-1].data[0], wrong[-1].data[1] ^ 1))
    seen = _whole(_seen([*messages, *sealed, *wrong], OnePsam(KEY_3DES)))
    again, forged = seen[-2], seen[-1]
    assert (again.kind, again.trouble, again.fields["again"]) == ("AuthorizationAsked", True, True)
    assert (forged.kind, forged.trouble, forged.fields["forged"]) == ("envelope", True, True)


def test_every_sentence_is_said_in_chinese_too(capture: Capture) -> None:
    for seen in _seen(capture.messages, OnePsam(KEY_3DES)):
        said = Language.CHINESE.say(seen.words)
        assert any("\u4e00" <= character <= "\u9fff" for character in said), said


def test_a_notice_to_all_says_what_it_claims() -> None:
    seen = _seen(_can(notice_frames(3, hotlist_notice(), Priority.P2)))
    notice = seen[-1]
    assert (notice.kind, notice.source, notice.target, notice.grade) == ("notice", 0, 255, "P2")
    assert notice.fields["added"] == [MASKED]
    assert "version 6 to 7" in str(notice.words)


def test_a_distribution_is_followed_from_its_notice_to_its_end() -> None:
    image = bytes(range(256)) * 40
    manifest = wire.Manifest(transfer=9, kind=1, version=4, size=len(image), block_size=1024)
    signed = sign(NOTICE_KEY, wire.Notice(number=13, expires_at_unix_ms=1, manifest=manifest))
    mark = mark_of(signed)
    parts = -(-len(signed) // 8)
    frames = [poll_frame(Poll(0, 9, Asked.NOTHING, len(signed), mark))]
    frames += [part_frame(Spread.MANIFEST, signed, number) for number in range(parts)]
    frames += [poll_frame(Poll(1, 9, Asked.MANIFEST, len(signed), mark))]
    frames += [part_frame(Spread.IMAGE, image, number) for number in range(len(image) // 8)]
    frames += missing_frames(TILL, Spread.NACK_WINDOW, [1, 2, 3, 4, 70], 9)
    frames += [done_frame(Done(TILL, 9, Result.STORED, mark))]
    seen = _seen(_can(frames))
    told = [str(each.words) for each in _whole(seen)]
    assert told[0] == f"transfer 9 begins, notice of {len(signed)} bytes"
    assert told[1].startswith(f"notice 13, key {signed[1:5].hex().upper()}: transfer 9 distributes firmware")
    assert told[1].endswith("version 4, 10240 bytes in 0 blocks")
    assert told[-2:] == ["a distribution goes on: 1024 parts of 8 bytes were heard", "transfer 9 is stored"]
    nacks = [each for each in seen if each.kind == "NACK"]
    assert sum(int(str(each.fields["count"])) for each in nacks) == 5
    assert {(each.source, each.target, each.grade) for each in nacks} == {(TILL, 0, "P7")}


@pytest.mark.parametrize(
    ("flags", "octets", "kind"),
    [
        (0x40, bytes(8), "bus off"),
        (0x100, bytes(8), "restarted"),
        (0x04, b"\0\x10", "passive"),
        (0x04, b"\0\x04", "warning"),
        (0x04, b"\0\x01", "overrun"),
        (0x20, bytes(8), "no acknowledgement"),
        (0x88, bytes(8), "bus error"),
        (0x02, b"\x05", "arbitration lost"),
        (0x200, b"", "error"),
    ],
)
def test_errors_of_the_bus_are_told_in_words(flags: int, octets: bytes, kind: str) -> None:
    seen = _seen([can.Message(arbitration_id=flags, is_error_frame=True, data=octets)])
    assert [(each.layer, each.kind) for each in seen] == [(Layer.WIRE, kind)]


@pytest.mark.parametrize(
    "message",
    [
        can.Message(arbitration_id=0x123, is_extended_id=False, data=b"x"),
        can.Message(arbitration_id=0x1234567, data=b"x"),
        can.Message(arbitration_id=0x18DA0001, is_remote_frame=True, dlc=8),
        can.Message(arbitration_id=0x18DA0001, is_fd=True, data=bytes(64)),
    ],
)
def test_frames_of_other_protocols_are_named_as_such(message: can.Message) -> None:
    assert [(each.kind, each.trouble) for each in _seen([message])] == [("foreign", True)]
