"""The built package works on its own: in a second environment, outside the checkout."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release does."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a new environment; only what it depends on is borrowed from this one."""
    directory = tmp_path_factory.mktemp("second")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    python = directory / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ],
        check=True,
        capture_output=True,
    )
    (site,) = directory.glob("lib/python*/site-packages")
    # A path in a .pth file is searched last, and no .pth file in it is read: the checkout stays invisible.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory


def run(environment: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [environment / "bin" / command[0], *command[1:]],
        cwd=environment,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_packages_come_from_the_wheel_and_not_from_the_checkout(environment: Path) -> None:
    modules = ("campuscard.v1.ledger_pb2_grpc", "campus_node", "federation", "hil_rig")
    code = f"import importlib\nfor name in {modules}: print(importlib.import_module(name).__file__)"
    done = run(environment, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    places = done.stdout.split()
    assert len(places) == 4
    assert all(Path(place).is_relative_to(environment) for place in places), places


def test_the_command_line_explains_itself(environment: Path) -> None:
    done = run(environment, "campus", "--help")
    assert done.returncode == 0, done.stderr
    for command in ("init", "node", "pki", "ledger", "bench", "demo"):
        assert command in done.stdout


def test_a_campus_can_be_made_and_its_books_checked(environment: Path) -> None:
    """Needs the migrations, their template and the default settings: files that a wheel may forget."""
    made = run(environment, "campus", "init", "north", "--campus", "north")
    assert made.returncode == 0, made.stdout + made.stderr
    checked = run(environment, "campus", "ledger", "check", "-C", "north")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_benchmark_outside_a_checkout_says_that_it_needs_one(environment: Path) -> None:
    done = run(environment, "campus", "bench", "ledger", "--quick")
    assert done.returncode == 2
    assert "checkout" in done.stdout + done.stderr


def test_the_wheel_holds_no_tests_and_no_strangers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"campuscard", "campus_node", "federation", "hil_rig"}
