"""The rules of a run (tests/ci_rules.py), proved on runs of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # starts real processes

ROOT = Path(__file__).parents[2]
SKIPPED = "import pytest\ndef test_it():\n    pytest.skip('no reader here')\n"
SKIPPED_MODULE = "import pytest\npytest.importorskip('no_such_package')\n"
HARDWARE = "import pytest\n@pytest.mark.hardware\ndef test_it():\n    pytest.skip('no bench')\n"
MANY = """
import os, pytest
@pytest.mark.parametrize("turn", range(6))
def test_it(turn, request):
    marked = request.node.get_closest_marker("serial") is not None
    print("worker:", os.environ["PYTEST_XDIST_WORKER"], "serial:", marked)
"""
READERS = "import pytest\n@pytest.fixture\ndef pcsc_daemon(): ...\ndef test_it(pcsc_daemon): ...\n"
SEEDED = "def test_it(seed):\n    assert False, f'got {seed}'\n"


def run(
    directory: Path, text: str, *arguments: str, name: str = "test_one.py", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one test file with nothing but the rules loaded."""
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)
    (directory / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    hardware: devices\n    serial: alone\n    pcsc: readers\n"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "CAMPUS_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.ci_rules", "-p", "no:cacheprovider", name, *arguments],
        cwd=directory,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("text", [SKIPPED, SKIPPED_MODULE], ids=["test", "module"])
def test_a_skip_is_a_skip_on_a_desk_and_a_failure_in_ci(tmp_path: Path, text: str) -> None:
    at_desk = run(tmp_path, text)
    assert "1 skipped" in at_desk.stdout, at_desk.stdout

    in_ci = run(tmp_path, text, CI="true")
    assert in_ci.returncode != 0
    assert "nothing may be skipped" in in_ci.stdout, in_ci.stdout


def test_a_test_of_real_devices_may_be_skipped_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, HARDWARE, CI="true")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout


def test_a_random_test_tells_its_seed_and_repeats_with_it(tmp_path: Path) -> None:
    def seed_of(done: subprocess.CompletedProcess[str]) -> str:
        return done.stdout.split("seed of this test: ")[1].split(";")[0]

    first = run(tmp_path, SEEDED, CAMPUS_SEED="17")
    assert seed_of(run(tmp_path, SEEDED, CAMPUS_SEED="17")) == seed_of(first)
    assert seed_of(run(tmp_path, SEEDED, CAMPUS_SEED="18")) != seed_of(first)
    assert "seed: 17 (repeat with CAMPUS_SEED" in first.stdout


@pytest.mark.parametrize(("name", "serial"), [("tests/kill/test_one.py", True), ("tests/test_one.py", False)])
def test_serial_tests_share_one_worker_and_others_are_spread(tmp_path: Path, name: str, serial: bool) -> None:
    done = run(tmp_path, MANY, "-n", "2", "-rP", name=name)
    assert "6 passed" in done.stdout, done.stdout
    seen = [line.split() for line in done.stdout.splitlines() if line.startswith("worker:")]
    assert len(seen) == 6
    assert len({worker for _, worker, _, _ in seen}) == (1 if serial else 2)
    assert {marked for _, _, _, marked in seen} == {str(serial)}


def test_tests_with_readers_share_one_worker_whatever_file_they_are_in(tmp_path: Path) -> None:
    (tmp_path / "test_pcsc_too.py").write_text(MANY)
    done = run(tmp_path, MANY, "-n", "2", "-rP", "test_pcsc_too.py", name="test_pcsc.py")
    assert "12 passed" in done.stdout, done.stdout
    assert len({line.split()[1] for line in done.stdout.splitlines() if line.startswith("worker:")}) == 1


def test_a_test_with_a_reader_is_marked_so_and_says_so_in_its_name(tmp_path: Path) -> None:
    done = run(tmp_path, READERS, "-m", "pcsc", name="test_pcsc.py")
    assert "1 passed" in done.stdout, done.stdout
    done = run(tmp_path, READERS)
    assert done.returncode != 0
    assert "'pcsc' must stand in its name" in done.stdout + done.stderr
