"""A terminal's end in this process: the product's line, session, journal and uplink, driven by a thread."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from campus_node.lines.counterpart import PsamSecret
from campus_node.lines.reservations import FileReservation
from campus_node.lines.sessions import TerminalNames, TerminalSession
from campus_node.terminal.journal import Journal
from campus_node.terminal.questions import Question
from campus_node.terminal.uplink import Uplink
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import SystemClock
from hil_rig.senders.lines import OpenLine, open_line
from hil_rig.senders.order import SegmentLine, SenderOrder
from hil_rig.senders.sender import ISSUER, psam_of
from hil_rig.virtual.profile import load_psam_profile

WAIT_S = 30.0


class Till:
    """One terminal. A context manager that drives it.

    Args:
        directory: of its journal and numbers; the same again is the same terminal after a restart.
        line: where it hangs.
        who: it is.
    """

    def __init__(self, directory: Path, line: SegmentLine, who: SenderOrder) -> None:
        self.who = who
        self.said: list[wire.FromGateway] = []
        self.notices: list[bytes] = []
        self.report = wire.TerminalReport(selling=True)
        self._clock = SystemClock()
        self._stop, self._told = os.pipe()
        self._moved = threading.Condition()
        directory.mkdir(parents=True, exist_ok=True)
        self.journal = Journal.open(directory / f"{who.name}.journal", 1024)
        self._open = self.open_line(line, who)
        names = TerminalNames(
            bytes.fromhex(who.terminal_id), bytes.fromhex(who.psam_serial),
            who.usage, who.key_version, who.algorithm, who.address,
        )  # fmt: skip
        numbers = FileReservation.open(directory / f"{who.name}.numbers")
        source = PsamSecret(psam_of(who, load_psam_profile("psam")), ISSUER)
        self.uplink = Uplink(
            self._open.line,
            TerminalSession(names, source, numbers, os.urandom),
            self.journal,
            clock=self._clock,
            random_bytes=os.urandom,
            on_gateway=self.said.append,
            on_notice=self.notices.append,
            report=lambda: self.report,
            message_bytes=self._open.message_bytes,
        )
        self._thread = threading.Thread(target=self._run, name=who.name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        os.close(self._told)
        self._thread.join()
        self._open.line.close()
        self.journal.close()
        os.close(self._stop)

    def open_line(self, line: SegmentLine, who: SenderOrder) -> OpenLine:
        """Return its end of the line."""
        return open_line(line, who, self._clock, self._stop)

    def sell(self, count: int) -> None:
        """Append records; they go up as soon as the line takes them."""
        for _ in range(count):
            self.do(lambda: self.journal.append(b"sale %d" % (self.journal.last_seq + 1)))

    def ask(self, number: int, valid_for_ms: int = 5_000) -> Question:
        """Ask whether a card may pay, and wait until that is over."""
        asked = wire.AuthorizationAsked(
            transfer_id=bytes([number]) * 16, asn=bytes(10), amount_fen=900, valid_for_ms=valid_for_ms
        )
        asking: list[Question] = []
        self.do(lambda: asking.append(self.uplink.ask(asked, self._clock.monotonic_s())))
        self.wait_until(lambda: asking[0].over)
        return asking[0]

    def do(self, what: Callable[[], object]) -> None:
        """Do something with journal or uplink between two steps."""
        with self._moved:
            what()

    def heard(self, body: str) -> list[wire.FromGateway]:
        return [each for each in self.said if each.WhichOneof("body") == body]

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        with self._moved:
            assert self._moved.wait_for(reached, timeout_s), f"never: {self.said[-3:]}, {self.uplink.counts}"

    def _run(self) -> None:
        while self._thread_goes_on():
            now_s = self._clock.monotonic_s()
            with self._moved:
                due_s = self._open.line.step(now_s)
                due_s = min(due_s, self.uplink.step(now_s), self._open.line.step(now_s))
                self._moved.notify_all()
            self._open.wait(min(max(due_s - self._clock.monotonic_s(), 0.0), 0.02))

    def _thread_goes_on(self) -> bool:
        return not _readable(self._stop)


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 0)[0])
