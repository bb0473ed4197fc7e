"""Identifiers use the glossary's words: in Python, in SQL and on the wire. Prose is free."""

import ast
import re
from collections.abc import Iterable
from typing import Final

import pytest

from campus_node.database.schema import metadata
from tests.tidy.proto_descriptors import all_names
from tests.tidy.source_files import OURS, ROOT, Finding, python_files, shown, tracked_texts

BANNED: Final[dict[str, str]] = {
    # words that say nothing
    "manager": "say what it does",
    "helper": "say what it does",
    "helpers": "say what it does",
    "util": "say what it does",
    "utils": "say what it does",
    "handler": "say what it does with what",
    "handlers": "say what it does with what",
    "data": "say which",
    "info": "say which",
    "impl": "say how it differs",
    # words for which the glossary has another
    "blacklist": "hotlist",
    "blocklist": "hotlist",
    "whitelist": "say what is admitted",
    "wallet": "account, or purse for the balance in the card",
    "tenant": "member",
    "consortium": "scheme",
    "user": "cardholder, or operator",
    "users": "cardholders, or operators",
    "topup": "load",
    "recharge": "load",
    "rollback": "reverse, or refund",
    "chargeback": "refund",
}

# "path::identifier" → why the word is right there.
ALLOWED: Final[dict[str, str]] = {
    "campus_node/purse/apdu.py::data": "ISO/IEC 7816-4 calls the bytes of an APDU so; they may be anything",
}


def banned_words(identifier: str) -> list[str]:
    """Return the banned words of an identifier in snake_case, CamelCase or UPPER_CASE."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)
    return [part.lower() for part in parts if part.lower() in BANNED]


def defined_names(source: str) -> list[Finding]:
    """Return every identifier that this source gives to something; names that others chose are not ours."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.append(Finding(node.lineno, name))
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                found.append(Finding(node.lineno, name))
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self")):
                found.append(Finding(node.lineno, name))
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.append(Finding(node.lineno, name))
            case ast.alias(asname=str(name)):
                found.append(Finding(getattr(node, "lineno", 0), name))
    return found


def quoted_identifiers(markdown: str) -> list[Finding]:
    """Return what stands in back-ticks and looks like one of our identifiers: snake_case or CamelCase."""
    return [
        Finding(number, quoted)
        for number, line in enumerate(markdown.splitlines(), 1)
        for quoted in re.findall(r"`([^`]+)`", line)
        if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+|([A-Z][a-z0-9]+){2,}", quoted)
    ]


def _complaints(where: str, findings: Iterable[Finding]) -> list[str]:
    return [
        f"{where}:{line} {name}: not {word!r}, {BANNED[word]}"
        for line, name in findings
        if f"{where}::{name}" not in ALLOWED
        for word in banned_words(name)
    ]


def test_identifiers_in_python_use_the_glossary() -> None:
    found = []
    for path in python_files(*OURS):
        here = [Finding(0, path.stem), *defined_names(path.read_text())]
        found += _complaints(shown(path), here)
    assert not found, "\n".join(found)


def test_tables_and_columns_use_the_glossary() -> None:
    names = [name for table in metadata.tables.values() for name in (table.name, *table.columns.keys())]
    assert names
    found = _complaints("schema", [Finding(0, name) for name in names])
    assert not found, "\n".join(found)


def test_messages_on_the_wire_use_the_glossary() -> None:
    names = all_names(ROOT / "protos")
    assert names
    found = _complaints("protos", [Finding(0, name) for name in names])
    assert not found, "\n".join(found)


def test_identifiers_quoted_in_documents_use_the_glossary() -> None:
    found = []
    for name, text in tracked_texts():
        if name.endswith(".md"):
            found += _complaints(name, quoted_identifiers(text))
    assert not found, "\n".join(found)


def test_every_exception_is_still_needed() -> None:
    for entry in ALLOWED:
        name, _, identifier = entry.partition("::")
        names = {finding.text for finding in defined_names((ROOT / name).read_text())}
        assert identifier in names, f"{entry} is gone: take it off the list"


@pytest.mark.parametrize(
    "source",
    [
        "class AccountManager: ...",
        "def load_data(): ...",
        "def pay(user_id): ...",
        "walletFen = 1",
        "self.card_info = 1",
        "import federation.errors as utils",
        "match x:\n    case [*blacklist]: ...",
    ],
)
def test_the_rule_finds_banned_words(source: str) -> None:
    assert [word for _, name in defined_names(source) for word in banned_words(name)], source


@pytest.mark.parametrize(
    "source", ["metadata = 1", "connection.rollback()", "run(user=account)", "import logging.handlers"]
)
def test_the_rule_leaves_other_peoples_names_alone(source: str) -> None:
    assert not [word for _, name in defined_names(source) for word in banned_words(name)], source


def test_the_rule_reads_documents() -> None:
    assert [
        name for _, name in quoted_identifiers("Set `user_data` and `CardManager`, not `make test`.")
    ] == [
        "user_data",
        "CardManager",
    ]
