"""Whole columns as PostgreSQL's array literals: one string instead of a thousand constants to parse. Pure."""

from collections.abc import Sequence
from typing import Any


def literal(column: Sequence[Any]) -> str:
    """Return a column of bytes, whole numbers, words or None as the text of an array.

    Words are of letters, digits and underscores.
    """
    if not column:
        return "{}"
    first = next((value for value in column if value is not None), None)
    if isinstance(first, bytes):
        return '{"\\\\x' + '","\\\\x'.join([value.hex() for value in column]) + '"}'
    if isinstance(first, str) or first is None:
        return "{" + ",".join(["NULL" if value is None else f'"{value}"' for value in column]) + "}"
    return "{" + ",".join(["NULL" if value is None else str(int(value)) for value in column]) + "}"


def literals(rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """Return the columns of rows, each as the text of an array."""
    return tuple(literal(column) for column in zip(*rows, strict=True))
