"""What a command has to tell: for people as sentences and tables, for scripts as one JSON object."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from campus_node.cli.language import Language
from campus_node.wording import Sentence

_PIPE_COLUMNS: Final = 300  # nobody's terminal: wide enough that nothing wraps
_UNBOUNDED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        head: its title.
        align: numbers stand right.
        spare: left out, the last one first, where the terminal is too narrow for all.
    """

    head: Sentence
    align: Literal["left", "right"] = "left"
    spare: bool = False


def columns_of(*heads: str, right: Collection[str] = (), spare: Collection[str] = ()) -> list[Column]:
    """Return columns with these titles; see `Column` for what the other arguments choose."""
    return [Column(Sentence(head), "right" if head in right else "left", head in spare) for head in heads]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. Where the terminal is too narrow without spare ones, each row becomes a block."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Sentence]]
    empty: Sentence = field(default_factory=lambda: Sentence("Nothing to show."))


@dataclass(frozen=True, slots=True)
class Report:
    """What a command returns.

    Args:
        content: the JSON object.
        shown: what people see, from top to bottom.
        holds: whether what was asked for holds; it decides the exit code.
    """

    content: Mapping[str, object]
    shown: Sequence[Sentence | Table | str]
    holds: bool = True


def console_for_people() -> Console:
    """Return what writes to standard output: as wide as the terminal, and wide where there is none."""
    console = Console(highlight=False)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(highlight=False, width=_PIPE_COLUMNS)


def json_line(content: Mapping[str, object]) -> str:
    """Return the object on one line; `_fen` stay integers, text stays readable."""
    return json.dumps(content, ensure_ascii=False, default=str)


def show(report: Report, console: Console, language: Language) -> None:
    """Write a report for people."""
    width = console.width
    for part in report.shown:
        if isinstance(part, Table):
            console.print(_renderable(part, console, language, width))
        else:
            console.print(Text(language.say(part)), soft_wrap=True)


def _renderable(table: Table, console: Console, language: Language, width: int) -> RenderableType:
    if not table.rows:
        return Text(language.say(table.empty), style="dim")
    heads = [language.say(column.head) for column in table.columns]
    rows = [[language.say(cell) for cell in row] for row in table.rows]
    kept = list(range(len(heads)))
    spare = [index for index in kept if table.columns[index].spare]
    while True:
        grid = _grid(table, heads, rows, kept)
        if Measurement.get(console, console.options.update(width=_UNBOUNDED), grid).maximum <= width:
            return grid
        if not spare:
            return _blocks(heads, rows)
        kept.remove(spare.pop())


def _grid(
    table: Table, heads: Sequence[str], rows: Sequence[Sequence[str]], kept: Sequence[int]
) -> RichTable:
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for index in kept:
        grid.add_column(Text(heads[index]), justify=table.columns[index].align, no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(row[index]) for index in kept))
    return grid


def _blocks(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> RichTable:
    blocks = RichTable.grid(padding=(0, 1))
    blocks.add_column(style="bold", no_wrap=True)
    blocks.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            blocks.add_row("", "")
        for head, cell in zip(heads, row, strict=True):
            blocks.add_row(Text(head), Text(cell))
    return blocks
