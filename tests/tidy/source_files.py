"""Which files the house rules look at, and how a name in Python source is resolved."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ("federation", "campus_node", "hil_rig", "third_party")
OURS: Final = (*PRODUCT, "bench", "scripts", "tests")
GENERATED: Final = ("campuscard/",)


class Finding(NamedTuple):
    """One place that breaks a rule."""

    line: int
    text: str


def python_files(*folders: str) -> list[Path]:
    """Return our own Python files in these folders of the checkout, programs without a suffix included."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    found = [path for path in paths if path.suffix == ".py" or _is_python_program(path)]
    assert found, f"no Python in {folders}: the rule would hold for nothing"
    return found


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every text file that git tracks or would track, generated code excepted."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(GENERATED) or not (ROOT / name).is_file():
            continue
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture


def shown(path: Path) -> str:
    """Return the path as it stands in allow-lists and messages."""
    return path.relative_to(ROOT).as_posix()


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for, as a dotted path."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    local = alias.asname or alias.name.split(".")[0]
                    names[local] = alias.name if alias.asname else local
            case ast.ImportFrom(module=str(module), names=aliases):
                for alias in aliases:
                    names[alias.asname or alias.name] = f"{module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted path that an expression such as `dt.datetime.now` stands for, "" if it is none."""
    match node:
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.Attribute(value=value, attr=attr):
            return f"{base}.{attr}" if (base := dotted(value, names)) else ""
        case _:
            return ""


def _is_python_program(path: Path) -> bool:
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline().startswith(b"#!/usr/bin/env python3")
