"""A terminal's conversation with its gateway, on whatever line: session, records, questions (B3, A15).

Stepped and pure but for its journal: whoever drives it steps the line, then this, and waits until the earlier
of the two instants or until the line has something. What strangers put on the line is counted and never ends
the conversation; only a journal that fails does.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from campus_node.lines.envelope import PLAINTEXT_BYTES_MAX
from campus_node.lines.errors import (
    Forged,
    FrameBroken,
    LineDown,
    MessageSize,
    PeerGone,
    Replayed,
    SessionMissing,
    SessionSpent,
)
from campus_node.lines.handshake import PROOF
from campus_node.lines.line import HEAD, Line
from campus_node.lines.messages import from_gateway, write
from campus_node.lines.notice import NOTICE
from campus_node.lines.sessions import TerminalSession
from campus_node.terminal.journal import Journal, JournalUnwritable
from campus_node.terminal.pacing import NEVER_S, Random
from campus_node.terminal.questions import Question, Questions, TimeQuestion, ToldTime
from campus_node.terminal.upload import MESSAGE_BYTES, Recollection, Upload
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import CampusCardError, Overloaded, Refused, Tampered, Unavailable

REPORT_EVERY_S: Final = 60.0
MESSAGES_A_STEP_MAX: Final = 64
BLOCKED_S: Final = 0.5  # how long a line that takes nothing is left alone
MESSAGE_ID_MAX: Final = 0xFFFF_FFFF


class Uplink:
    """The terminal's side. Not for several threads.

    Args:
        line: whose only peer is HEAD; stays the caller's.
        session: of this terminal.
        journal: whose records go up; others append to it.
        clock: the terminal's, for its reports.
        random_bytes: jitter.
        on_gateway: told of each authentic message, when this class has done its part. What is not about
            records, questions and time (parameters, hotlists, blocks) is for others to act on.
        on_notice: told of each notice, as it goes over a line and **not yet verified**; see `notice.hear`.
        on_time: told of the time.
        report: gives what only the terminal knows of itself; journal and clock are filled in here.
        message_bytes: about how long a message with records may be, on this kind of line.
    """

    def __init__(
        self,
        line: Line,
        session: TerminalSession,
        journal: Journal,
        *,
        clock: Clock,
        random_bytes: Random,
        on_gateway: Callable[[wire.FromGateway], None],
        on_notice: Callable[[bytes], None] = lambda _: None,
        on_time: Callable[[ToldTime], None] = lambda _: None,
        report: Callable[[], wire.TerminalReport] = wire.TerminalReport,
        message_bytes: int = MESSAGE_BYTES,
    ) -> None:
        message_bytes = min(message_bytes, PLAINTEXT_BYTES_MAX)
        self.counts: Counter[str] = Counter()  # what arrived and was not taken, by why
        self.upload = Upload(journal, random_bytes, message_bytes)
        self._recollection = Recollection(journal, random_bytes, message_bytes)
        self._questions = Questions(random_bytes)
        self._time = TimeQuestion(random_bytes)
        self._line = line
        self._session = session
        self._journal = journal
        self._clock = clock
        self._on_gateway = on_gateway
        self._on_notice = on_notice
        self._on_time = on_time
        self._report = report
        self._report_due_s = -NEVER_S
        self._blocked_s = -NEVER_S
        self._last_id = 0

    @property
    def connected(self) -> bool:
        """Whether a session stands; the gateway may be away all the same."""
        return self._session.ready

    def step(self, now_s: float) -> float:
        """Do all that is due; return the instant to be called again at, at the latest. See `Stepped.step`.

        Raises:
            JournalUnwritable: the journal failed: open it again, and make another `Uplink` for it.
        """
        more = self._hear(now_s)
        self._questions.lapse(now_s)
        self._greet(now_s)
        self._speak(now_s)
        return now_s if more else max(self._due_s(now_s), now_s)

    def ask(self, asked: wire.AuthorizationAsked, now_s: float) -> Question:
        """Ask whether a card may pay; step on, and look at the question until it is `over`.

        Args:
            asked: with its transfer id, chosen and kept before; `valid_for_ms` from now on it is waited for.

        Raises:
            Overloaded: too many questions are open.
        """
        self._questions.lapse(now_s)
        if self._questions.full:
            raise Overloaded(retry_after_ms=1000)
        return self._questions.ask(asked, self._next_id(), now_s)

    def report_changed(self) -> None:
        """Report with the next step: something about the terminal has changed."""
        self._report_due_s = -NEVER_S

    def say(self, message: wire.FromTerminal, now_s: float) -> bool:
        """Say something that this class doesn't know: how a distribution stands, lines of a log.

        Returns:
            Whether the line took it. If not, or if it is lost on the way, saying it again is the caller's.

        Raises:
            MessageSize: no envelope takes it.
        """
        return self._send(message, now_s)

    def _hear(self, now_s: float) -> bool:
        """Take what arrived; return whether there may be more."""
        for _ in range(MESSAGES_A_STEP_MAX):
            try:
                received = self._line.receive(0)
            except LineDown:
                self._blocked_s = now_s + BLOCKED_S
                return False
            if received is None:
                return False
            if received.peer != HEAD:
                self.counts["foreign"] += 1
            elif received.message[:1] == bytes((NOTICE,)):
                self._on_notice(received.message)
            else:
                self._take(received.message, now_s)
        return True

    def _take(self, message: bytes, now_s: float) -> None:
        """Take one message of the line, whoever sent it. Raise JournalUnwritable only."""
        try:
            taken = self._session.take(message, now_s)
            said = from_gateway(taken.plaintext) if taken.plaintext is not None else None
            if taken.reply is not None:
                self._reply(taken.reply, now_s)
            if said is not None:
                self._heed(said, now_s)
        except JournalUnwritable:
            raise
        except CampusCardError as error:
            self.counts[_why(error)] += 1

    def _reply(self, reply: bytes, now_s: float) -> None:
        self._put(reply, now_s)
        if reply[0] == PROOF:  # from now on envelopes are of the new session
            self.counts["sessions"] += 1
            self.upload.begin()
            self._recollection.begin()
            self._questions.begin(now_s)
            self._time.begin()
            self._report_due_s = -NEVER_S

    def _heed(self, said: wire.FromGateway, now_s: float) -> None:
        match said.WhichOneof("body"):
            case "records":
                if said.records.journal_id != self._journal.journal_id:
                    self.counts["other journal"] += 1
                    return
                self.upload.take(said.answers, said.records, now_s)
                self._recollection.take(said.answers)
            case "authorization":
                self._questions.take(said.answers, said.authorization)
            case "unable":
                if not self.upload.hold(said.answers, said.unable.retry_after_ms, now_s):
                    self._questions.take(said.answers, said.unable)
            case "time":
                told = self._time.take(said.time, now_s)
                if told is not None:
                    self._on_time(told)
            case "recollect":
                if said.recollect.journal_id == self._journal.journal_id:
                    self._recollection.wanted(said.recollect.first_seq, said.recollect.through_seq)
            case "report":
                self.report_changed()
            case "notice":
                self._on_notice(said.notice)
        self._on_gateway(said)

    def _greet(self, now_s: float) -> None:
        try:
            hello = self._session.step(now_s)
        except CampusCardError:  # no number can be had now; it tries again later
            self.counts["no number"] += 1
            return
        if hello is not None:
            self._put(hello, now_s)

    def _speak(self, now_s: float) -> None:
        if not self._session.ready:
            return
        for question in self._questions.due(now_s):
            if not self._send(question.message(now_s), now_s, urgent=True):
                return
            self._questions.sent(question, now_s)
        if now_s >= self._report_due_s:
            if not self._send(wire.FromTerminal(report=self._full_report()), now_s):
                return
            self._report_due_s = now_s + REPORT_EVERY_S
        if now_s >= self._time.due_s:
            asked = self._time.message(now_s)
            if not self._send(asked, now_s):
                return
            self._time.sent(asked, now_s)
        for source in (self.upload, self._recollection):
            while (found := source.next_parcel(now_s, self._last_id % MESSAGE_ID_MAX + 1)) is not None:
                parcel, message = found
                if not self._send(message, now_s):
                    return
                if not parcel.repeated:
                    self._next_id()
                source.sent(parcel, now_s)

    def _full_report(self) -> wire.TerminalReport:
        report, journal = self._report(), self._journal
        report.clock_unix_ms = self._clock.unix_ms()
        report.journal_id = journal.journal_id
        report.last_seq = journal.last_seq
        report.durable_through = journal.durable_through
        report.backed_up_through = journal.backed_up_through
        report.free_records = max(journal.free, 0)
        return report

    def _send(self, message: wire.FromTerminal, now_s: float, *, urgent: bool = False) -> bool:
        """Seal and send a message; return whether the line took it."""
        if now_s < self._blocked_s:
            return False
        plaintext = write(message)
        try:
            envelope = self._session.seal(plaintext)
        except (SessionMissing, SessionSpent):
            return False
        return self._put(envelope, now_s, urgent=urgent)

    def _put(self, message: bytes, now_s: float, *, urgent: bool = False) -> bool:
        try:
            self._line.send(HEAD, message, urgent=urgent)
        except Overloaded as full:
            self._blocked_s = now_s + max(full.retry_after_ms / 1000, 0.01)
        except (PeerGone, LineDown):
            self._blocked_s = now_s + BLOCKED_S
        except MessageSize:  # the line takes less than its envelope: another message_bytes is needed
            self._blocked_s = now_s + BLOCKED_S
            self.counts["too long for the line"] += 1
        else:
            return True
        return False

    def _due_s(self, now_s: float) -> float:
        due_s = min(self._session.due_s, self._questions.lapse_s)
        if not self._session.ready:
            return due_s
        said_s = min(
            self._questions.due_s,
            self._report_due_s,
            self._time.due_s,
            self.upload.due_s(now_s),
            self._recollection.due_s(now_s),
        )
        return min(due_s, max(said_s, self._blocked_s))

    def _next_id(self) -> int:
        self._last_id = self._last_id % MESSAGE_ID_MAX + 1
        return self._last_id


def _why(error: CampusCardError) -> str:
    """Return under which name something that was not taken is counted."""
    match error:
        case FrameBroken():
            return "broken"
        case Forged():
            return "forged"
        case Replayed():
            return "replayed"
        case SessionMissing():
            return "unknown session"
        case Refused():
            return "refused"
        case Tampered():
            return "tampered"
        case Unavailable():
            return "unavailable"
    return "other"
