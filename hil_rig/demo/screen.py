"""What people see: a line a stage and a progress bar on standard error, the report on standard output."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hil_rig.demo.report import Report
from hil_rig.demo.wording import translator

PLAIN_STEPS: Final = 10  # lines of progress where there is no terminal


class Screen:
    """Speaks one language to one person.

    Args:
        language: en or zh.
    """

    def __init__(self, language: str) -> None:
        self._translate = translator(language)
        self._errors = Console(stderr=True, highlight=False)
        self._output = Console(highlight=False)

    def say(self, template: str, **fields: object) -> str:
        """Return a sentence in the person's language."""
        return self._translate(template).format(**fields)

    def stage(self, template: str, **fields: object) -> None:
        """Tell what happens next."""
        self._errors.print(f"[bold cyan]▸[/] {self.say(template, **fields)}", soft_wrap=True)

    def event(self, template: str, **fields: object) -> None:
        """Tell what happened meanwhile."""
        self._errors.print(f"  [yellow]![/] {self.say(template, **fields)}", soft_wrap=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """Show how many of total are done; call what is given with the number, from any thread."""
        if not self._errors.is_terminal:
            yield _plain_progress(total, self.say("payments"))
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._errors, transient=True) as bar:
            task = bar.add_task(self.say("payments"), total=total)
            yield lambda done: bar.update(task, completed=min(done, total))

    def report(self, report: Report, directory: Path | None) -> None:
        """Show the result."""
        table = Table(title=self.say("Result"), show_header=False, title_justify="left")
        for name, value, good in self._rows(report):
            table.add_row(
                name, f"[{'green' if good else 'bold red'}]{value}[/]" if good is not None else value
            )
        self._output.print(table)
        if report.holds:
            self._output.print(f"[bold green]{self.say('Everything holds.')}[/]")
        else:
            text = self.say("It does NOT hold: {findings}", findings=report.findings or "faults")
            self._output.print(f"[bold red]{text}[/]")
        if directory is None:
            self._output.print(self.say("seed {seed}", seed=report.seed))
        else:
            where = "seed {seed}; what was written is in {directory}"
            self._output.print(self.say(where, seed=report.seed, directory=directory))

    def _rows(self, report: Report) -> Iterator[tuple[str, str, bool | None]]:
        yield self.say("payments sent"), f"{report.payments:,}", None
        yield self.say("acknowledged"), f"{report.acknowledged:,}", None
        for name, count in report.refused.items():
            yield self.say("refused: {name}", name=name), f"{count:,}", None
        yield self.say("unknown at the end"), str(report.unknown), report.unknown == 0
        yield self.say("acknowledged but lost"), str(report.lost), report.lost == 0
        yield self.say("posted twice"), str(report.double), report.double == 0
        yield self.say("books balanced"), self.say("yes" if report.balanced else "no"), report.balanced
        yield self.say("unexplained fen"), str(report.unexplained_fen), report.unexplained_fen == 0
        for fault in report.faults:
            fired = self.say("fired {fired} of {planned}", fired=fault.fired, planned=fault.planned)
            yield self.say("fault: {name}", name=fault.name), fired, fault.fired == fault.planned
        yield self.say("answer time p50 / p99"), f"{report.p50_ms:.1f} / {report.p99_ms:.1f} ms", None
        yield self.say("longest wait, through the outage"), f"{report.longest_wait_ms:,.0f} ms", None
        yield self.say("answers per second"), f"{report.per_s:,.0f}", None
        if report.cards is not None:
            cards = report.cards
            yield self.say("cards tapped, booked"), f"{cards.taps:,} / {cards.booked:,}", None
            yield self.say("torn away while paying, settled"), str(cards.torn), None
            waits = f"{cards.shown_p50_ms:.0f} / {cards.shown_p99_ms:.0f} ms"
            yield self.say("all at once: tapped to paid, p50 / p99"), waits, None
            yield (
                self.say("CAN frames, card and PSAM commands"),
                f"{report.frames:,} / {report.apdus:,}",
                None,
            )


def _plain_progress(total: int, unit: str) -> Callable[[int], None]:
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        step = min(done, total) * PLAIN_STEPS // total
        if step > told:
            told = step
            sys.stderr.write(f"  {min(done, total)} / {total} {unit}\n")

    return tell
