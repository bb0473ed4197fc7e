"""Short paths for sockets, and where failures show what everybody knew."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rooms.conftest import sqlite_template

__all__ = ["sockets", "sqlite_template"]


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A short path: a socket's has 108 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="taps-") as directory:
        yield Path(directory)
