"""Starts a terminal and starts it again: the installed one, or the image in a slot, on trial or for good.

It is small on purpose and imports nothing that an image brings: it must outlive every image. An image is an
archive that Python runs; one that ends, or hangs, before it is confirmed is refused, and what ran before
runs again, without a person.
"""

import argparse
import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from campus_node.terminal.slots import INSTALLED, Boot, Slots, image_path
from federation.clock import SystemClock
from federation.errors import CampusCardError

RESTART: Final = 75
NOT_HEALTHY: Final = 76
WRONG_SETTINGS: Final = 78
STOPPING_S: Final = 20.0  # to end in peace
GRACE_S: Final = 5.0  # beyond the trial's time, in which an image says itself that it is not healthy
AGAIN_S: Final = 0.5
AGAIN_S_MAX: Final = 30.0
STEADY_S: Final = 60.0  # who ran so long did not crash at its start
INSTALLED_PROGRAM: Final = ("-m", "campus_node.cli.terminal_process")


class Launcher:
    """One terminal's.

    Args:
        directory: of the terminal.
        trial_s: how long an image may take to be healthy.
        language: passed on.
    """

    def __init__(self, directory: Path, trial_s: float, language: str) -> None:
        self._directory = directory
        self._trial_s = trial_s
        self._language = language
        self._listening, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._clock = SystemClock()
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)

    def run(self) -> int:
        """Run until told to stop; return the exit code."""
        again_s = AGAIN_S
        while not self._stopping:
            boot = self._boot()
            began_s = self._clock.monotonic_s()
            code = self._run_once(boot)
            ran_s = self._clock.monotonic_s() - began_s
            if self._is_stopping():
                return code
            if boot.on_trial:
                self._judge(boot, code)
                continue
            if code in {0, WRONG_SETTINGS}:
                return code
            if code == RESTART:
                continue
            again_s = AGAIN_S if ran_s > STEADY_S else min(again_s * 2, AGAIN_S_MAX)
            _say(f"ended with {code}; starts again in {again_s:g} s")
            self._wait(None, again_s)
        return 0

    def _boot(self) -> Boot:
        try:
            slots = Slots.open(self._directory / "firmware")
        except (CampusCardError, OSError) as error:
            _say(f"the slots cannot be read, the installed firmware runs: {error}")
            return Boot(INSTALLED, 0, on_trial=False)
        try:
            return slots.boot()
        except CampusCardError as error:
            _say(f"a trial cannot be noted, the old firmware runs: {error}")
            return slots.standing()
        finally:
            slots.close()

    def _judge(self, boot: Boot, code: int) -> None:
        """An image on trial has ended: unless it was confirmed before, it is refused."""
        try:
            slots = Slots.open(self._directory / "firmware")
            try:
                slots.fail(f"ended with {code} before it was healthy")
                if slots.state.in_use != boot.slot:
                    _say(f"firmware {boot.version} was not healthy: the one before runs again")
            finally:
                slots.close()
        except (CampusCardError, OSError) as error:
            _say(f"the end of a trial cannot be noted: {error}")  # the next boot notes it
            self._wait(None, AGAIN_S)

    def _run_once(self, boot: Boot) -> int:
        program: tuple[str, ...] = INSTALLED_PROGRAM
        if boot.slot != INSTALLED:
            program = (str(image_path(self._directory / "firmware", boot.slot)),)
        lifeline, held = os.pipe2(os.O_CLOEXEC)
        arguments = [
            str(self._directory),
            *("--slot", str(boot.slot)),
            *("--version", str(boot.version)),
            *("--lifeline", str(lifeline)),
            *("--lang", self._language),
            *(("--on-trial",) if boot.on_trial else ()),
        ]
        try:
            child = subprocess.Popen([sys.executable, "-P", *program, *arguments], pass_fds=(lifeline,))
        finally:
            os.close(lifeline)
        try:
            return self._watch(child, boot)
        finally:
            os.close(held)  # it ends by itself if it lives, and if we are killed
            if child.poll() is None:
                child.kill()
                child.wait()

    def _watch(self, child: "subprocess.Popen[bytes]", boot: Boot) -> int:
        ended = os.pidfd_open(child.pid)
        try:
            limit_s = self._trial_s + GRACE_S if boot.on_trial else None
            if not self._wait(ended, limit_s) and not self._stopping and not self._confirmed(boot):
                child.kill()
                child.wait()
                return NOT_HEALTHY
            while not self._stopping and not self._wait(ended, None):
                pass
            if self._stopping and child.poll() is None:
                child.send_signal(signal.SIGTERM)
                if not self._wait(ended, STOPPING_S, deaf=True):
                    child.kill()
            return child.wait()
        finally:
            os.close(ended)

    def _confirmed(self, boot: Boot) -> bool:
        try:
            slots = Slots.open(self._directory / "firmware")
        except (CampusCardError, OSError):
            return False
        try:
            return slots.state.in_use == boot.slot
        finally:
            slots.close()

    def _wait(self, ended: int | None, limit_s: float | None, *, deaf: bool = False) -> bool:
        """Wait for a process to end, for a signal unless deaf, or for a time; return whether it ended."""
        until_s = None if limit_s is None else self._clock.monotonic_s() + limit_s
        poll = select.poll()
        if ended is not None:
            poll.register(ended, select.POLLIN)
        if not deaf:
            poll.register(self._listening, select.POLLIN)
        while True:
            left_s = None if until_s is None else until_s - self._clock.monotonic_s()
            if left_s is not None and left_s <= 0:
                return False
            found = [descriptor for descriptor, _ in poll.poll(None if left_s is None else left_s * 1000)]
            if ended in found:
                return True
            if self._listening in found:
                os.read(self._listening, 512)
                if self._stopping:
                    return False

    def _is_stopping(self) -> bool:
        """Whether a signal has come meanwhile."""
        return self._stopping

    def _stop(self, *_about: object) -> None:
        self._stopping = True


def main() -> int:
    """Run one terminal's launcher; see `campus terminal run`."""
    parser = argparse.ArgumentParser(prog="campus_node.terminal.launcher")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--trial-s", type=float, required=True)
    parser.add_argument("--lang", default="en")
    told = parser.parse_args()
    directory: Path = told.directory.absolute()
    with Alone(directory):
        return Launcher(directory, told.trial_s, told.lang).run()


class Alone:
    """Holds a directory's lock, or ends: another one runs there."""

    def __init__(self, directory: Path) -> None:
        (directory / "run").mkdir(mode=0o700, exist_ok=True)
        self._file = os.open(directory / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("another process runs this terminal")
            sys.exit(WRONG_SETTINGS)

    def __exit__(self, *_about: object) -> None:
        os.close(self._file)


def _say(text: str) -> None:
    sys.stderr.write(f"terminal: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
