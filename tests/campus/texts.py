"""Every text that people may be shown, found in the source and in the command tree."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import campus_node
from campus_node.cli.help_page import paragraphs
from campus_node.cli.tree import command_tree

SOURCE = Path(campus_node.__file__).parent


def sentence_templates() -> dict[str, str]:
    """Return the templates of all Sentences in the product, each with a place where it stands."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in {"Sentence", "_wrong"} and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found[first.value] = f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Call) and _called(node) == "columns_of":
                for each in node.args:
                    assert isinstance(each, ast.Constant), f"{path.name}:{node.lineno}: write the titles out"
                    found[str(each.value)] = f"{path.name}:{each.lineno}"
    return found


def help_texts() -> set[str]:
    """Return every paragraph and option of every help page."""
    found: set[str] = set()
    for _, command in commands():
        found |= set(paragraphs(command.help))
        found |= {parameter.help for parameter in command.params if parameter.name != "help"}
    return found


def commands(command: Any = None, path: str = "campus") -> Iterator[tuple[str, Any]]:
    """Yield the path and the command of everything in the tree, groups too."""
    command = command or command_tree()
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{path} {name}")


def holes(template: str) -> set[str]:
    """Return the names of a template's holes."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
