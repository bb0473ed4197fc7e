"""A campus under load while something is done to it again and again, and what came of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campus_node.pki.campus_pki import make_root_directory
from federation.clock import SystemClock
from hil_rig.campus import RigCampus
from hil_rig.crowd.crowd import Progress
from hil_rig.crowd.process import CrowdProcess
from hil_rig.crowd.receipts import cut_off_at, under_way_at
from hil_rig.demo.report import run_checker
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord, What

PEOPLE: Final = 60
TERMINALS: Final = 10
FUNDS_FEN: Final = 10_000_000
PATIENCE_S: Final = 90.0
PROGRESS_TIMEOUT_S: Final = 60.0
ANSWERS_BETWEEN: Final = 150  # acknowledged payments for each fault of a plan

CLOCK: Final = SystemClock()


@contextmanager
def campus_in(directory: Path, **options: Any) -> Iterator[RigCampus]:
    """Give a campus with a running node and rich people; its processes end with the block."""
    root = directory / "root"
    make_root_directory(root, "test", CLOCK.unix_ms())
    campus = RigCampus(directory / "north", "north", 1, root, people=PEOPLE, terminals=TERMINALS, **options)
    with campus.node:
        campus.node.start()
        campus.open_accounts()
        campus.load(FUNDS_FEN, "office")
        yield campus


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker said, and how often the plan's faults hit somebody."""

    said: dict[str, Any]
    record: FaultRecord

    def demand(self) -> None:
        """Fail unless nothing was lost, nothing doubled, everything answered, and every fault hit."""
        assert self.said["holds"], self.said
        assert self.said["acknowledged"] > 0, self.said
        self.record.demand_fired()


class Crowd:
    """Somebody always pays, until told to stop."""

    def __init__(self, process: CrowdProcess, moved: threading.Condition) -> None:
        self.process = process
        self._moved = moved

    def wait_for(self, acknowledged: int, timeout_s: float = PROGRESS_TIMEOUT_S) -> None:
        """Wait until so many payments in all are acknowledged."""
        with self._moved:
            reached = self._moved.wait_for(
                lambda: self.process.progress.acknowledged >= acknowledged or not self.process.running,
                timeout_s,
            )
        progress = self.process.progress
        assert reached, f"stuck: {progress}, wanted {acknowledged}"
        assert progress.acknowledged >= acknowledged, f"ended: {progress}, wanted {acknowledged}"

    def wait_for_more(self, acknowledged: int = 50, timeout_s: float = PROGRESS_TIMEOUT_S) -> None:
        """Wait until so many more payments are acknowledged: it works again."""
        self.wait_for(self.process.progress.acknowledged + acknowledged, timeout_s)

    def wait_for_unanswered(self, timeout_s: float = PROGRESS_TIMEOUT_S) -> None:
        """Wait until somebody was told to come again, or is kept waiting and nobody is answered."""
        before = self.process.progress.unanswered
        with self._moved:
            heard = self._moved.wait_for(lambda: self.process.progress.unanswered > before, timeout_s)
        assert heard, f"nobody was told anything: {self.process.progress}"


@contextmanager
def paying(campus: RigCampus, seed: int) -> Iterator[Crowd]:
    """Let everybody pay while the block runs; at its end every question gets its answer."""
    moved = threading.Condition()

    def told(_: Progress) -> None:
        with moved:
            moved.notify_all()

    process = CrowdProcess(
        campus.order("tills", seed, None, PATIENCE_S), campus.clients_directory, "tills", told
    )
    with process:
        process.start()
        yield Crowd(process, moved)
        process.stop()
        process.wait()


def besiege(
    campus: RigCampus, place: str, seed: int, kills: int, strike: Callable[[], None], *, cuts_off: bool
) -> Verdict:
    """Strike so many times while everybody pays, then compare.

    Args:
        strike: kills what is to be killed and brings it back.
        cuts_off: each strike must leave a question without answer (the node died); else it is enough that
            a question was under way (the node keeps its callers while its database comes back).
    """
    total = ANSWERS_BETWEEN * kills
    plan = FaultPlan.spread(seed, [place], What.KILL, Counted.ACKNOWLEDGEMENT, total=total, count=kills)
    print(plan)
    record = FaultRecord(plan)
    struck: list[tuple[Fault, int]] = []
    with paying(campus, seed) as crowd:
        for fault in plan.faults:
            crowd.wait_for(fault.nth)
            struck.append((fault, CLOCK.unix_ms()))
            strike()
            crowd.wait_for_more()
        receipts = crowd.process.receipts
    for fault, at_unix_ms in struck:
        if cut_off_at(receipts, at_unix_ms) if cuts_off else under_way_at(receipts, at_unix_ms):
            record.fired(fault)
    campus.node.terminate()
    return Verdict(run_checker(campus.ledger, campus.receipts).said, record)
