"""What people type unseen and read once, on a real terminal; and what happens without one."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

from tests.keys.conftest import SECRETS


def test_without_a_terminal_and_without_a_file_nothing_hangs(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "campus_node.cli", "keys", "list", "-k", "keys"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        start_new_session=True,
    )
    assert said.returncode == 1
    assert "--passphrase-file" in said.stderr


class Keyboard:
    """A terminal with somebody at it."""

    def __init__(self, arguments: list[str], directory: Path) -> None:
        self._master, slave = pty.openpty()
        self.stdout = directory / "stdout"
        with self.stdout.open("wb") as out:
            self.process = subprocess.Popen(
                ["setsid", "--ctty", "--wait", sys.executable, "-m", "campus_node.cli", *arguments],
                stdin=slave,
                stdout=out,
                stderr=slave,
                cwd=directory,
                env={**os.environ, "CAMPUS_LANG": "en"},
            )
        os.close(slave)
        self.screen = ""

    def wait_for(self, text: str, within_s: float = 60) -> str:
        """Return what was shown up to and with a text, and forget it."""
        while text not in self.screen:
            ready, _, _ = select.select([self._master], [], [], within_s)
            assert ready, self.screen
            self.screen += os.read(self._master, 4096).decode()
        shown, _, self.screen = self.screen.partition(text)
        return shown

    def type(self, text: str) -> None:
        os.write(self._master, text.encode() + b"\n")

    def end(self) -> int:
        code = self.process.wait(60)
        os.close(self._master)
        return code


def test_custodians_type_unseen_and_read_their_share_once_on_the_terminal_alone(tmp_path: Path) -> None:
    keyboard = Keyboard(
        [
            "keys",
            "ceremony",
            "new",
            "root",
            "--threshold",
            "2",
            "--custodian",
            "li",
            "--custodian",
            "wang",
            "--paper",
        ],
        tmp_path,
    )
    shown = ""
    for name in ("li", "wang"):
        for _ in range(2):
            shown += keyboard.wait_for(": ")
            keyboard.type(SECRETS[name])
    papers = []
    for name in ("li", "wang"):
        keyboard.wait_for(f"for {name} alone:")
        papers.append(keyboard.wait_for("Write it down"))
        keyboard.wait_for("again.")
        keyboard.type("")
    assert keyboard.end() == 0
    assert not [secret for secret in SECRETS.values() if secret in shown]
    lines = [re.findall(r"\d:  ((?:[0-9A-F]{2,4} ?)+)", paper) for paper in papers]
    assert [len(each) for each in lines] == [6, 6]
    out = keyboard.stdout.read_text()
    assert "root//purchase/1/sm4" in out
    assert not any(line in out for each in lines for line in each)

    reading = Keyboard(["keys", "ceremony", "verify", "root", "--from-paper", "2"], tmp_path)
    for each in lines:
        for number, line in enumerate(each, start=1):
            reading.wait_for(f"Line {number} of 6 of the share: ")
            reading.type(line)
    assert reading.end() == 0
    assert "These shares give the root of this ceremony." in reading.stdout.read_text()


def test_paper_without_a_terminal_makes_nothing(tmp_path: Path) -> None:
    for name in ("li", "wang"):
        (tmp_path / name).write_text(SECRETS[name])
    said = subprocess.run(
        [
            *(sys.executable, "-m", "campus_node.cli", "keys", "ceremony", "new", "root", "--paper"),
            *("--threshold", "2", "--custodian", "li", "--custodian", "wang"),
            *("--passphrase-file", "li", "--passphrase-file", "wang"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        start_new_session=True,
    )
    assert said.returncode == 2
    assert "needs a terminal" in said.stderr
    assert not (tmp_path / "root").exists()
