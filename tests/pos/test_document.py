"""docs/pos.md says what the till does: its tables are read and held against the code."""

import re
from itertools import pairwise

import pytest

from campus_node.cli.language import CATALOGUE
from campus_node.terminal.pos import journal_records
from campus_node.terminal.pos.settings import Mode
from campus_node.terminal.pos.stage import EDGES
from campus_node.terminal.pos.view import Mood, Sound
from tests.pos.test_parts import HIT, PAYMENT, TRIES
from tests.tidy.source_files import ROOT

TEXT = (ROOT / "docs/pos.md").read_text(encoding="utf-8")


def tables(title: str) -> list[list[list[str]]]:
    """Return the tables of a section as rows of cells, without their heads."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^\|.*\|\n)+", section, re.MULTILINE)
    rows = [[line.strip("| ").split(" | ") for line in block.splitlines()] for block in blocks]
    return [[[cell.strip(" |") for cell in row] for row in table[2:]] for table in rows]


def test_the_table_of_states_is_that_of_the_code() -> None:
    rows = tables("States")[0]
    said = {(row[0], row[-1]) for row in rows}
    assert said == {(f"`{a.name}`", f"`{b.name}`") for a, following in EDGES.items() for b in following}
    assert len(said) == len(rows)


def test_the_table_of_modes_is_that_of_the_code() -> None:
    assert [row[0] for row in tables("Modes")[0]] == [f"`{mode.value}`" for mode in Mode]


@pytest.mark.parametrize(("table", "record"), [(0, HIT), (1, PAYMENT), (2, TRIES)])
def test_the_tables_of_bytes_have_no_gaps(table: int, record: journal_records.Record) -> None:
    rows = tables("Records beside movements")[table]
    places = [(int(row[0]), int(row[1])) for row in rows]
    assert places[0][0] == 0
    assert all(offset + length == following for (offset, length), (following, _) in pairwise(places))
    assert sum(places[-1]) == len(journal_records.encode(record))


def test_the_screens_in_the_document_are_the_tills() -> None:
    rows = tables("Screens")[0]
    assert [row[0] for row in rows] == [mood.value for mood in Mood]
    for _, sounds, texts in rows:
        assert all(sound in set(Sound) for sound in sounds.split(", "))
        said = [text for text in texts.split(" · ") if text != "a rule's own words"]
        assert all(text in CATALOGUE for text in said), said
