"""docs/purse.md says what the flows do: its tables are read and held against the code."""

import re
from collections.abc import Mapping
from enum import Enum
from itertools import pairwise

import pytest

from campus_node.purse import load, purchase, recovery
from campus_node.purse.journal_entries import RECORD_BYTES, Reason
from campus_node.terminal import journal_format as form
from tests.tidy.source_files import ROOT

TEXT = (ROOT / "docs/purse.md").read_text()


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def tables(title: str) -> list[list[list[str]]]:
    """Return the tables of a section as rows of cells, without their heads."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", section(title), re.MULTILINE)
    rows = [[line.strip("| ").split(" | ") for line in block.splitlines()] for block in blocks]
    return [[[cell.strip(" |") for cell in row] for row in table[2:]] for table in rows]


@pytest.mark.parametrize(
    ("title", "edges"),
    [("Purchase", purchase.EDGES), ("Load and unload", load.EDGES), ("Recovery", recovery.EDGES)],
)
def test_the_tables_of_steps_are_those_of_the_code(title: str, edges: Mapping[Enum, frozenset[Enum]]) -> None:
    rows = tables(title)[0]
    said = {(row[0], row[-1]) for row in rows if row[-1] != "raised"}
    assert said == {(f"`{a.name}`", f"`{b.name}`") for a, following in edges.items() for b in following}


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    rows = tables("A movement's record")[1]
    assert [(int(row[0]), row[1]) for row in rows] == [(reason, f"`{reason.name}`") for reason in Reason]


@pytest.mark.parametrize(
    ("rows", "ends_at"),
    [
        (tables("A movement's record")[0], RECORD_BYTES),
        (tables("The journal's file")[2], form.SLOT_BYTES),
        (tables("The journal's file")[1], 94),
    ],
)
def test_the_tables_of_bytes_have_no_gaps(rows: list[list[str]], ends_at: int) -> None:
    places = [(int(row[0]), int(row[1])) for row in rows]
    assert places[0][0] == 0
    assert all(offset + length == following for (offset, length), (following, _) in pairwise(places))
    assert sum(places[-1]) == ends_at
