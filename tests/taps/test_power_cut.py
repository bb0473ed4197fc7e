"""The power of the tills goes while cards pay: kill -9 of the process; chips keep what they wrote (A15)."""

import json
import random
from pathlib import Path

import pytest

from federation.clock import SystemClock
from hil_rig.tills.canteen import Canteen, LinePlan
from tests.soak import size
from tests.taps.checks import check_payments, check_records

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(size(300, 3600))]

LINE = LinePlan("can0", 12)
CUTS = size(8, 80)
SALE_S = 0.05  # about as long as one takes when the chips write to the disk
FIRST_FEN = 131
PATIENCE_S = 60.0
CLOCK = SystemClock()


def tapped(canteen: Canteen) -> int:
    """Return how many cards were laid on a till so far, as the tills wrote it down."""
    return sum(path.read_bytes().count(b'"tapped": ') for path in canteen.till_files)


def unfinished(path: Path) -> int:
    """Return how many cards were laid on this till of which it never came to show anything."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    tapped = {event["tapped"] for event in events if "tapped" in event}
    return len(tapped - {event["tap"] for event in events if "shown" in event})


def test_power_cuts_lose_no_payment_and_charge_nobody_twice(tmp_path: Path, sockets: Path, seed: int) -> None:
    luck = random.Random(seed)
    with Canteen(tmp_path / "canteen", sockets, [LINE], lasting=True) as canteen:
        canteen.open()
        for cut in range(CUTS):
            wanted = tapped(canteen) + luck.randint(1, LINE.tills - 1)
            canteen.tap_all([FIRST_FEN + cut])
            deadline_s = CLOCK.monotonic_s() + PATIENCE_S
            while tapped(canteen) < wanted:
                assert CLOCK.monotonic_s() < deadline_s, "the tills do nothing"
            CLOCK.sleep(luck.uniform(0, SALE_S))  # so that it falls anywhere in a sale
            canteen.cut_power(LINE.name)
        for again in range(2):  # the same cards come back: first what was open is settled, then they pay
            canteen.tap_all([FIRST_FEN + CUTS + again])
            canteen.wait_until_settled()
        canteen.stop()
    hit = sum(unfinished(path) for path in canteen.till_files)
    said = check_payments(canteen)
    assert said["holds"], said
    assert said["open"] == 0, "every card came back, so nothing stays grey"
    assert said["booked"] == said["at_node"]
    assert hit > 0, "no cut fell into a sale: it proves nothing"
    records = check_records(canteen)
    assert records["holds"], records
