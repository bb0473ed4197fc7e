"""What a scenario showed: one object for scripts, from what clients kept and what the checker found."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hil_rig.faults import ReportedFault


@dataclass(frozen=True, slots=True)
class Report:
    """The scenario object. `holds` is its verdict; the other fields are what it rests on.

    `payments` counts distinct ids first sent, of whatever verb. `p50_ms` and `p99_ms` are of attempts that
    were answered, from sending to hearing; `longest_wait_ms` is the longest that anybody waited for an answer
    over all attempts, outages included. `per_s` is answers a second while people paid, outages included.
    These four are of people who pay over the network; `cards` tells of those who pay with a card at a till.
    `frames` is what CAN buses carried, `apdus` what cards and PSAMs were asked.
    """

    holds: bool
    seed: int
    people: int
    payments: int
    acknowledged: int
    refused: dict[str, int]
    unknown: int
    lost: int
    double: int
    balanced: bool
    unexplained_fen: int
    settled: bool | None
    faults: list[ReportedFault]
    p50_ms: float
    p99_ms: float
    longest_wait_ms: float
    per_s: float
    seconds: float
    processes: int
    findings: dict[str, int]
    frames: int = 0
    apdus: int = 0
    cards: "Cards | None" = None

    def as_json(self) -> str:
        """Return one line of JSON."""
        faults = [fault._asdict() for fault in self.faults]
        return json.dumps({**asdict(self), "faults": faults}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checker said of one ledger."""

    said: dict[str, Any]  # its JSON object

    def number(self, name: str) -> int:
        return int(self.said[name])


@dataclass(frozen=True, slots=True)
class Cards:
    """Payments with a card at a till.

    Args:
        taps: cards that were laid on a till to pay; one that comes back after it was torn away counts once.
        booked: of them, in the ledger.
        torn: of them, taken away so that the till did not know whether the card had paid.
        shown_p50_ms, shown_p99_ms: from the moment when all are tapped until the till says that it is paid.
    """

    taps: int
    booked: int
    torn: int
    shown_p50_ms: float
    shown_p99_ms: float

    @classmethod
    def of(cls, checked: Checked) -> "Cards":
        """Take them out of what the checker of payments said."""
        return cls(
            taps=checked.number("payments"),
            booked=checked.number("booked"),
            torn=checked.number("doubted"),
            shown_p50_ms=float(checked.said["shown_p50_ms"]),
            shown_p99_ms=float(checked.said["shown_p99_ms"]),
        )


def run_checker(ledger: str, receipts: Sequence[Path]) -> Checked:
    """Compare a ledger with what clients know. Raise RuntimeError if that could not be done."""
    return _run("checker.py", "--ledger", ledger, receipts)


def run_payment_checker(node: str, files: Sequence[Path]) -> Checked:
    """Compare a node's tables with cards and tills. Raise RuntimeError if that could not be done."""
    return _run("payment_checker.py", "--node", node, files)


def _run(name: str, option: str, tables: str, files: Sequence[Path]) -> Checked:
    """Run an independent checker as a process of its own."""
    script = Path(__file__).parent.parent / name
    done = subprocess.run(
        [sys.executable, "-I", str(script), option, tables, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1} or not done.stdout:
        raise RuntimeError(f"the checker could not compare: {done.stderr}")
    return Checked(json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True, slots=True)
class Waits:
    """How long answers took, in ms."""

    p50_ms: float
    p99_ms: float
    longest_wait_ms: float


def read_waits(receipts: Iterable[Path]) -> Waits:
    """Return how long clients waited, from what they kept."""
    took_us: list[int] = []
    longest_us = 0
    for path in receipts:
        for line in path.read_bytes().split(b"\n")[:-1]:
            event = json.loads(line)
            if "took_us" in event:
                took_us.append(event["took_us"])
                longest_us = max(longest_us, event["waited_us"])
    took_us.sort()
    return Waits(_percentile_ms(took_us, 50), _percentile_ms(took_us, 99), longest_us / 1000)


def _percentile_ms(sorted_us: Sequence[int], percent: int) -> float:
    if not sorted_us:
        return 0.0
    return sorted_us[min(len(sorted_us) - 1, len(sorted_us) * percent // 100)] / 1000


def make_report(
    seed: int,
    people: int,
    checked: Sequence[Checked],
    faults: list[ReportedFault],
    all_fired: bool,
    waits: Waits,
    answers: int,
    seconds: float,
    processes: int,
    frames: int = 0,
    apdus: int = 0,
    cards: Cards | None = None,
) -> Report:
    """Add up what the checker said of every ledger, and judge it."""
    refused: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    for each in checked:
        refused.update(each.said["refused"])
        findings.update(each.said["findings"])
    unexplained_fen = sum(each.number("unexplained_fen") for each in checked)
    everything_compared = bool(checked) and all(each.number("rows") > 0 for each in checked)
    return Report(
        holds=all(each.said["holds"] for each in checked)
        and everything_compared
        and all_fired
        and unexplained_fen == 0,
        seed=seed,
        people=people,
        payments=sum(each.number("payments") for each in checked),
        acknowledged=sum(each.number("acknowledged") for each in checked),
        refused=dict(sorted(refused.items())),
        unknown=sum(each.number("unknown") for each in checked),
        lost=sum(each.number("lost") for each in checked),
        double=sum(each.number("double") for each in checked),
        balanced=all(each.said["balanced"] for each in checked),
        unexplained_fen=unexplained_fen,
        settled=None,
        faults=faults,
        p50_ms=waits.p50_ms,
        p99_ms=waits.p99_ms,
        longest_wait_ms=waits.longest_wait_ms,
        per_s=round(answers / seconds, 1) if seconds else 0.0,
        seconds=round(seconds, 1),
        processes=processes,
        findings=dict(sorted(findings.items())),
        frames=frames,
        apdus=apdus,
        cards=cards,
    )
