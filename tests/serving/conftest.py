"""A new campus for each test; its node takes free ports."""

from pathlib import Path

import pytest

from tests.serving.node import Campus, make_campus


@pytest.fixture(autouse=True)
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_GRPC__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CAMPUS_METRICS__LISTEN", "127.0.0.1:0")


@pytest.fixture
def north(tmp_path: Path) -> Campus:
    return make_campus(tmp_path / "north")
