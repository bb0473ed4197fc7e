"""200 tills sell on while all behind them fails: nothing is lost or double, nobody refused (A7, A15)."""

from pathlib import Path

import pytest

from campus_node.database.connect import connect, reading
from campus_node.watch.store import find
from federation.clock import SystemClock
from hil_rig.building import GATEWAY
from hil_rig.tills.canteen import Canteen
from hil_rig.tills.harm import babbling, bus_cut, cut_off_by, kill_gateway, node_dead, wait_for_progress
from tests.soak import size
from tests.taps.checks import check_payments, check_records
from tests.taps.test_at_once import LINES, TILLS

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(size(600, 7200))]

ROUNDS = size(3, 56)  # each: a card on every till at the same moment
MORE = 4  # rounds while something fails
EVERY_S = 4.0
NODE_DEAD_S = float(size(12, 60))
KILLS = 2
CUT_S = 5.0
BABBLER = 200  # an address that nobody has
FIRST_FEN = 115  # amounts differ, so that a payment is told from the next one of the same card
PATIENCE_S = 120.0
CLOCK = SystemClock()


def is_named(canteen: Canteen, name: str, subject: str) -> bool:
    """Tell whether the node has such an alarm."""
    database = connect(canteen.building.campus.database_url)
    with reading(database) as connection:
        found = [(each.alarm.name, each.alarm.subject) for each in find(connection)]
    database.dispose()
    return any(each == name and about.startswith(subject) for each, about in found)


def cut_for_a_while(canteen: Canteen, line: str) -> None:
    """Cut the gateway off a bus, and see that its tills sell on and are answered by nobody."""
    process = canteen.tills[line]
    with bus_cut(canteen, line):
        canteen.tap_all([FIRST_FEN - 1])
        process.wait_until(lambda now: now.under_way > 0, PATIENCE_S)
        CLOCK.sleep(1.0)  # what was on its way is there
        before = process.standing
        canteen.tap_all([FIRST_FEN - 2])
        CLOCK.sleep(CUT_S)
        after = process.standing
        assert after.durable == before.durable
        assert after.appended > before.appended, "nothing was sold meanwhile"
    process.wait_until(lambda now: now.durable > after.durable, PATIENCE_S)


def test_nothing_is_lost_or_double_and_nobody_is_refused_while_all_behind_the_tills_fails(
    tmp_path: Path, sockets: Path
) -> None:
    with Canteen(tmp_path / "canteen", sockets, LINES) as canteen:
        canteen.open()
        canteen.tap_all([FIRST_FEN + number for number in range(ROUNDS)], every_s=EVERY_S)
        struck = []
        wait_for_progress(canteen, "durable", TILLS // 2)
        with node_dead(canteen, NODE_DEAD_S):
            struck.append(kill_gateway(canteen))
            cut_for_a_while(canteen, "can1")
        with babbling(canteen, "can2", BABBLER):
            canteen.tap_all([FIRST_FEN - 3])
            deadline_s = CLOCK.monotonic_s() + PATIENCE_S
            while not is_named(canteen, "line.babbling", f"{GATEWAY}/can2/{BABBLER}"):
                assert CLOCK.monotonic_s() < deadline_s, "nobody names the babbling node"
                CLOCK.sleep(0.2)
        canteen.tap_all([FIRST_FEN - 4])  # somebody asks while it stands still
        struck.append(kill_gateway(canteen))
        canteen.wait_until_settled()
        canteen.stop()
        hit = [cut_off_by(each, canteen.till_files) for each in struck]
    said = check_payments(canteen)
    assert said["holds"], said
    assert said["payments"] == said["acknowledged"] == said["booked"] == (ROUNDS + MORE) * TILLS
    assert (said["lost"], said["double"], said["unknown"], said["refused"]) == (0, 0, 0, {})
    records = check_records(canteen)
    assert records["holds"], records
    assert records["repeated"] > 0
    assert len(hit) == KILLS
    assert all(hit), f"a kill that nobody waited for proves nothing: {hit}"
