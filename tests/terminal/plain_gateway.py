"""A gateway as plain as can be, and a terminal that may lose its power: on a line in memory, in virtual time.

The gateway keeps what it was sent by journal and number; its marks have no gaps. It may be killed, and it may
be restored from its backup, which loses everything above what it had told to be backed up.
"""

import random
from collections.abc import Callable, Iterator

from campus_node.lines.counterpart import LeasedKeys, PsamSecret
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import HEAD, Line
from campus_node.lines.memory_line import MemoryWire
from campus_node.lines.messages import from_terminal, write
from campus_node.lines.sessions import TerminalSession
from campus_node.terminal.journal import Journal, JournalFull
from campus_node.terminal.questions import ToldTime
from campus_node.terminal.uplink import Uplink
from campus_node.terminal.upload import MESSAGE_BYTES
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from federation.errors import CampusCardError, Overloaded, Unavailable
from hil_rig.torn_storage import TornStorage
from tests.lines.subject import PEER, SERIAL, TERMINAL, Counting, lease, names, psam_secret_source
from tests.terminal.disks import empty

Answer = Callable[[wire.FromTerminal], wire.FromGateway | None]


class PlainGateway:
    """The head's end. `answers` may be exchanged: what it says to what is not about records."""

    def __init__(self, line: Line, seed: str) -> None:
        self.line = line
        self.records: dict[int, bytes] = {}
        self.deliveries: list[wire.Records] = []
        self.others: list[wire.FromTerminal] = []
        self.conflicts = 0
        self.refused = 0
        self.backed_up_through = 0
        self.unable: wire.Unable | None = None
        self.deaf = False
        self.answer: Answer = lambda _: None
        self._journal_id = b""
        self._random = random.Random(seed).randbytes
        self._numbers = Counting()
        self.restart()

    def restart(self) -> None:
        """Die and come back: sessions are gone, records are not."""
        self.sessions = HeadSessions(
            LeasedKeys({SERIAL: lease()}, VirtualClock()), self._numbers, self._random
        )

    def restore(self) -> None:
        """Come back from the backup: what was not in it is gone, and marks go back."""
        self.records = {seq: body for seq, body in self.records.items() if seq <= self.backed_up_through}
        self.restart()

    @property
    def durable_through(self) -> int:
        last = self.backed_up_through
        while last + 1 in self.records:
            last += 1
        return last

    def back_up(self) -> None:
        """Cover what is durable, and say so."""
        self.backed_up_through = self.durable_through
        self.tell(self._marks(0))

    def tell(self, said: wire.FromGateway) -> None:
        """Say something, if a session stands."""
        try:
            self.line.send(PEER, self.sessions.seal(TERMINAL, write(said)))
        except Unavailable:
            return

    def step(self, now_s: float) -> None:
        while (received := self.line.receive(0)) is not None:
            if self.deaf:
                continue
            try:
                taken = self.sessions.take(received.peer, received.message, now_s)
                if taken.reply is not None:
                    self.line.send(received.peer, taken.reply)
                if taken.plaintext is not None:
                    self._hear(from_terminal(taken.plaintext))
            except Overloaded:
                continue
            except CampusCardError:
                self.refused += 1

    def _hear(self, said: wire.FromTerminal) -> None:
        if said.WhichOneof("body") != "records":
            self.others.append(said)
            if said.WhichOneof("body") == "report" and said.report.durable_through > self.durable_through:
                self._journal_id = said.report.journal_id
                self.tell(self._marks(0))  # it was restored: the terminal thinks that more is here
            answer = self.answer(said)
            if answer is not None:
                answer.answers = said.message_id
                self.tell(answer)
            return
        if self.unable is not None:
            self.tell(wire.FromGateway(answers=said.message_id, unable=self.unable))
            return
        self.deliveries.append(said.records)
        self._journal_id = said.records.journal_id
        for seq, body in enumerate(said.records.bodies, said.records.first_seq):
            self.conflicts += self.records.setdefault(seq, body) != body
        self.tell(self._marks(said.message_id))

    def _marks(self, answers: int) -> wire.FromGateway:
        taken = wire.RecordsTaken(
            journal_id=self._journal_id or bytes(16),
            durable_through=self.durable_through,
            backed_up_through=self.backed_up_through,
        )
        return wire.FromGateway(answers=answers, records=taken)


class Scene:
    """One terminal, its gateway, and the wire between them."""

    def __init__(self, seed: str = "scene", source: PsamSecret | None = None) -> None:
        self.wire = MemoryWire(seed=sum(seed.encode()))
        self.now_s = 0.0
        self.gateway = PlainGateway(self.wire.end(HEAD), seed + "g")
        self.line = self.wire.end(PEER)
        self.said: list[wire.FromGateway] = []
        self.notices: list[bytes] = []
        self.times: list[ToldTime] = []
        self.disk = empty()
        self.appended: list[bytes] = []
        self.message_bytes = MESSAGE_BYTES
        self._seed = seed
        self._lives = 0
        self._numbers = Counting()
        self._source = source or psam_secret_source()
        self.power_on()

    def power_on(self) -> None:
        """Begin a life of the terminal on the disk that the last one left."""
        self._lives += 1
        self.storage = TornStorage(self.disk)
        self.journal = Journal(self.storage)
        luck = random.Random(f"{self._seed} {self._lives}").randbytes
        self.session = TerminalSession(names(), self._source, self._numbers, luck)
        self.uplink = Uplink(
            self.line,
            self.session,
            self.journal,
            clock=VirtualClock(),
            random_bytes=luck,
            on_gateway=self.said.append,
            on_notice=self.notices.append,
            on_time=self.times.append,
            message_bytes=self.message_bytes,
        )

    def power_cut(self) -> None:
        """Lose the terminal's memory, and begin again."""
        self.disk = self.storage.after_the_cut()
        self.power_on()

    def append(self, body: bytes) -> bool:
        """Sell something; False if the journal is full."""
        try:
            self.journal.append(body)
        except JournalFull:
            return False
        self.appended.append(body)
        return True

    def run(self, seconds: float) -> None:
        """Let time pass, step by step."""
        until_s = self.now_s + seconds
        for _ in self._steps(until_s):
            pass

    def run_until(self, reached: Callable[[], bool], most_s: float = 600.0) -> None:
        """Let time pass until something holds; fail after most_s."""
        for _ in self._steps(self.now_s + most_s):
            if reached():
                return
        raise AssertionError(f"not reached in {most_s} s of virtual time")

    def _steps(self, until_s: float) -> Iterator[None]:
        turns = 0
        while self.now_s <= until_s:
            due_s = self.wire.step(self.now_s)
            self.gateway.step(self.now_s)
            due_s = min(due_s, self.uplink.step(self.now_s), self.wire.step(self.now_s))
            yield
            turns = turns + 1 if due_s <= self.now_s else 0
            assert turns < 1000, "it wants to be called again for ever, at the same instant"
            self.now_s = max(self.now_s, min(due_s, self.now_s + 1.0))
        self.now_s = until_s
