"""Documents point at what exists: links, files and the tests that they name as proof."""

import re
from typing import Final

import pytest

from tests.tidy.source_files import ROOT, Finding, tracked_texts

PLACES: Final = (
    "tests/",
    "campus_node/",
    "federation/",
    "hil_rig/",
    "protos/",
    "bench/",
    "scripts/",
    "docs/",
)
MADE_BY_A_RUN: Final = ("bench/results",)


def documents() -> list[tuple[str, str]]:
    """Return every Markdown document as (path, text)."""
    return [(name, text) for name, text in tracked_texts() if name.endswith(".md")]


def dead_links(folder: str, text: str) -> list[Finding]:
    """Return the relative links of a document in this folder that lead nowhere."""
    targets = [
        Finding(number, target)
        for number, line in enumerate(text.splitlines(), 1)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line)
    ]
    return [link for link in targets if "://" not in link.text and not (ROOT / folder / link.text).exists()]


def dead_places(text: str) -> list[Finding]:
    """Return the files and tests in back-ticks that do not exist."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for quoted in re.findall(r"`([\w./-]+(?:::\w+)?)`", line):
            path, _, test = quoted.partition("::")
            if not path.startswith(PLACES) or path.startswith(MADE_BY_A_RUN):
                continue
            place = ROOT / path
            if not place.exists() or (test and f"def {test}(" not in place.read_text()):
                found.append(Finding(number, quoted))
    return found


def test_every_link_leads_somewhere() -> None:
    found = []
    for name, text in documents():
        folder = name.rpartition("/")[0]
        found += [f"{name}:{line} {target}" for line, target in dead_links(folder, text)]
    assert not found, "\n".join(found)


def test_every_file_and_every_test_that_a_document_names_exists() -> None:
    found = [f"{name}:{line} {place}" for name, text in documents() for line, place in dead_places(text)]
    assert not found, "\n".join(found)


def test_every_requirement_is_built_or_open_and_what_is_built_names_its_proof() -> None:
    rows = re.findall(
        r"^\| ([ABD][\d.–B]+) \|(.+)\|$", (ROOT / "docs/traceability.md").read_text(), re.MULTILINE
    )
    assert len(rows) >= 45
    for requirement, rest in rows:
        _, state, where, proof = (cell.strip() for cell in rest.split("|"))
        if state == "**open**":
            assert not where, f"{requirement} is open: nothing may be promised"
            assert not proof, f"{requirement} is open: nothing can prove it"
        else:
            assert state.startswith(("built", "in part: ")), f"{requirement}: say built, in part or **open**"
            assert where, f"{requirement}: say where it is"
            assert proof or requirement == "A28", f"{requirement}: say what proves it"


@pytest.mark.parametrize(
    "text", ["[x](no_such_file.md)", "[x](docs/ledger.md) and [y](docs/nothing.md#there)"]
)
def test_the_rule_finds_a_dead_link(text: str) -> None:
    assert dead_links("", text)


@pytest.mark.parametrize(
    "text", ["`tests/nothing.py`", "`tests/tidy/test_documents.py::test_that_never_was`"]
)
def test_the_rule_finds_a_proof_that_does_not_exist(text: str) -> None:
    assert dead_places(text)
