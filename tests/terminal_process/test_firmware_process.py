"""New firmware in a real terminal process: what is not healthy falls back by itself, and says so."""

import io
import zipfile
from pathlib import Path

import pytest

from campus_node.terminal.slots import Slots
from tests.terminal_process.running import RunningTerminal, make_terminal

pytestmark = pytest.mark.slow

GOOD = "import sys\nfrom campus_node.cli.terminal_process import main\nsys.exit(main())\n"
ENDS = "raise SystemExit(3)\n"
ENDS_WELL = "raise SystemExit(0)\n"
HANGS = "import signal\nsignal.pause()\n"
CRASHES_LATER = "import os, threading\nthreading.Timer(0.5, os.abort).start()\n" + GOOD
FIRMWARE = {"firmware": {"alone_s": 2, "trial_s": 6, "idle_s": 1}}


def image_of(program: str) -> bytes:
    """Return an archive that Python runs."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), program)  # no date: the same again is the same
    return content.getvalue()


def store(directory: Path, program: str, version: int) -> None:
    slots = Slots.open(directory / "firmware")
    assert slots.store(image_of(program), version)
    slots.close()


def runs(till: RunningTerminal, version: int, *, on_trial: bool) -> bool:
    firmware = till.status().get("firmware", {})
    return till.is_ready() and (firmware["version"], firmware["on_trial"]) == (version, on_trial)


def test_a_healthy_image_is_confirmed_and_runs_after_a_kill(tmp_path: Path) -> None:
    place = make_terminal(tmp_path / "till-1", FIRMWARE)
    store(place.path, GOOD, 7)
    with RunningTerminal(place, launched=True) as till:
        till.start()
        till.wait_until(lambda: runs(till, 7, on_trial=True))
        till.wait_until(lambda: "firmware.confirmed" in till.log_tail())
        till.sell("5")
        till.kill()
        till.start(until=lambda: runs(till, 7, on_trial=False))
        assert till.status()["firmware"]["slot"] == 1
        assert till.terminate() == 0
    assert [sold.amount_fen for sold in till.sold()] == [500]


@pytest.mark.parametrize(
    "program",
    [ENDS, ENDS_WELL, HANGS, CRASHES_LATER],
    ids=["ends at once", "ends as if told to", "hangs", "crashes later"],
)
def test_a_bad_image_falls_back_by_itself_and_the_terminal_says_so(tmp_path: Path, program: str) -> None:
    place = make_terminal(tmp_path / "till-1", FIRMWARE)
    store(place.path, program, 7)
    with RunningTerminal(place, launched=True) as till:
        till.start(until=lambda: runs(till, 1, on_trial=False))
        assert till.status()["health_code"] == 2, "its reports say that an older firmware had to run again"
        assert "firmware 7 was not healthy: the one before runs again" in till.log_tail()
        till.sell("5")
        till.kill()
        till.start(until=lambda: runs(till, 1, on_trial=False))
        slots = Slots.open(place.path / "firmware")
        assert not slots.store(image_of(program), 7), "it is refused from now on"
        slots.close()
        assert till.terminate() == 0


def test_an_image_killed_on_trial_counts_as_not_healthy(tmp_path: Path) -> None:
    place = make_terminal(tmp_path / "till-1", {"firmware": {"alone_s": 600, "trial_s": 900}})
    store(place.path, GOOD, 7)
    with RunningTerminal(place, launched=True) as till:
        till.start(until=lambda: runs(till, 7, on_trial=True))
        till.kill()
        till.start(until=lambda: runs(till, 1, on_trial=False))
        assert till.terminate() == 0
