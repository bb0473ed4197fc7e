"""Rounds, medians and verdicts: what all benchmarks share.

A benchmark runs its rows and their references in turns (A B A B …): what else the machine does hits both.
"""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

import psutil

RESULTS: Final = Path(__file__).parent / "results"
ROUNDS: Final = 5
ROUNDS_QUICK: Final = 2

Better = Literal["higher", "lower"]


class BenchBroken(Exception):
    """The benchmark could not run, or its own correctness check failed: there is no figure to judge."""


class Sample(NamedTuple):
    """What one round measured."""

    value: float
    reference: float | None = None  # in the same unit; None = the row has no reference


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a benchmark's table.

    Args:
        name: `<bench>.<row>`.
        title: what is measured, for people.
        unit: of value and reference.
        better: which way is good.
        must: what the ratio (or the value, where there is no reference) must reach.
        aim: what it should reach.
    """

    name: str
    title: str
    unit: str
    better: Better
    must: float
    aim: float


@dataclass(slots=True)
class Figure:
    """A row with what the rounds gave."""

    row: Row
    samples: list[Sample] = field(default_factory=list)

    @property
    def value(self) -> float:
        """Median of the values."""
        return statistics.median(sample.value for sample in self.samples)

    @property
    def reference(self) -> float | None:
        """Median of the references."""
        references = [sample.reference for sample in self.samples if sample.reference is not None]
        return statistics.median(references) if references else None

    @property
    def ratio(self) -> float | None:
        """Value ÷ reference, both medians."""
        return None if self.reference is None else self.value / self.reference

    @property
    def judged(self) -> float:
        """What is held against must and aim."""
        return self.value if self.ratio is None else self.ratio

    @property
    def judged_by_round(self) -> list[float]:
        """The same, round by round."""
        return [s.value if s.reference is None else s.value / s.reference for s in self.samples]

    def reaches(self, bound: float) -> bool:
        """Tell whether the figure is as good as bound."""
        return self.judged >= bound if self.row.better == "higher" else self.judged <= bound

    @property
    def met(self) -> bool:
        """Tell whether the must is met."""
        return self.reaches(self.row.must)

    def as_json(self) -> dict[str, object]:
        """Return the figure as scripts read it."""
        return {
            "name": self.row.name,
            "value": self.value,
            "unit": self.row.unit,
            "reference": self.reference,
            "ratio": self.ratio,
            "better": self.row.better,
            "must": self.row.must,
            "aim": self.row.aim,
            "met": self.met,
            "rounds": [{"value": sample.value, "reference": sample.reference} for sample in self.samples],
        }


class Bench(Protocol):
    """One benchmark: its table, and how a round of it is run."""

    rows: Sequence[Row]

    def run_round(self) -> Mapping[str, Sample]:
        """Measure rows, each beside its reference; a row that is measured once only may be absent later."""

    def check(self) -> None:
        """Raise BenchBroken if what the round wrote is not right: speed of wrong books is no speed."""

    def describe(self) -> Mapping[str, object]:
        """Tell what was set up: versions, settings, sizes."""


def measure(bench: Bench, rounds: int, report: "Report") -> list[Figure]:
    """Run the rounds, check after each, and return the figures in the table's order.

    Raises:
        BenchBroken: a round or its check failed, or a row was never measured.
    """
    figures = {row.name: Figure(row) for row in bench.rows}
    for number in range(1, rounds + 1):
        samples = bench.run_round()
        bench.check()
        for name, sample in samples.items():
            figures[name].samples.append(sample)
        report.round_done(number, rounds, [figures[name] for name in samples])
    missing = [name for name, figure in figures.items() if not figure.samples]
    if missing:
        raise BenchBroken(f"never measured: {', '.join(missing)}")
    return list(figures.values())


class Report(Protocol):
    """Who is told how it goes."""

    def step(self, what: str) -> None: ...

    def round_done(self, number: int, rounds: int, figures: Sequence[Figure]) -> None: ...


def result(figures: Sequence[Figure], *, quick: bool, described: Mapping[str, object]) -> dict[str, object]:
    """Return the object that a benchmark prints and keeps."""
    return {
        "figures": [figure.as_json() for figure in figures],
        "quick": quick,
        "machine": machine() | dict(described),
    }


def machine() -> dict[str, object]:
    """Tell where a figure comes from."""
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "memory_mb": psutil.virtual_memory().total // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def result_stem(name: str, *, quick: bool) -> Path:
    """Return where a benchmark's result goes, without suffix; a quick one never replaces a full one."""
    return RESULTS / (f"{name}.quick" if quick else name)


def write_result(outcome: Mapping[str, object], path: Path) -> None:
    """Write the object to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
