"""What the stages of a scenario share while it runs."""

import queue
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from federation.clock import Clock, SystemClock
from hil_rig.campus import RigCampus
from hil_rig.demo.report import Cards, Checked
from hil_rig.demo.screen import Screen
from hil_rig.faults import Fault, FaultPlan, FaultRecord, ReportedFault
from hil_rig.tills.canteen import Canteen


@dataclass(slots=True)
class Scene:
    """Campuses, crowds and faults on one machine, and what became of them.

    Args:
        seed: everything that is random follows from it.
        people: how many pay at once, over all campuses.
        stack: ends every process, whatever happens.
    """

    seed: int
    people: int
    directory: Path
    screen: Screen
    stack: ExitStack
    clock: Clock = field(default_factory=SystemClock)
    campuses: list[RigCampus] = field(default_factory=list)
    crowd_receipts: list[Path] = field(default_factory=list)
    fault_records: list[FaultRecord] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    rounds: int = 0
    answers: int = 0
    paying_s: float = 0.0
    processes: int = 0
    canteen: Canteen | None = None
    cards: Cards | None = None
    frames: int = 0
    apdus: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    due: "queue.SimpleQueue[Fault]" = field(default_factory=queue.SimpleQueue)

    def plan(self, plan: FaultPlan) -> FaultRecord:
        """Take up the faults of a round."""
        record = FaultRecord(plan)
        self.fault_records.append(record)
        return record

    def reported_faults(self) -> list[ReportedFault]:
        """Return planned and fired by name, over all rounds."""
        planned: Counter[str] = Counter()
        fired: Counter[str] = Counter()
        for record in self.fault_records:
            for line in record.report():
                planned[line.name] += line.planned
                fired[line.name] += line.fired
        return [ReportedFault(name, times, fired[name]) for name, times in planned.items()]

    def all_faults_fired(self) -> bool:
        return not any(record.missing() for record in self.fault_records)


@contextmanager
def stopped_in_order(stopping: threading.Event) -> Iterator[None]:
    """Turn the first Ctrl-C or TERM into an order to come to an end; the second one is what it always was."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what the signal module calls
        stopping.set()
        for each, old in before.items():
            signal.signal(each, old)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)
