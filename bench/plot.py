"""One picture a benchmark: a strip for every figure, its rounds as dots, must and aim as lines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from bench.harness import Figure
from bench.report import number_text

_INK: Final = "#1f2933"
_FAINT: Final = "#9aa5b1"
_GRID: Final = "#e4e7eb"
_GOOD: Final = "#0b8457"
_ENOUGH: Final = "#c98a00"
_BAD: Final = "#c0392b"
_STRIP_INCHES: Final = 0.95
_ROOM: Final = 1.18  # how far a strip goes beyond its largest mark


def draw(name: str, figures: Sequence[Figure], outcome: Mapping[str, object], path: Path) -> Path:
    """Draw the figures into a PNG file and return its path."""
    height = _STRIP_INCHES * len(figures) + 1.1
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": _INK}):
        picture = Picture(figsize=(9.6, height), dpi=160, facecolor="white")
        strips = picture.subplots(len(figures), 1, squeeze=False)[:, 0]
        for axes, figure in zip(strips, figures, strict=True):
            _strip(axes, figure)
        picture.subplots_adjust(
            left=0.37, right=0.87, top=1 - 0.62 / height, bottom=0.52 / height, hspace=1.15
        )
        picture.text(0.02, 1 - 0.3 / height, f"campus bench {name}", size=13, weight="bold", va="center")
        picture.text(0.02, 0.18 / height, _where(figures, outcome), size=7.5, color=_FAINT, va="center")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path)
    return path


def _strip(axes: Axes, figure: Figure) -> None:
    row, by_round = figure.row, figure.judged_by_round
    color = _GOOD if figure.reaches(row.aim) else _ENOUGH if figure.met else _BAD
    limit = max(*by_round, row.must, row.aim) * _ROOM
    axes.set_xlim(0, limit)
    axes.set_ylim(-1, 1)
    good = (row.must, limit) if row.better == "higher" else (0, row.must)
    axes.axvspan(*good, color=_GOOD, alpha=0.06, lw=0)
    for bound, label, style in ((row.must, "must", "-"), (row.aim, "aim", (0, (3, 2)))):
        axes.axvline(bound, color=_INK, lw=1, ls=style)
        inward = "right" if (label == "must") == (row.must <= row.aim) else "left"
        axes.annotate(
            f"{label} {bound:g}", (bound, 1), xytext=(0, 2), textcoords="offset points",
            ha=inward, va="bottom", size=7, color=_INK,
        )  # fmt: skip
    axes.plot([min(by_round), max(by_round)], [0, 0], color=color, lw=5, alpha=0.25, solid_capstyle="round")
    axes.scatter(by_round, [0] * len(by_round), s=14, color=color, alpha=0.75, zorder=3, lw=0)
    axes.scatter([figure.judged], [0], s=95, marker="D", color=color, zorder=4, edgecolor="white", lw=1.2)

    unit = "×" if figure.ratio is not None else f" {row.unit}"
    axes.text(1.03, 0.5, f"{number_text(figure.judged)}{unit}", transform=axes.transAxes,
              size=12, weight="bold", color=color, va="center")  # fmt: skip
    absolute = number_text(figure.value) + f" {row.unit}"
    if figure.reference is not None:
        absolute += f"  against  {number_text(figure.reference)}"
    axes.text(-0.04, 0.72, row.title, transform=axes.transAxes, ha="right", va="center", size=9)
    axes.text(
        -0.04, 0.16, absolute, transform=axes.transAxes, ha="right", va="center", size=7.5, color=_FAINT
    )
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelsize=7, labelcolor=_FAINT, pad=2)
    axes.grid(axis="x", color=_GRID, lw=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _where(figures: Sequence[Figure], outcome: Mapping[str, object]) -> str:
    machine = outcome["machine"]
    assert isinstance(machine, Mapping), "harness.result made it"
    quick = "  ·  quick run, not to be quoted" if outcome["quick"] else ""
    rounds = max(len(figure.samples) for figure in figures)
    return (
        f"◆ median of {rounds} rounds, dots are rounds  ·  {machine['cpu']}, {machine['cpus']} CPUs, "
        f"{machine['memory_mb']:,} MB  ·  PostgreSQL {machine.get('postgresql', '–')}, "
        f"Python {machine['python']}{quick}"
    )
