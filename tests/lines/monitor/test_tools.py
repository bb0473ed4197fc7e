"""What others' programs read from our captures is what we say is in them."""

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import can
import pytest

from campus_node.lines.can.ids import Physical, Signal, Signalled, meaning
from campus_node.lines.monitor.can_ear import CanEar
from campus_node.lines.monitor.iso_tp import IsoTpEar
from campus_node.lines.monitor.recording import read_capture
from campus_node.lines.monitor.talk import Talk
from federation.errors import Unreadable
from tests.lines.monitor.conftest import Capture, write_all

KINDS = {"0x00": "single", "0x01": "first", "0x02": "consecutive", "0x03": "flow control"}
FIELDS = ("can.id", "iso15765.message_type", "iso15765.reassembled.length", "data.data")


def _tshark(program: str, path: Path) -> list[list[str]]:
    wanted = [part for name in FIELDS for part in ("-e", name)]
    done = subprocess.run(
        [program, "-r", str(path), "-d", "can.subdissector,iso15765", "-T", "fields", *wanted],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def _transfers(messages: list[can.Message]) -> list[tuple[int, Physical, bytes]]:
    found = []
    for message in messages:
        about = meaning(message.arbitration_id)
        if isinstance(about, Physical):
            found.append((message.arbitration_id, about, bytes(message.data)))
    return found


@pytest.mark.tshark
@pytest.mark.parametrize("suffix", ["log", "blf"])
def test_tshark_sees_the_same_frames_of_transfers(capture: Capture, tshark: str, suffix: str) -> None:
    rows = _tshark(tshark, getattr(capture, suffix))
    assert len(rows) == len(capture.messages)
    told = [(int(row[0]), KINDS[row[1]]) for row in rows if isinstance(meaning(int(row[0])), Physical)]
    ear = IsoTpEar()
    ours = [
        (can_id, ear.take((about.priority, about.target, about.source), payload).kind)
        for can_id, about, payload in _transfers(capture.messages)
    ]
    assert len(ours) > 90
    assert told == ours


@pytest.mark.tshark
def test_tshark_puts_together_the_same_messages(capture: Capture, tshark: str, tmp_path: Path) -> None:
    """Of each identifier by itself: it mixes up what goes on at the same time under several."""
    identifiers = sorted({can_id for can_id, _, _ in _transfers(capture.messages)})
    assert len(identifiers) >= 4
    whole = 0
    for can_id in identifiers:
        mine = [message for message in capture.messages if message.arbitration_id == can_id]
        path = tmp_path / f"{can_id:08X}.blf"
        write_all(path, mine)
        told = [
            (row[0], bytes.fromhex(row[3])) for row in _tshark(tshark, path) if row[2] or row[1] == "0x00"
        ]
        ear = IsoTpEar()
        ours = []
        for _, (priority, target, source), payload in _transfers(mine):
            piece = ear.take((priority, target, source), payload)
            if piece.message is not None:
                ours.append((str(can_id), piece.message))
        assert told == ours
        whole += len(ours)
    assert whole == 9, "HELLO, CHALLENGE, PROOF, three questions, three answers"


def test_cantools_reads_the_single_frames_with_the_shipped_dbc(capture: Capture) -> None:
    """The program itself, on the candump file itself, as docs/line-monitor.md says."""
    dbc = files("campus_node.lines.can").joinpath("campus.dbc")
    decoding = [sys.executable, "-m", "cantools", "decode", "--single-line", "--frame-id-mask", "0x1FFFFF00"]
    done = subprocess.run(
        [*decoding, str(dbc)],
        input=capture.log.read_text(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = [line.split(" :: ")[1] for line in done.stdout.splitlines() if "Unknown" not in line]
    ear = CanEar(Talk())
    ours = [
        ear.take(message)[0]
        for message in capture.messages
        if isinstance(meaning(message.arbitration_id), Signalled)
    ]
    assert {seen.kind for seen in ours} == {signal.name for signal in Signal}
    assert len(told) == len(ours)
    for line, seen in zip(told, ours, strict=True):
        name, _, signals = line.partition("(")
        pairs = dict(re.findall(r"(\w+): (\w+)", signals))
        assert name == seen.kind
        assert pairs == {key: str(value) for key, value in seen.fields["signals"].items()}  # type: ignore[attr-defined]  # it is a mapping


@pytest.mark.parametrize("suffix", ["log", "blf"])
def test_our_own_files_give_back_every_frame(capture: Capture, suffix: str) -> None:
    back = list(read_capture(getattr(capture, suffix)))
    assert [(m.arbitration_id, bytes(m.data), m.is_extended_id) for m in back] == [
        (m.arbitration_id, bytes(m.data), m.is_extended_id) for m in capture.messages
    ]
    first = capture.messages[0].timestamp, back[0].timestamp
    for ours, theirs in zip(capture.messages, back, strict=True):
        assert theirs.timestamp - first[1] == pytest.approx(ours.timestamp - first[0], abs=2e-6)


def test_errors_and_others_frames_go_into_a_capture_and_come_back(tmp_path: Path) -> None:
    frames = [
        can.Message(timestamp=1.0, arbitration_id=0x123, is_extended_id=False, data=b"\1\2"),
        can.Message(
            timestamp=1.5, arbitration_id=0x40, is_error_frame=True, is_extended_id=True, data=bytes(8)
        ),
        can.Message(timestamp=2.0, arbitration_id=0x18DA0001, is_remote_frame=True, dlc=0),
    ]
    for name in ("others.log", "others.blf"):
        write_all(tmp_path / name, frames)
        back = list(read_capture(tmp_path / name))
        assert [(m.is_error_frame, m.is_remote_frame, m.is_extended_id) for m in back][::2] == [
            (False, False, False),
            (False, True, True),
        ]
        assert back[1].is_error_frame
    assert next(read_capture(tmp_path / "others.log")).arbitration_id == 0x123


@pytest.mark.parametrize(
    "line",
    [
        "(1.000000) can0 18DA0011#0211",
        "(1.000000) can0 18DA0011#0211 R",
        "(1.000000)  vcan0  18DA0011#0211 T",
    ],
)
def test_candump_files_of_others_are_read(tmp_path: Path, line: str) -> None:
    path = tmp_path / "theirs.log"
    path.write_text(line + "\n\n" + line + "\n")
    assert [(m.arbitration_id, bytes(m.data)) for m in read_capture(path)] == [(0x18DA0011, b"\x02\x11")] * 2


@pytest.mark.parametrize("name", ["x.log", "x.blf", "x.txt"])
def test_a_file_that_is_no_capture_is_refused_in_our_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no capture at all \xff\xfe\n" * 50)
    with pytest.raises(Unreadable):
        list(read_capture(path))
