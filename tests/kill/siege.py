"""A campus under load while something is done to it again and again, and what came of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campus_node.pki.campus_pki import make_root_directory
from federation.clock import SystemClock
from hil_rig.campus import RigCampus
from hil_rig.crowd.process import CrowdProcess
from hil_rig.crowd.receipts import cut_off_at, under_way_at
from hil_rig.demo.report import run_checker
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord, What

PEOPLE: Final = 60
TERMINALS: Final = 10
FOUNDED_MS_AGO: Final = 2 * 3_600_000
FUNDS_FEN: Final = 10_000_000
PATIENCE_S: Final = 90.0
ANSWERS_BETWEEN: Final = 150  # acknowledged payments for each fault of a plan

CLOCK: Final = SystemClock()


@contextmanager
def campus_in(directory: Path, **options: Any) -> Iterator[RigCampus]:
    """Give a campus with a running node and rich people; its processes end with the block.

    Its certificates are two hours old, so that a clock may be set back.
    """
    root, founded_unix_ms = directory / "root", CLOCK.unix_ms() - FOUNDED_MS_AGO
    make_root_directory(root, "test", founded_unix_ms)
    campus = RigCampus(
        directory / "north",
        "north",
        1,
        root,
        people=PEOPLE,
        terminals=TERMINALS,
        certified_unix_ms=founded_unix_ms,
        **options,
    )
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

    def __init__(self, process: CrowdProcess) -> None:
        self.process = process

    def wait_for(self, acknowledged: int) -> None:
        """Wait until so many payments in all are acknowledged."""
        self.process.wait_until(lambda progress: progress.acknowledged >= acknowledged)

    def wait_for_more(self, answered: int = 50) -> None:
        """Wait until so many more payments are answered: it works again."""
        wanted = self.process.progress.answered + answered
        self.process.wait_until(lambda progress: progress.answered >= wanted)

    def wait_for_unanswered(self) -> None:
        """Wait until one more attempt has ended without an answer: somebody was told to come again."""
        before = self.process.progress.unanswered
        self.process.wait_until(lambda progress: progress.unanswered > before)


@contextmanager
def paying(campus: RigCampus, seed: int) -> Iterator[Crowd]:
    """Let everybody pay while the block runs; at its end every question gets its answer."""
    process = CrowdProcess(campus.order("tills", seed, None, PATIENCE_S), campus.clients_directory, "tills")
    with process:
        process.start()
        yield Crowd(process)
        process.stop()
        process.wait()


@dataclass(frozen=True, slots=True)
class Strike:
    """How something is killed.

    Args:
        freeze: stops it where it is.
        kill: ends it.
        revive: brings it back and waits until it serves.
        cuts_off: a question under way must stay unanswered (the node died); else it is enough that one was
            under way (the node keeps its callers while its database comes back).
    """

    freeze: Callable[[], None]
    kill: Callable[[], None]
    revive: Callable[[], None]
    cuts_off: bool


def node_strike(campus: RigCampus) -> Strike:
    """Return the strike that kills a campus's node."""
    return Strike(campus.node.freeze, campus.node.kill, campus.node.start, cuts_off=True)


def besiege(campus: RigCampus, place: str, seed: int, kills: int, strike: Strike) -> Verdict:
    """Strike so many times while everybody pays, then compare. Nothing is killed before somebody waits."""
    total = ANSWERS_BETWEEN * kills
    plan = FaultPlan.spread(seed, [place], What.KILL, Counted.ACKNOWLEDGEMENT, total=total, count=kills)
    print(plan)
    record = FaultRecord(plan)
    struck: list[tuple[Fault, int]] = []
    with paying(campus, seed) as crowd:
        for fault in plan.faults:
            crowd.wait_for(fault.nth)
            strike.freeze()
            try:
                crowd.process.wait_until_somebody_waits()
                struck.append((fault, CLOCK.unix_ms()))
            finally:  # what is frozen would not end in order
                strike.kill()
            strike.revive()
            crowd.wait_for_more()
        receipts = crowd.process.receipts
    for fault, at_unix_ms in struck:
        if cut_off_at(receipts, at_unix_ms) if strike.cuts_off else under_way_at(receipts, at_unix_ms):
            record.fired(fault)
    campus.node.terminate()
    return Verdict(run_checker(campus.ledger, campus.receipts).said, record)
