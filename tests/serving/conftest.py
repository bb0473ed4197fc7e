"""A campus for each test, copied from one that is made once; its node takes free ports."""

import shutil
from pathlib import Path

import pytest

from campus_node.campus_directory import CampusDirectory
from tests.serving.node import Campus, make_campus


@pytest.fixture(autouse=True)
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_GRPC__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CAMPUS_METRICS__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CAMPUS_WEB__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CAMPUS_DEVICES__LISTEN", "127.0.0.1:0")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "north"
    make_campus(path)
    return path


@pytest.fixture
def north(template: Path, tmp_path: Path) -> Campus:
    path = tmp_path / "north"
    shutil.copytree(template, path)
    return Campus(path, CampusDirectory(path).settings())
