"""Money is int fen: no float, no Decimal and no true division comes near it."""

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.tidy.source_files import PRODUCT, ROOT, Finding, python_files, shown

# Modules that do nothing but money: no float at all, whatever the names.
ALL_MONEY: Final = (
    "federation/transfer.py",
    "campus_node/ledger/chart.py",
    "campus_node/ledger/rules.py",
    "campus_node/ledger/rows.py",
    "campus_node/ledger/books.py",
)
INEXACT: Final = frozenset({"float", "Decimal", "Fraction", "fsum", "mean", "median"})


def is_inexact(node: ast.AST) -> bool:
    """Tell whether a node makes a number that is no int: a float literal, a true division, a conversion."""
    match node:
        case ast.Constant(value=float() | complex()):
            return True
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in INEXACT
        case ast.alias(name=name):
            return name in {"decimal", "fractions"} or name in INEXACT
        case _:
            return False


def names_money(node: ast.AST) -> bool:
    """Tell whether a node is a name of an amount."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
            return name == "fen" or name.endswith("_fen")
        case ast.Constant(value=str(name)):
            return name.endswith("_fen") and name.isidentifier()  # row["amount_fen"]
        case _:
            return False


def inexact_money(source: str, *, all_money: bool = False) -> list[Finding]:
    """Return every inexact number in an expression, assignment, argument or return that touches money."""
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        touched = all_money or any(any(map(names_money, ast.walk(part))) for part in _touching(node))
        if not touched:
            continue
        parts = [node] if all_money else _touching(node)
        for part in parts:
            for inner in ast.walk(part):
                if is_inexact(inner):
                    line = getattr(inner, "lineno", getattr(node, "lineno", 0))
                    found.add(Finding(line, ast.unparse(inner)))
    return sorted(found)


def _touching(node: ast.AST) -> list[ast.AST]:
    """Return the smallest wholes in which money and an inexact number may not meet."""
    match node:
        case ast.BinOp() | ast.Compare() | ast.AugAssign() | ast.keyword():
            return [node]
        case ast.Assign(targets=targets, value=value):
            return [node] if any(map(names_money, targets)) and not isinstance(value, ast.Call) else []
        case ast.AnnAssign(target=target) if names_money(target):
            return [node]
        case ast.arg() if names_money(node):
            return [node]
        case ast.Call(func=func) if is_inexact(func):
            return [node]
        case ast.FunctionDef(name=name, returns=ast.expr() as returns) if name.endswith("_fen"):
            return [ast.Expr(ast.Tuple([ast.Name(name), returns]))]
        case _:
            return []


def test_no_inexact_number_touches_money() -> None:
    found = []
    for path in python_files(*PRODUCT, "bench"):
        name = shown(path)
        findings = inexact_money(path.read_text(), all_money=name in ALL_MONEY)
        found += [f"{name}:{finding.line} {finding.text}" for finding in findings]
    assert not found, "use int fen and // with a stated rounding:\n" + "\n".join(found)


def test_the_modules_of_pure_money_are_where_the_rule_looks_for_them() -> None:
    assert [name for name in ALL_MONEY if not Path(ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "source",
    [
        "half = amount_fen / 2",
        "fee_fen = 0.5",
        "yuan = float(balance.posted_fen)",
        "ok = amount_fen > 10.0",
        "pay(amount_fen=Decimal(3))",
        "total_fen: float = 0",
        "def pay(amount_fen: float) -> None: ...",
        "def price_fen() -> float: ...",
        "share = row['amount_fen'] * 0.3",
        "left_fen /= 3",
    ],
)
def test_the_rule_finds_inexact_money(source: str) -> None:
    assert inexact_money(source), source


@pytest.mark.parametrize(
    "source", ["rate = done / elapsed_s", "each_fen = amount_fen // 3", "timeout_s = 0.5"]
)
def test_the_rule_leaves_other_numbers_alone(source: str) -> None:
    assert not inexact_money(source), source


def test_modules_of_pure_money_may_not_even_import_decimal() -> None:
    assert inexact_money("import decimal", all_money=True)
