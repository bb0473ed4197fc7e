"""200 cards laid on 200 tills at the same moment: each is paid once, and the bus shows it (A7)."""

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from campus_node.lines.can.ids import Physical, meaning
from campus_node.lines.monitor.recording import read_capture
from hil_rig.tills.canteen import Canteen, LinePlan
from tests.taps.bystander import opened, recording, tshark_frames
from tests.taps.checks import check_payments, check_records

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(600)]

LINES = [LinePlan(f"can{number}", 40) for number in range(4)] + [
    LinePlan("serial0", 20),
    LinePlan("tcp0", 20),
]
TILLS = sum(line.tills for line in LINES)
AMOUNT_FEN = 1_250
CARD_COMMANDS = 7  # SELECT; files 0015 and 0016, a record of 0017; INIT, UPDATE CAPP, DEBIT
MOVEMENT_BYTES = 105
RECORDS = 2  # of one sale: before the card is charged, and when its proof is here


def test_two_hundred_cards_tapped_at_once_are_paid_once_each_and_the_bus_shows_it(
    tmp_path: Path, sockets: Path
) -> None:
    assert TILLS == 200
    capture = tmp_path / "can0.blf"
    with (
        Canteen(tmp_path / "canteen", sockets, LINES) as canteen,
        recording(str(sockets / "can0"), capture),
    ):
        canteen.open()
        before = canteen.total("card_apdus")
        assert canteen.tap_all([AMOUNT_FEN]) == TILLS
        canteen.wait_until_settled()
        commands = canteen.total("card_apdus") - before
        canteen.stop()
    said = check_payments(canteen)
    assert said["holds"], said
    assert (said["payments"], said["acknowledged"], said["booked"]) == (TILLS, TILLS, TILLS)
    assert (said["lost"], said["double"], said["unknown"], said["refused"]) == (0, 0, 0, {})
    assert said["balanced"], "the ledger's account of a purse says what the purse says"
    assert said["paid_fen"] == said["booked_fen"] == TILLS * AMOUNT_FEN
    assert said["rows"] == TILLS * RECORDS
    assert commands == TILLS * CARD_COMMANDS
    records = check_records(canteen)
    assert records["holds"], records
    the_bus_shows_them(capture, canteen)


def the_bus_shows_them(capture: Path, canteen: Canteen) -> None:
    """What a bystander recorded on one bus is exactly what the node has of its tills."""
    seen = opened(capture, canteen.building.gateway_directory)
    on_the_wire = {
        (each["terminal_id"], each["asn"], each["amount_fen"], each["state"])
        for each in seen
        if each.get("layer") == "record" and "asn" in each
    }
    tills = {bytes.fromhex(who.terminal_id) for who in canteen.building.terminals["can0"]}
    connection = sqlite3.connect(canteen.building.campus.ledger)
    rows = connection.execute("SELECT terminal_id, body FROM terminal_records").fetchall()
    connection.close()
    states = {2: "SENT", 3: "DONE"}
    at_the_node = {
        (body[48:54].hex().upper(), body[6:16].hex().upper(), int.from_bytes(body[24:28]), states[body[1]])
        for terminal, body in rows
        if terminal in tills
    }
    assert len(at_the_node) == len(tills) * RECORDS
    assert on_the_wire == at_the_node
    frames = Counter(
        message.arbitration_id for message in read_capture(capture) if is_transfer(message.arbitration_id)
    )
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is missing: scripts/services tshark (Debian: apt-get install tshark)")
    told: Counter[int] = Counter()
    for (can_id, _), count in tshark_frames(program, capture).items():
        if is_transfer(can_id):
            told[can_id] += count
    assert told == frames
    assert sum(frames.values()) > len(tills) * RECORDS * MOVEMENT_BYTES // 7, "a frame carries seven of them"


def is_transfer(can_id: int) -> bool:
    """Tell whether frames of this identifier carry messages between two nodes."""
    return isinstance(meaning(can_id), Physical)
