"""What a benchmark says while it runs (standard error) and when it is done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.harness import Figure
from federation.clock import SystemClock

_WIDTH: Final = 120


class TerminalReport:
    """Progress on standard error; the table on standard output, or also on standard error.

    Args:
        to_stdout: whether the table goes to standard output.
    """

    def __init__(self, *, to_stdout: bool) -> None:
        self._progress = Console(stderr=True, highlight=False)
        self._final = Console(highlight=False) if to_stdout else self._progress
        if not self._final.is_terminal:
            self._final.width = _WIDTH
        self._clock = SystemClock()
        self._began_s = self._clock.monotonic_s()

    def step(self, what: str) -> None:
        """Say what begins now."""
        elapsed_s = self._clock.monotonic_s() - self._began_s
        self._progress.print(f"[dim]{elapsed_s:6.0f} s[/dim]  {what}")

    def round_done(self, number: int, rounds: int, figures: Sequence[Figure]) -> None:
        """Show what a round gave."""
        self._progress.print(f"[bold]round {number} of {rounds}[/bold]")
        for figure in figures:
            sample, name = figure.samples[-1], figure.row.name
            line = f"          {name:24}{number_text(sample.value):>9} {figure.row.unit}"
            if sample.reference is not None:
                line += f"  ÷ {number_text(sample.reference)}  = {number_text(figure.judged_by_round[-1])}"
            self._progress.print(line)

    def failed(self, why: str) -> None:
        """Say why there is no result."""
        self._progress.print(f"bench: {why}", style="red", markup=False)

    def finished(self, name: str, figures: Sequence[Figure], picture: Path) -> None:
        """Show the table."""
        table = Table(
            title=f"bench {name}: medians of {len(figures[0].samples)} rounds", title_justify="left"
        )
        for title, justify in (
            ("figure", "left"), ("value", "right"), ("reference", "right"), ("ratio", "right"),
            ("range", "right"), ("must", "right"), ("aim", "right"), ("", "left"),
        ):  # fmt: skip
            table.add_column(title, justify=justify)  # type: ignore[arg-type]  # rich names its own literals
        for figure in figures:
            table.add_row(*_cells(figure))
        self._final.print(table)
        self._final.print(f"plot: {picture}", markup=False)


def _cells(figure: Figure) -> list[str]:
    row, by_round = figure.row, figure.judged_by_round
    bound = "≥" if row.better == "higher" else "≤"
    verdict = "[red]missed[/red]"
    if figure.met:
        verdict = "[green]aim[/green]" if figure.reaches(row.aim) else "[yellow]must[/yellow]"
    return [
        f"{row.name}\n[dim]{row.title}[/dim]",
        f"{number_text(figure.value)} {row.unit}",
        "" if figure.reference is None else number_text(figure.reference),
        "" if figure.ratio is None else number_text(figure.ratio),
        f"{number_text(min(by_round))}–{number_text(max(by_round))}",
        f"{bound} {row.must:g}",
        f"{bound} {row.aim:g}",
        verdict,
    ]


def number_text(value: float) -> str:
    """Return a number with three digits that matter."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
