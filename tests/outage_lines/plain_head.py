"""A head of any line that keeps records by terminal in memory: for the senders alone, without a gateway."""

import os
import threading

from campus_node.lines.counterpart import LeasedKey, LeasedKeys
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import Line
from campus_node.lines.messages import from_terminal, write
from campus_node.purse.algorithm import Algorithm
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import SystemClock
from federation.errors import CampusCardError
from hil_rig.senders.order import SenderOrder
from tests.lines.subject import LATER, Counting

CLOCK = SystemClock()


def leases(terminals: list[SenderOrder]) -> dict[bytes, LeasedKey]:
    """Return the session keys of these terminals, by the serial number of their PSAMs."""
    return {
        bytes.fromhex(who.psam_serial): LeasedKey(
            bytes.fromhex(who.terminal_id),
            who.usage,
            who.key_version,
            Algorithm.TDES,
            bytes.fromhex(who.session_key),
            LATER,
        )
        for who in terminals
    }


class PlainHead:
    """Answers on a line that somebody drives; a context manager that runs a thread."""

    def __init__(self, line: Line, terminals: list[SenderOrder]) -> None:
        self.records: dict[bytes, dict[int, bytes]] = {}  # by journal
        self.conflicts = 0
        self.received = 0  # records, repeats too
        self._line = line
        self._sessions = HeadSessions(LeasedKeys(leases(terminals), CLOCK), Counting(), os.urandom)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "PlainHead":
        self._thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._ending.set()
        self._thread.join()

    def kept(self) -> int:
        return sum(map(len, self.records.values()))

    def _run(self) -> None:
        while not self._ending.is_set():
            received = self._line.receive(0.1)
            if received is None:
                continue
            try:
                taken = self._sessions.take(received.peer, received.message, CLOCK.monotonic_s())
                if taken.reply is not None:
                    self._line.send(received.peer, taken.reply)
                if taken.plaintext is not None and taken.terminal_id is not None:
                    answer = self._answer(from_terminal(taken.plaintext))
                    if answer is not None:
                        self._line.send(received.peer, self._sessions.seal(taken.terminal_id, write(answer)))
            except CampusCardError:
                continue

    def _answer(self, said: wire.FromTerminal) -> wire.FromGateway | None:
        if said.WhichOneof("body") != "records":
            return None
        journal = self.records.setdefault(said.records.journal_id, {})
        for seq, body in enumerate(said.records.bodies, said.records.first_seq):
            self.received += 1
            self.conflicts += journal.setdefault(seq, body) != body
        through = 0
        while through + 1 in journal:
            through += 1
        marks = wire.RecordsTaken(
            journal_id=said.records.journal_id, durable_through=through, backed_up_through=through
        )
        return wire.FromGateway(answers=said.message_id, records=marks)
