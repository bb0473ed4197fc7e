"""campus line monitor and campus line scan, as they are typed."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import can
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from campus_node.cli.entry import run
from campus_node.gateway.leases import ROLL
from campus_node.gateway.shelf import Shelf
from campus_node.keys.lending import seal_lease
from campus_node.lines.can.ids import Signal, signal_id
from campus_node.lines.can.signals import Heartbeat, frame_of
from campus_node.pki.files import certificate_pem, key_pem
from campuscard.v1 import gateway_pb2 as pb
from hil_rig.virtual.can_bus.broker_node import BrokerNode
from hil_rig.virtual.slcan_adapter import SlcanAdapter
from tests.lines.monitor.conftest import Capture
from tests.lines.monitor.exchange import BITRATE, Conversation, can_line
from tests.lines.subject import SERIAL, TERMINAL, lease

PROGRAM = [sys.executable, "-m", "campus_node.cli"]


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, object]]]:
    code = run(["line", *arguments, "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def _text(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["line", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_capture_is_told_in_words_and_summed_up(
    capture: Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = _text(capsys, "monitor", str(capture.blf), "--psam-key", str(capture.key))
    assert code == 0
    assert "session 7, message 1: records 5 to 7 of journal 00010203, 4 wait behind them" in out
    assert "record 6: purchase, 6.99 yuan, card 00001234********3456, counter 6, done" in out
    assert "EMERGENCY: somebody opens it" in out
    assert "10 messages, 6 of them opened, 0 left sealed; 1 troubles." in out
    assert "consecutive frame" not in out.partition("how often")[0]


def test_every_frame_is_shown_where_that_is_asked_for(
    capture: Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = _text(capsys, "monitor", str(capture.log), "--frames", "--count", "20")
    rows = [line for line in out.splitlines() if " > " in line]
    assert len(rows) >= 20
    assert any("flow control: go on" in row for row in rows)


def test_it_speaks_chinese(capture: Capture, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = _text(capsys, "monitor", str(capture.log), "--psam-key", str(capture.key), "--lang", "zh")
    assert "记录 5: 消费, 5.99 元" in out
    assert "紧急呼叫: 外壳被打开" in out


def test_json_has_an_object_a_frame_and_message_and_a_summary(
    capture: Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    code, objects = _json(capsys, "monitor", str(capture.log), "--psam-key", str(capture.key))
    assert code == 0
    summary = objects[-1]
    frames = [each for each in objects[:-1] if "id" in each]
    assert len(frames) == len(capture.messages) == summary["arrived"]
    assert [each["id"] for each in frames] == [f"{m.arbitration_id:08X}" for m in capture.messages]
    assert (summary["messages"], summary["opened"], summary["sealed"], summary["records"]) == (10, 6, 0, 3)
    assert sum(each["kind"] == "HELLO" for each in objects[:-1]) == 1
    assert "123456789012" not in json.dumps([each for each in objects if "id" not in each])


def test_a_capture_is_written_as_the_other_kind(
    capture: Capture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "copy.log"
    code, objects = _json(capsys, "monitor", str(capture.blf), "--write", str(target))
    assert (code, objects[-1]["written"]) == (0, str(target))
    theirs = [line.split()[2] for line in target.read_text().splitlines()]
    assert theirs == [line.split()[2] for line in capture.log.read_text().splitlines()]


def test_the_keys_of_a_gateways_directory_open_what_its_terminals_say(
    capture: Capture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _gateway_directory(tmp_path)
    code, objects = _json(capsys, "monitor", str(capture.blf), "--leases", str(tmp_path))
    assert (code, objects[-1]["opened"]) == (0, 6)


def test_a_directory_without_keys_is_told_of(
    capture: Capture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = _text(capsys, "monitor", str(capture.blf), "--leases", str(tmp_path))
    assert code == 1
    assert "holds no gateway" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name one line"),
        (["x.log", "--device", "/dev/null"], "name one line"),
        (["--interface", "socketcan"], "--interface needs --channel"),
        (["--device", "/dev/null", "--write", "x.log"], "there are none on an RS-485 line"),
        (["x.log", "--write", "x.txt"], "must end in .log or .blf"),
        (["x.log", "--leases", "a", "--psam-key", "b"], "one of the two"),
        (["-i", "virtual", "-c", "x", "--set", "novalue"], "write NAME=VALUE"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _text(capsys, "monitor", *arguments)
    assert code == 2
    assert told in err


@pytest.mark.parametrize("name", ["can", "cantools", "serial"])
def test_without_the_extra_it_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    code, _, err = _text(capsys, "scan", "-d", "/dev/null")
    assert (code, "pip install 'campuscard[lines]'" in err) == (1, True)


def test_a_controller_that_does_not_open_and_a_file_that_is_not_there_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = _text(capsys, "monitor", "-i", "campus-broker", "-c", "/nowhere/can0", "--count", "1")
    assert (code, "cannot be opened as campus-broker" in err) == (1, True)
    code, _, err = _text(capsys, "monitor", "/nowhere/x.log")
    assert (code, "/nowhere/x.log" in err) == (1, True)


def test_a_capture_is_not_written_over_itself(capture: Capture, capsys: pytest.CaptureFixture[str]) -> None:
    before = capture.log.read_bytes()
    code, _, err = _text(capsys, "monitor", str(capture.log), "--write", str(capture.log))
    assert (code, "that is the capture itself" in err) == (2, True)
    assert capture.log.read_bytes() == before


@pytest.mark.slow
def test_a_live_bus_is_watched_until_ctrl_c_and_recorded(tmp_path: Path) -> None:
    target = tmp_path / "live.blf"
    with can_line(tmp_path) as (_, head, till):
        asked = ["--interface", "campus-broker", "--channel", str(tmp_path / "can0"), "--write", str(target)]
        watching = subprocess.Popen(
            [*PROGRAM, "line", "monitor", *asked, "--json"], stdout=subprocess.PIPE, text=True
        )
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())  # a heartbeat: it listens
        assert first["layer"] == "frame"
        Conversation(head, till).hold()
        kinds = []
        while "notice" not in kinds:
            kinds.append(json.loads(watching.stdout.readline())["kind"])
        watching.send_signal(signal.SIGINT)
        summary = json.loads(watching.stdout.read().splitlines()[-1])
        assert watching.wait(20) == 0
        watching.stdout.close()
    assert {"HELLO", "CHALLENGE", "PROOF", "envelope"} <= set(kinds)
    with can.LogReader(target) as reader:
        assert sum(1 for _ in reader) == summary["arrived"] > 100


@pytest.mark.slow
def test_a_bus_behind_a_serial_adapter_is_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with can_line(tmp_path), SlcanAdapter(_connect(tmp_path), BITRATE) as adapter:
        arguments = [
            "-i",
            "slcan",
            "-c",
            adapter.path,
            "--bitrate",
            str(BITRATE),
            "--set",
            "sleep_after_open=0",
        ]
        code, objects = _json(capsys, "monitor", *arguments, "--count", "2", "--seconds", "20")
    assert code == 0
    assert {each["kind"] for each in objects[:-1]} <= {"HEARTBEAT", "SYNC", "FOLLOW_UP"}
    assert objects[-1]["arrived"] == 2


@pytest.mark.slow
def test_a_scan_of_a_bus_names_who_is_there_and_who_shares_an_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["scan", "-i", "campus-broker", "-c", str(tmp_path / "can0"), "--seconds", "5"]
    with can_line(tmp_path):
        code, objects = _json(capsys, *asked)
        assert code == 0
        places = objects[0]["places"]
        assert isinstance(places, list)
        (till,) = [place for place in places if place["address"]]  # SYNC may or may not have been heard
        assert (till["address"], till["serials"], till["conflict"]) == (0x11, ["5566"], False)
        with can.Bus(interface="campus-broker", channel=str(tmp_path / "can0")) as stranger:
            sending = stranger.send_periodic(_heartbeat(0x7777), 0.5)
            code, objects = _json(capsys, *asked)
            sending.stop()
    assert code == 1
    assert objects[0]["conflicts"] == [0x11]


def _heartbeat(serial: int) -> can.Message:
    frame = frame_of(Heartbeat(0x11, serial=serial))
    assert frame.can_id == signal_id(Signal.HEARTBEAT, 0x11)
    return can.Message(arbitration_id=frame.can_id, data=frame.payload)


def _connect(directory: Path) -> Callable[[bool], can.BusABC]:
    return lambda listen_only: BrokerNode(directory / "can0", "adapter", listen_only=listen_only)


def _gateway_directory(path: Path) -> None:
    """Make what a gateway keeps: its settings, its key, and the roll with a key that was lent to it."""
    key = ec.generate_private_key(ec.SECP256R1())
    (path / "gateway.toml").write_text(
        '[gateway]\ncampus = "north"\nname = "canteen-1"\nnode = "127.0.0.1:7443"\n\n'
        '[[line]]\nkind = "can"\nname = "can0"\ninterface = "virtual"\nchannel = "x"\n'
    )
    (path / "pki").mkdir()
    (path / "pki" / "gateway.key").write_bytes(key_pem(key))
    sealed = seal_lease(lease(), SERIAL, certificate_pem(_certificate(key)))
    terminal = pb.RolledTerminal(terminal_id=TERMINAL, name="till-1", psam_serial=SERIAL, sealed_key=sealed)
    shelf = Shelf(path / "spool" / "shelf.sqlite")
    shelf.keep(ROLL, {b"latest": pb.TerminalRoll(version=1, terminals=[terminal]).SerializeToString()})
    shelf.close()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "canteen-1")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    builder = builder.not_valid_before(begins).not_valid_after(begins + timedelta(days=9999))
    return builder.sign(key, hashes.SHA256())
