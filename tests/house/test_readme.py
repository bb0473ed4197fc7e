"""The five minutes of the README, run as they stand there."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from federation.clock import SystemClock

ROOT: Final = Path(__file__).parents[2]
READY_TIMEOUT_S: Final = 60.0
ANY_PORT: Final = {
    f"CAMPUS_{section}__LISTEN": "127.0.0.1:0" for section in ("GRPC", "METRICS", "WEB", "DEVICES")
}


def terminals(readme: str) -> list[str]:
    """Return what the tour types into its two terminals, and what a card takes."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)
    return [block for block in blocks if "campus " in block]


def begin(directory: Path, script: str) -> subprocess.Popen[str]:
    """Start a terminal of somebody who gives up at the first command that fails."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("CAMPUS_", "LANG", "LC_"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    return subprocess.Popen(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=directory,
        env={**inherited, **ANY_PORT, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def second_terminal(tmp_path: Path) -> Iterator[str]:
    """Type the first block, wait for the node, and give the second block; at the end Ctrl-C is pressed."""
    first, second, _ = terminals("README.md")
    node = begin(tmp_path, first)
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + READY_TIMEOUT_S
    try:
        while not (tmp_path / "north" / "run" / "ports.json").exists():
            assert node.poll() is None, node.communicate()[0]
            assert clock.monotonic_s() < deadline_s, "the node is not ready"
            clock.sleep(0.1)
        yield second
    finally:
        if node.poll() is None:
            os.killpg(node.pid, signal.SIGINT)
        said, _ = node.communicate(timeout=READY_TIMEOUT_S)
    assert "Traceback" not in said, said


def test_both_languages_give_the_same_tour() -> None:
    def commands(readme: str) -> list[str]:
        lines = "".join(terminals(readme)).splitlines()
        return [re.sub(r"\s+#.*", "", line) for line in lines]

    assert len(commands("README.md")) > 10
    assert commands("README.md") == commands("README.zh-CN.md")


@pytest.mark.slow
def test_the_tour_does_what_it_says(second_terminal: str, tmp_path: Path) -> None:
    people = begin(tmp_path / "north", second_terminal)
    said, _ = people.communicate()
    assert people.returncode == 0, said
    balance = next(json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert balance["posted_fen"] == 3800

    (lunch,) = [line for line in second_terminal.replace("\\\n", " ").splitlines() if "lunch" in line]
    greedy = begin(tmp_path / "north", lunch.replace("1200", "9900"))
    said, _ = greedy.communicate()
    assert greedy.returncode == 1, said
    assert "INSUFFICIENT_FUNDS" in said or "funds" in said.lower(), said


def test_the_card_pays_as_the_readme_says(tmp_path: Path) -> None:
    *_, card = terminals("README.md")
    said, _ = (typed := begin(tmp_path, card)).communicate()
    assert typed.returncode == 0, said
    assert "12.00" in said
    assert "38.00" in said
    assert "INITIALIZE FOR PURCHASE" in (tmp_path / "apdu.txt").read_text()
