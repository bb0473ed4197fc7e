"""Campuses to command, and their nodes as real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from campus_node.cli import main
from federation.clock import SystemClock

START_WITHIN_S = 30


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # whatever the command's object is
        return json.loads(self.out.splitlines()[-1])


Campus = Callable[..., Said]


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CAMPUS_") and not name.startswith("CAMPUS_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def campus(capsys: pytest.CaptureFixture[str]) -> Campus:
    """Run a command line through the entry point of the console script."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="session")
def new_campus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `campus init` made, once; tests work on copies."""
    directory = tmp_path_factory.mktemp("new") / "north"
    assert main(["init", str(directory), "--campus", "north"]) == 0
    return directory


@pytest.fixture(scope="session")
def staffed_campus(tmp_path_factory: pytest.TempPathFactory, new_campus: Path) -> Path:
    """alice gives rights, bob works at the counter, carol is in finance."""
    directory = tmp_path_factory.mktemp("staffed") / "north"
    shutil.copytree(new_campus, directory)
    here = ["-C", str(directory)]
    by_alice = ["--operator", "alice", "--reason", "first day", *here]
    assert main(["operator", "add", "alice", *here]) == 0
    assert main(["operator", "add", "bob", "--role", "card-office", *by_alice]) == 0
    assert main(["operator", "add", "carol", "--role", "finance", *by_alice]) == 0
    return directory


@pytest.fixture
def north(tmp_path: Path, new_campus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new campus, which commands without -C work on."""
    directory = tmp_path / "north"
    shutil.copytree(new_campus, directory)
    monkeypatch.setenv("CAMPUS_DIR", str(directory))
    return directory


@pytest.fixture
def staff(north: Path, staffed_campus: Path) -> None:
    """See `staffed_campus`."""
    shutil.rmtree(north)
    shutil.copytree(staffed_campus, north)


@pytest.fixture
def node(north: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The campus's node, ready; told to stop at the end."""
    environment = {
        **os.environ,
        "CAMPUS_GRPC__LISTEN": "127.0.0.1:0",
        "CAMPUS_METRICS__LISTEN": "127.0.0.1:0",
        "CAMPUS_WEB__LISTEN": "127.0.0.1:0",
        "CAMPUS_DEVICES__LISTEN": "127.0.0.1:0",
    }
    log = (north / "log" / "node.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-m", "campus_node.cli", "node", "run", str(north)],
            env=environment,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _wait_until_ready(process, north)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(START_WITHIN_S)


def _wait_until_ready(process: subprocess.Popen[bytes], directory: Path) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + START_WITHIN_S
    while not (directory / "run" / "ports.json").exists():
        said = (directory / "log" / "node.log").read_text()
        assert process.poll() is None, said
        assert clock.monotonic_s() < give_up_at_s, said
        clock.sleep(0.02)  # another process tells its readiness by a file
