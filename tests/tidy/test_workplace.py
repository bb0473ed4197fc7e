"""What is committed names no developer's machine, no registry and no secret."""

import re
from typing import Final

import pytest

from tests.tidy.source_files import Finding, tracked_texts

THIS_FILE: Final = "tests/tidy/test_workplace.py"
RULES: Final = {
    "a path of one developer's machine": r"(?<![\w.])/(home|root|work|workspace|Users|farm|opt)/[\w.]",
    "the address of a package registry": r"index-url|find-links|registry *= *.?http|\"resolved\": *\"http",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n",
}

# path → the exact text that is meant.
ALLOWED: Final[dict[str, str]] = {}


def traces(text: str) -> list[Finding]:
    """Return every trace of a workplace in a text."""
    found = []
    for what, pattern in RULES.items():
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Finding(line, f"{match.group()!r} looks like {what}"))
    return found


def test_nothing_committed_names_a_workplace() -> None:
    found = []
    for name, text in tracked_texts():
        if name != THIS_FILE:
            found += [
                f"{name}:{line} {what}" for line, what in traces(text.replace(ALLOWED.get(name, "\0"), ""))
            ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "cd /home/li/campuscard",
        'ROOT = "/root/campus"',
        "pip install --extra-index-url x",
        '"resolved": "https://example.org/a.tgz"',
        "registry=https://example.org",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE",
    ],
)
def test_the_rule_finds_traces(text: str) -> None:
    assert traces(text), text


@pytest.mark.parametrize(
    "text", ["/usr/lib/postgresql", "/var/lib/campus", "https://example.org/root/", "at work/home"]
)
def test_the_rule_leaves_ordinary_paths_alone(text: str) -> None:
    assert not traces(text), text
