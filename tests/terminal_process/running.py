"""A real terminal process, with a hand at its card reader."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from campus_node.purse.journal_entries import Movement, State
from campus_node.terminal.directory import NewTerminal, TerminalDirectory
from campus_node.terminal.held import Held
from campus_node.terminal.journal_book import look_at, written_in
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import SystemClock
from federation.errors import Unavailable
from hil_rig.processes import CAMPUS, PYTHON, ProcessFailed, process_environment
from hil_rig.virtual.hand import order

WAIT_S = 40.0
POLL_S = 0.02
CARD_FEN = 1_000_000
PROFILES = Path(__file__).parents[2] / "hil_rig" / "profiles"


def make_terminal(
    directory: Path, chosen: Mapping[str, Mapping[str, object]] | None = None, campus: Path | None = None
) -> TerminalDirectory:
    """Make a terminal with a funded card and a PSAM in software; settings are added to."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    card = directory.parent / f"{directory.name}-card.toml"
    text = (PROFILES / "card-sm4.toml").read_text()
    card.write_text(
        text.replace(
            "balance_fen = 0\nbalance_max_fen = 100000",
            f"balance_fen = {CARD_FEN}\nbalance_max_fen = {CARD_FEN}",
        )
    )
    given: dict[str, dict[str, object]] = {
        "reader": {"name": f"soft:{card},state=card.state,hand=hand"},
        "sam": {"reader": "soft:psam,state=psam.state", "key_algorithm": "3des"},
        "till": {"mode": "keypad", "merchant_zh": "第一食堂", "shown_s": 1},
        "journal": {"capacity": 2048},
        "trust": {"clock": "machine"},
        "view": {"kind": "browser", "listen": "127.0.0.1:0"},
    }
    for section, values in (chosen or {}).items():
        given.setdefault(section, {}).update(values)
    place = TerminalDirectory(directory)
    place.create(NewTerminal("north", directory.name, given, campus), SystemClock().unix_ms())
    return place


def without_limits(place: TerminalDirectory) -> None:
    """Give a terminal parameters by which any number of small sales goes through without a question."""
    names = ("day_max_fen", "month_max_fen", "confirm_day_above_fen", "offline_card_max_fen")
    given = [wire.Parameter(name=name, value="10000000") for name in names]
    given.append(wire.Parameter(name="repeat_within_ms", value="0"))
    held = Held(place.path / "held", {}, lambda: 0)
    assert held.take_parameters(wire.Parameters(version=1, parameters=given))
    held.close()


class RunningTerminal:
    """`campus terminal run DIR`. A context manager: whatever happens inside, its processes end with it.

    Args:
        place: its directory.
        launched: with its launcher; else the terminal alone, so that a kill hits it.
    """

    def __init__(self, place: TerminalDirectory, *, launched: bool = False) -> None:
        self.place = place
        self._launched = launched
        self._clock = SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = place.path.parent / f"{place.path.name}.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    def start(self, until: Callable[[], bool] | None = None) -> None:
        """Start it and wait until it takes cards."""
        assert self._process is None, "already running"
        self.place.status_path.unlink(missing_ok=True)  # what a killed one said is no news
        program = [*CAMPUS, "terminal", "run"]
        if not self._launched:
            program = [*PYTHON, "-m", "campus_node.cli.terminal_process"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*program, str(self.place.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=process_environment({}),
                start_new_session=True,
            )
        self.wait_until(until or self.is_ready)

    def is_ready(self) -> bool:
        """Whether the running process says that it sells."""
        status = self.status()
        mine = self._launched or status.get("pid") == self.pid
        return mine and bool(status.get("running")) and status.get("state") == "selling"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def kill(self) -> None:
        """End it, and whatever it started, as a power cut would."""
        assert self._process is not None, "not started"
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(WAIT_S)
        self._process = None
        return code

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait until something holds. Raise ProcessFailed: it never did, or the process ended."""
        until_s = self._clock.monotonic_s() + timeout_s
        while not reached():
            if self._process is not None and self._process.poll() is not None:
                raise ProcessFailed(f"it ended with {self._process.returncode}:\n{self.log_tail()}")
            if self._clock.monotonic_s() > until_s:
                raise ProcessFailed(f"it never happened: {self.status()}\n{self.log_tail()}")
            self._clock.sleep(POLL_S)

    def status(self) -> dict[str, Any]:
        """Return run/status.json; empty before there is one."""
        try:
            return self.place.status()
        except Unavailable:  # not there yet
            return {}

    def hand(self, text: str) -> str:
        """Give an order to the hand at the reader."""
        return order(self.place.path / "hand", text)

    def press(self, *keys: str) -> None:
        """Press keys on the browser's screen."""
        for key in keys:
            self.ask("/key", key.encode())

    def ask(self, path: str, body: bytes | None = None) -> str:
        """Ask the browser's screen for something, as its own page would."""
        port = json.loads(self.place.ports_path.read_text())["view"]
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers={"X-Till": "1"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def sell(self, *keys: str) -> None:
        """Type an amount, lay the card, wait for the outcome, and take the card away."""
        before = self.sold()
        self.press(*keys)
        assert self.hand("lay") == "ok"
        self.wait_until(lambda: len(self.sold()) > len(before))
        assert self.hand("take") == "ok"

    def movements(self) -> list[Movement]:
        """Return the newest entry of each movement in its journal; it may run or not."""
        journal = look_at(self.place.path / self.place.settings().journal.path)
        try:
            written = [each for each in written_in(journal) if each.newest]
        finally:
            journal.close()
        return [each.content for each in written if isinstance(each.content, Movement)]

    def sold(self) -> list[Movement]:
        """Return what was paid here."""
        return [each for each in self.movements() if each.state is State.DONE]

    def log_tail(self) -> str:
        """Return the end of what it wrote about itself."""
        return self.log_path.read_bytes()[-3000:].decode(errors="replace")
