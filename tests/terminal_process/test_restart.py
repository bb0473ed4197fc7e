"""An image that was distributed: checked, put into its slot, and run as soon as the till is idle (B4.4)."""

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.cli.language import Language
from campus_node.firmware.image import ImageForged, Label, open_image, sign
from campus_node.lines.block_file import BlockFile
from campus_node.lines.distribution import BLOCK_BYTES, Manifest
from campus_node.lines.notice import key_id
from campus_node.terminal.directory import TerminalDirectory
from campus_node.terminal.health import RESTART
from campus_node.terminal.mailbox import Mailbox
from campus_node.terminal.run import STOPPED, Stop, TerminalProcess
from campus_node.terminal.slots import Boot, Slots
from campus_node.terminal.station import Event, Running, Station
from federation.clock import SystemClock
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from tests.terminal_process.running import PROFILES, make_terminal

MAKER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SAY = {each.value: each.say for each in Language}


def soft_reader(name: str, device: str) -> VirtualReader:
    """Return a PSAM that is there, or a reader on which no card lies."""
    del name
    if device == "sam":
        return VirtualReader(VirtualPsam(load_psam_profile("psam")))
    return VirtualReader()


@pytest.fixture
def place(tmp_path: Path) -> TerminalDirectory:
    key = MAKER.public_key().public_bytes_raw().hex()
    chosen = {"trust": {"firmware_keys": key}, "view": {"kind": "none"}, "firmware": {"idle_s": 0}}
    return make_terminal(tmp_path / "till-1", chosen)


def stored(place: TerminalDirectory, image: bytes) -> tuple[Path, Label]:
    """Return where an image came whole, block by block, and what it says of itself."""
    path = place.path / "blocks" / "firmware.blocks"
    file, manifest = BlockFile(path), Manifest.of(image, BLOCK_BYTES)
    file.begin(manifest)
    for number in range(manifest.blocks):
        file.write(manifest, number, image[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])
    assert file.complete(manifest)
    return path, open_image(image, {key_id(MAKER.public_key()): MAKER.public_key()}).label


def test_a_stored_image_waits_in_its_slot_and_is_told_once(place: TerminalDirectory) -> None:
    told: Mailbox[Event] = Mailbox()
    station = Station(place.settings(), place.path, Running(0, 1), soft_reader, SystemClock(), told)
    path, label = stored(place, sign(MAKER, b"new firmware", "pos", 7))
    station._image_stored(path, label)
    station._image_stored(path, label)  # told again after a restart of the receiver
    assert told.take() == [label]
    station.close()
    told.close()
    slots = Slots.open(place.path / "firmware")
    assert slots.boot() == Boot(1, 7, on_trial=True)
    slots.close()
    assert (place.path / "firmware" / "slot-1.pyz").read_bytes() == b"new firmware"


def test_an_image_of_another_maker_does_not_reach_a_slot(place: TerminalDirectory) -> None:
    told: Mailbox[Event] = Mailbox()
    station = Station(place.settings(), place.path, Running(0, 1), soft_reader, SystemClock(), told)
    forged = sign(Ed25519PrivateKey.from_private_bytes(bytes(32)), b"new firmware", "pos", 7)
    path = place.path / "blocks" / "firmware.blocks"
    manifest = Manifest.of(forged, BLOCK_BYTES)
    BlockFile(path).begin(manifest)
    BlockFile(path).write(manifest, 0, forged)
    with pytest.raises(ImageForged):
        station._image_stored(path, Label("pos", 7, 0, 12, bytes(32)))
    assert told.take() == []
    station.close()
    told.close()


def test_an_idle_terminal_restarts_into_what_was_stored(place: TerminalDirectory) -> None:
    with ExitStack() as closing:
        terminal = TerminalProcess(
            place, place.settings(), Running(0, 1), soft_reader, SAY, SystemClock(), closing
        )
        limit = threading.Timer(20.0, terminal.tell, [Stop()])  # so that a failure ends, too
        limit.start()
        terminal.tell(Label("pos", 7, 0, 12, bytes(32)))
        assert terminal.run(None) == RESTART
        limit.cancel()


def test_a_terminal_restarts_only_when_no_card_lies_there(place: TerminalDirectory) -> None:
    card = VirtualCard(load_card_profile(PROFILES / "card-sm4.toml"))
    reader = VirtualReader(card)

    def open_reader(name: str, device: str) -> VirtualReader:
        return soft_reader(name, device) if device == "sam" else reader

    with ExitStack() as closing:
        terminal = TerminalProcess(
            place, place.settings(), Running(0, 1), open_reader, SAY, SystemClock(), closing
        )
        terminal.tell(Label("pos", 7, 0, 12, bytes(32)))
        removed: list[str] = []

        def take_the_card() -> None:
            removed.append("before it restarted")
            reader.remove()

        threading.Timer(1.5, take_the_card).start()
        limit = threading.Timer(20.0, terminal.tell, [Stop()])
        limit.start()
        assert terminal.run(None) == RESTART
        limit.cancel()
    assert removed == ["before it restarted"]


def test_a_disk_that_takes_no_status_does_not_stop_a_till_that_can_sell(place: TerminalDirectory) -> None:
    run = place.path / "run"
    run.rmdir()
    run.write_text("no directory any more")
    with ExitStack() as closing:
        terminal = TerminalProcess(
            place, place.settings(), Running(0, 1), soft_reader, SAY, SystemClock(), closing
        )
        sold: list[bool] = []

        def stop() -> None:
            sold.append(terminal.sells)
            terminal.tell(Stop())

        threading.Timer(2.0, stop).start()
        assert terminal.run(None) == STOPPED
    assert sold == [True]
