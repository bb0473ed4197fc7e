"""How much memory one terminal process needs with a full hotlist and a full journal: at most 120 MB (A7)."""

import random
from pathlib import Path

import pytest

from campus_node.terminal.held import Held
from campus_node.terminal.journal import Journal
from federation.hotlist import Hotlist, IssuedRange, Reason
from federation.hotlist_delta import SignedHotlist
from federation.hotlist_wire import whole_message
from tests.terminal_process.movements import ISSUER, paid
from tests.terminal_process.running import RunningTerminal, make_terminal

pytestmark = pytest.mark.slow

RECORDS = 30_000
ISSUED = 1_000_000
RANGES = 200
EXCEPTIONS = 20_000
MUST_MB = 120
FIRST = 2_000_000_000_000  # the card that pays is none of them


def full_hotlist(seed: int) -> Hotlist:
    """Return a list over a million issued cards, any of them listed, and twenty thousand beside them."""
    luck = random.Random(seed)
    each = ISSUED // RANGES
    ranges = tuple(IssuedRange(FIRST + number * 100_000, each) for number in range(RANGES))
    listed = {one.first + luck.randrange(each): Reason.LOST for one in ranges for _ in range(each // 2)}
    listed |= {FIRST + RANGES * 100_000 + number * 3: Reason.CLOSED for number in range(EXCEPTIONS)}
    return Hotlist(ISSUER).changed(7, listed, (), ranges)


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def test_a_full_hotlist_and_a_full_journal_fit_into_a_small_machine(tmp_path: Path, seed: int) -> None:
    place = make_terminal(tmp_path / "till-1", {"journal": {"capacity": 32_768}})
    journal = Journal.open(place.path / "journal" / "journal", 32_768)
    journal_without_waiting(journal)
    held = Held(place.path / "held", {}, lambda: 1_790_000_000_000)
    assert held.take_hotlist(whole_message(SignedHotlist(full_hotlist(seed), bytes(64))))
    held.close()
    with RunningTerminal(place) as till:
        till.start()
        started_mb = resident_mb(till.pid)
        for amount in "12":  # another one each time: the same again would be a question
            till.sell(amount)
        sold_mb = resident_mb(till.pid)
        (hotlist,) = till.status()["hotlists"]
        assert hotlist["cards"] > EXCEPTIONS
        assert till.status()["journal"]["last_seq"] >= RECORDS
        assert till.terminate() == 0
    print(f"resident: {started_mb:.1f} MB after the start, {sold_mb:.1f} MB after sales")
    assert max(started_mb, sold_mb) <= MUST_MB


def journal_without_waiting(journal: Journal) -> None:
    """Fill a journal without an fsync a record: nobody is going to cut this power."""
    storage = journal._storage
    sync, storage.sync = storage.sync, lambda: None  # type: ignore[method-assign]
    for number in range(1, RECORDS // 2 + 1):
        paid(journal, 500, 1_790_000_000_000 + number, number % 60_000)
    storage.sync = sync  # type: ignore[method-assign]
    storage.sync()
    journal.close()
