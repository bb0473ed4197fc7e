"""How long a record waits on CAN and on RS-485, over rates and sizes: the claim of B4.1 as a picture."""

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from bench.lines_buses import (
    SEALED_BYTES,
    TERMINALS,
    Bus,
    can_bus,
    can_exchange_bits,
    serial_bus,
    serial_exchange_s,
)
from bench.lines_traffic import Traffic

CAN_RATES: Final = (125_000, 250_000, 500_000)
SERIAL_RATES: Final = (9_600, 38_400, 115_200)
LOAD: Final = 1 / 3  # of what each line carries at most
_BLUES: Final = ("#8ab6e8", "#3f7fc4", "#15447f")
_REDS: Final = ("#e9a48c", "#cf5a33", "#8a2b0d")
_INK: Final = "#1f2933"
_GRID: Final = "#e4e7eb"


@dataclass(frozen=True, slots=True)
class Point:
    """Mean wait of a record on one line at one size."""

    wire: str  # CAN or RS-485
    bits_per_s: int
    record_bytes: int
    records_per_s: float
    mean_ms: float

    def as_json(self) -> dict[str, object]:
        """Return it as scripts read it."""
        return asdict(self)


def sweep(sizes: Sequence[int], records: int, step: Callable[[str], None]) -> list[Point]:
    """Return a point for each wire, rate and size; each line has a third of what it carries at most.

    Args:
        sizes: of records, in bytes.
        records: in each point.
        step: told what begins.
    """
    points = []
    for rate in CAN_RATES:
        step(f"records of {len(sizes)} sizes on CAN at {rate:,} bit/s")
        for size in sizes:
            bits = can_exchange_bits(random.Random(f"contents {size}").randbytes, SEALED_BYTES, size)
            points.append(_point("CAN", rate, size, LOAD * rate / bits, records, partial(can_bus, rate)))
    for rate in SERIAL_RATES:
        step(f"records of {len(sizes)} sizes on RS-485 at {rate:,} bit/s")
        for size in sizes:
            per_s = LOAD / serial_exchange_s(rate, SEALED_BYTES, size)
            points.append(_point("RS-485", rate, size, per_s, records, partial(serial_bus, rate)))
    return points


def _point(wire: str, rate: int, size: int, per_s: float, records: int, make: Callable[[], Bus]) -> Point:
    with closing(make()) as bus:
        traffic = Traffic(bus, size, min(SEALED_BYTES, size), seed=size)
        traffic.run_at(per_s, max(records, TERMINALS) / per_s)
        return Point(wire, rate, size, round(per_s, 3), round(1000 * traffic.mean_s, 3))


def draw_latency(points: Sequence[Point], path: Path) -> None:
    """Draw mean waits over record sizes, a curve for each line, into a PNG file."""
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": _INK}):
        picture = Picture(figsize=(9.6, 5.6), dpi=160, facecolor="white")
        axes = picture.subplots()
        ends = []
        sizes = sorted({point.record_bytes for point in points})
        for wire, rates, colors in (("CAN", CAN_RATES, _BLUES), ("RS-485", SERIAL_RATES, _REDS)):
            for rate, color in zip(rates, colors, strict=True):
                mine = [point for point in points if (point.wire, point.bits_per_s) == (wire, rate)]
                waits = [point.mean_ms for point in mine]
                axes.plot(sizes, waits, color=color, lw=2, marker="o", ms=4.5, mec="white", mew=0.8)
                ends.append((waits[-1], f"{wire} {_rate(rate)}", color))
        axes.set_xscale("log")
        axes.set_yscale("log")
        for wait, label, color in _apart(ends):
            axes.annotate(
                label, (max(sizes), wait), xytext=(10, 0), textcoords="offset points",
                va="center", color=color, weight="bold",
            )  # fmt: skip
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda wait, _: f"{wait:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("bytes of a record")
        axes.set_ylabel("mean time from terminal to head, ms")
        axes.grid(color=_GRID, lw=0.7)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        picture.suptitle("How long a record waits", x=0.08, y=0.965, ha="left", size=13, weight="bold")
        picture.text(
            0.08, 0.9, f"{TERMINALS} terminals, each line at a third of what it carries at most; bus time",
            size=9, color="#616e7c",
        )  # fmt: skip
        picture.subplots_adjust(left=0.08, right=0.83, top=0.86, bottom=0.1)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path)


def _apart(ends: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Move labels whose curves end close to one another apart, on a logarithmic scale."""
    placed: list[tuple[float, str, str]] = []
    for wait, label, color in sorted(ends):
        at = max(wait, placed[-1][0] * 1.28) if placed else wait
        placed.append((at, label, color))
    return placed


def _rate(rate: int) -> str:
    return f"{rate / 1000:g}k"
