"""PINs are asked for at the keyboard of the desk and never shown there."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cards.conftest import Desk

ANSWER_WITHIN_S = 20
OLD = "123456"  # of card-sm4; its profile has it


@dataclass(slots=True)
class Keyboard:
    """A person at a terminal who types when asked.

    Args:
        process: the command.
        terminal: our end of its terminal.
        shown: what stood on the screen so far.
    """

    process: "subprocess.Popen[bytes]"
    terminal: int
    shown: bytes = b""

    def answer(self, prompt: str, typed: str) -> None:
        """Wait for a prompt and type a line."""
        place = len(self.shown)
        while prompt.encode() not in self.shown[place:]:
            self._read()
        os.write(self.terminal, typed.encode() + b"\n")

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(ANSWER_WITHIN_S)
        while select.select([self.terminal], [], [], 0)[0]:
            self._read()
        return code

    def _read(self) -> None:
        ready, _, _ = select.select([self.terminal], [], [], ANSWER_WITHIN_S)
        assert ready, f"nothing more is shown after: {self.shown.decode()}"
        self.shown += os.read(self.terminal, 4096)


@pytest.fixture
def keyboard(desk: Desk) -> Iterator[Keyboard]:
    """`campus card pin change` at a terminal: the old PIN is in the profile, the new one is asked for."""
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "campus_node.cli", "card", "pin", "change", "--reader", desk.card()]
    with subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        yield Keyboard(process, ours)
        process.kill()
    os.close(theirs)
    os.close(ours)


def test_a_new_pin_is_asked_for_twice_and_not_shown(desk: Desk, keyboard: Keyboard) -> None:
    keyboard.answer("New PIN: ", "27182818")
    keyboard.answer("New PIN again: ", "27182818")
    assert keyboard.end() == 0
    assert b"27182818" not in keyboard.shown
    new = desk.pin_file("27182818")
    assert desk.campus("card", "pin", "verify", "--reader", desk.card(), "--pin-file", new).code == 0


def test_two_different_new_pins_change_nothing(desk: Desk, keyboard: Keyboard) -> None:
    keyboard.answer("New PIN: ", "27182818")
    keyboard.answer("New PIN again: ", "27182819")
    assert keyboard.end() == 1
    assert b"nothing was changed" in keyboard.shown
    assert b"2718281" not in keyboard.shown
    old = desk.pin_file(OLD)
    assert desk.campus("card", "pin", "verify", "--reader", desk.card(), "--pin-file", old).code == 0


def test_where_nobody_sits_a_missing_pin_is_told_and_not_waited_for(desk: Desk) -> None:
    line = [sys.executable, "-m", "campus_node.cli", "card", "pin", "change", "--reader", desk.card()]
    said = subprocess.run(
        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 1
    assert "--pin-file FILE" in said.stderr
