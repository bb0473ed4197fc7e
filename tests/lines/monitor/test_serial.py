"""A monitor on a polled line hears what goes between head and terminals."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from campus_node.lines.driver import Drive
from campus_node.lines.monitor.keys import OnePsam
from campus_node.lines.monitor.seen import Layer, Seen
from campus_node.lines.monitor.serial_ear import SerialEar
from campus_node.lines.monitor.talk import Talk
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.head import SerialHeadLine
from campus_node.lines.serial.serial_port import SerialDevice
from campus_node.lines.serial.terminal import SerialTerminalLine
from hil_rig.virtual.serial_hub import PtyHub
from tests.lines.monitor.exchange import TILL, Conversation, hotlist_notice, key_file
from tests.lines.subject import KEY_3DES, SERIAL


def _told(*frames: SerialFrame, junk: bytes = b"") -> list[Seen]:
    ear = SerialEar(Talk())
    seen = ear.take(b"".join(frame.encode() for frame in frames) + junk, 1.0)
    return seen + ear.take(b"", 2.0, gap=True)


def _segments(message: bytes, size: int, source: int = 5) -> list[SerialFrame]:
    cut = [message[at : at + size] for at in range(0, len(message), size)]
    last = len(cut) - 1
    return [
        SerialFrame(0, source, Kind.SEGMENT, at % 2, at == 0, at == last, payload=part)
        for at, part in enumerate(cut)
    ]


def test_segments_become_a_message_and_repeats_are_taken_once() -> None:
    first, *rest = _segments(bytes([0x14, 0, 0, 0, 9]), 2)
    seen = _told(first, first, *rest, rest[-1])
    whole = [each for each in seen if each.layer is Layer.MESSAGE]
    assert [(each.kind, each.source, each.target) for each in whole] == [("RENEW", 5, 0)]
    assert sum(each.layer is Layer.FRAME for each in seen) == 5


def test_a_message_whose_beginning_was_not_heard_is_none() -> None:
    seen = _told(*_segments(bytes([0x14, 0, 0, 0, 9]), 2)[1:])
    assert {each.layer for each in seen} == {Layer.FRAME}


def test_a_notice_is_read_and_noise_is_told() -> None:
    seen = _told(SerialFrame(255, 0, Kind.NOTICE, payload=hotlist_notice()), junk=b"\x55\xd5\x00\xff")
    assert [each.kind for each in seen] == ["NOTICE", "notice", "noise"]
    assert seen[-1].trouble


@pytest.mark.parametrize(
    ("frame", "kind", "words"),
    [
        (SerialFrame(5, 0, Kind.POLL), "POLL", "POLL: your turn"),
        (SerialFrame(0, 5, Kind.ACK), "ACK", "ACK"),
        (SerialFrame(0, 5, Kind.BUSY), "BUSY", "BUSY: no room, repeat later"),
        (SerialFrame(5, 0, Kind.DISCOVER), "DISCOVER", "DISCOVER: is anybody there?"),
        (SerialFrame(0, 5, Kind.DISCOVER, payload=b"\x12"), "DISCOVER", "DISCOVER: I am, serial number 12"),
        (
            SerialFrame(255, 0, Kind.BLOCK, payload=b"\7\xff\xff\xff\0\1abcd"),
            "BLOCK",
            "BLOCK: transfer 7 begins",
        ),
        (SerialFrame(5, 0, Kind.MISSING, payload=b"\7\0\0"), "MISSING", "MISSING: what lacks of transfer 7?"),
        (SerialFrame(0, 5, Kind.MISSING, payload=b"\7\xff\xff\1abcd"), "MISSING", "transfer 7 is stored"),
        (
            SerialFrame(0, 5, Kind.MISSING, payload=b"\7\0\1\xc0"),
            "MISSING",
            "MISSING: 2 pieces of transfer 7 lack",
        ),
    ],
)
def test_each_kind_of_frame_has_its_words(frame: SerialFrame, kind: str, words: str) -> None:
    assert [(each.kind, str(each.words)) for each in _told(frame)] == [(kind, words)]


@pytest.mark.slow
def test_a_live_polled_line_is_watched_and_opened(tmp_path: Path) -> None:
    with PtyHub(["head", "till", "monitor"]) as hub:
        head = SerialHeadLine("rs485", SerialDevice(hub.paths["head"]), addresses=[TILL], discover=())
        till = SerialTerminalLine("till", SerialDevice(hub.paths["till"]), TILL, SERIAL)
        asked = ["--device", hub.paths["monitor"], "--psam-key", str(key_file(tmp_path)), "--json"]
        watching = subprocess.Popen(
            [sys.executable, "-m", "campus_node.cli", "line", "monitor", *asked],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watching.stdout is not None
        try:
            with Drive(head), Drive(till):
                assert json.loads(watching.stdout.readline())["layer"] in {"frame", "wire"}  # it listens
                Conversation(head, till).hold()
                seen = []
                while not seen or seen[-1]["kind"] != "notice":
                    seen.append(json.loads(watching.stdout.readline()))
        finally:
            head.close()
            till.close()
        watching.send_signal(signal.SIGINT)
        summary = json.loads(watching.stdout.read().splitlines()[-1])
        assert watching.wait(20) == 0
        watching.stdout.close()
    kinds = {each["kind"] for each in seen if each["layer"] == "message"}
    assert kinds >= {
        "HELLO", "CHALLENGE", "PROOF", "Records", "RecordsTaken", "AuthorizationAsked",
        "AuthorizationAnswered", "TerminalReport", "TimeTold", "notice",
    }  # fmt: skip
    assert summary["records"] == 3
    assert (summary["opened"], summary["sealed"]) == (6, 0)


def test_the_key_never_shows_itself() -> None:
    assert KEY_3DES.hex() not in repr(OnePsam(KEY_3DES))
