"""170 terminals, the node dead for a minute, the gateway killed ten times, a bus cut: nothing is lost."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_rig.building import Work
from tests.outage_lines.siege import CLOCK, Load, Siege, run_checker, siege_of, unanswered
from tests.soak import size

TIMEOUT_S = size(600, 7200)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]

KILLS = 10
NODE_DEAD_S = 60.0
CUT_S = 8.0
AGAIN = 2  # records that each sender sends once more in the end
TORN = 5  # senders of each line whose first record is half a write: the node's answer to it is known
QUARANTINED = "5"  # as in the table
TIMES = size(1, 10)
LOADS = {
    "can0": Load(50, Work(40 * TIMES, 2.2, AGAIN, TORN)),
    "can1": Load(50, Work(40 * TIMES, 2.2, AGAIN, TORN)),
    "serial0": Load(50, Work(10 * TIMES, 8.0, AGAIN, TORN)),  # every process hears every byte there
    "tcp0": Load(20, Work(275 * TIMES, 0.33, AGAIN, TORN)),
}
STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)][: size(1, 2)]
RECORDS = sum(load.records for load in LOADS.values())


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A short path: a socket's has 108 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="siege-") as directory:
        yield Path(directory)


def cut_off(siege: Siege, name: str) -> None:
    """Cut the gateway off a bus for a while, and see that it is."""
    with siege.cut(name) as segment:
        settled = segment.progress.durable  # what was answered before is on its way to us yet
        segment.wait_until(lambda now: now.under_way > 0, 60.0)
        threading.Event().wait(1.0)
        durable = segment.progress.durable
        threading.Event().wait(CUT_S)
        assert segment.progress.durable == durable >= settled
        assert segment.progress.under_way > 0
    segment.wait_until(lambda now: now.durable > durable, 120.0)


def besiege(directory: Path, sockets: Path, seed: int, database: str | None = None) -> None:
    with siege_of(directory, sockets, LOADS, seed, database) as siege:
        siege.wait_for(RECORDS // 50)
        reviving = siege.node_dies_for(NODE_DEAD_S)
        died_s = CLOCK.monotonic_s()
        for kill in range(KILLS):
            siege.wait_for(RECORDS * (2 * kill + 3) // (3 * KILLS) if kill else RECORDS // 20)
            siege.kill_gateway()
            if kill == KILLS // 2:
                cut_off(siege, "can1")
        reviving.join()
        assert CLOCK.monotonic_s() - died_s >= NODE_DEAD_S
        files = siege.finish()
        ledger = siege.building.campus.ledger
        assert siege.building.gateway.starts == KILLS + 1
    said = run_checker(ledger, files)
    print(said)
    assert said["holds"], said
    assert (said["lost"], said["double"]) == (0, 0)
    assert said["acknowledged"] == said["rows"] == RECORDS
    assert said["repeated"] > 0
    assert said["outcomes"][QUARANTINED] == TORN * len(LOADS)
    assert said["answered_again"] > 0, "first answers were never asked for again"
    hit = [unanswered(files, struck) for struck in siege.struck]
    assert len(hit) == KILLS
    assert all(hit), f"a kill that nobody waited for proves nothing: {hit}"


@pytest.mark.parametrize("store", STORES)
def test_nothing_is_lost_and_nothing_double(
    request: pytest.FixtureRequest, tmp_path: Path, sockets: Path, seed: int, store: str
) -> None:
    assert RECORDS >= 10_000
    assert sum(load.senders for load in LOADS.values()) == 170
    database = request.getfixturevalue("postgres_dsn") if store == "postgresql" else None
    besiege(tmp_path / "building", sockets, seed, database)
