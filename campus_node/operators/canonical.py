"""One spelling for a JSON value, so that its hash means its content. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

HASH_BYTES: Final = 32


def canonical_json(value: Mapping[str, object]) -> str:
    """Return the value with sorted keys and no spaces.

    Raises:
        ValueError: it holds a float, which money and instants never are, or what JSON cannot say.
    """
    _refuse_floats(value)
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"not JSON: {error}") from error


def content_hash(text: str) -> bytes:
    """Return SHA-256 of the text in UTF-8; 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise ValueError(f"{value} is a float: use whole fen or milliseconds")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("every key must be text")
        for member in value.values():
            _refuse_floats(member)
    elif isinstance(value, list | tuple):
        for member in value:
            _refuse_floats(member)
