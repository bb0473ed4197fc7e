"""One root and two campuses of it, made anew for each test."""

from pathlib import Path

import pytest

from campus_node.pki.campus_pki import CampusPki, make_root_directory
from federation.clock import SystemClock
from federation.identity import Identity, Role

DAY_MS = 86_400_000


@pytest.fixture
def now_unix_ms() -> int:
    """Today, because TLS stacks read the machine's clock."""
    return SystemClock().unix_ms()


@pytest.fixture
def root(tmp_path: Path, now_unix_ms: int) -> Path:
    make_root_directory(tmp_path / "root", "test scheme", now_unix_ms - 60 * DAY_MS)
    return tmp_path / "root"


@pytest.fixture
def north(tmp_path: Path, root: Path, now_unix_ms: int) -> CampusPki:
    pki = CampusPki(tmp_path / "north", "north", "north.campus.test")
    pki.make_authority(root, 1, now_unix_ms - 50 * DAY_MS)
    return pki


@pytest.fixture
def south(tmp_path: Path, root: Path, now_unix_ms: int) -> CampusPki:
    pki = CampusPki(tmp_path / "south", "south", "south.campus.test")
    pki.make_authority(root, 2, now_unix_ms - 50 * DAY_MS)
    return pki


def terminal(campus: str = "north", name: str = "0001") -> Identity:
    return Identity(campus, Role.TERMINAL, name)
