"""What a gateway knows of its building, between its desks and its node (B3, A10, A12).

Desks and intake call from their threads; what they say is passed to the loop that runs the link, and
everything else happens on that loop. What goes to a terminal is queued at its desk.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVarTuple

import structlog

from campus_node.gateway.alarms import Alarms
from campus_node.gateway.attendant import Act, Ask, Keep, Logged, Progressed, Reported, time_told
from campus_node.gateway.board import Board
from campus_node.gateway.desk import Expecting, LineDesk
from campus_node.gateway.fanout import Fanout
from campus_node.gateway.hooks import Distributor, Place
from campus_node.gateway.intake import Intake
from campus_node.gateway.leases import Leases
from campus_node.gateway.link import NodeLink
from campus_node.gateway.questions import Questions
from campus_node.gateway.revocations import Revocations
from campus_node.gateway.settings_lines import CanLineSettings, LineSettings, SerialLineSettings
from campus_node.gateway.shelf import Shelf
from campus_node.gateway.spool import Spool
from campus_node.gateway.spool_turn import Brought, Settled
from campus_node.lines.events import What
from campus_node.lines.line import ALL, Line, Peer
from campus_node.watch.alarms import Severity
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import CampusCardError

ROUND_EVERY_S: Final = 1.0
LOG_LINES_MAX: Final = 20
LOG_LINE_MAX: Final = 400

_log = structlog.get_logger(__name__)
Ts = TypeVarTuple("Ts")


class Parts:
    """What the building joins, set once by the composition root."""

    link: NodeLink
    intake: Intake
    distributor: Distributor | None = None


class Building:
    """See the module. Also `hooks.Building`, and the floor of desks, intake and link.

    Args:
        spool: of this gateway.
        shelf: what the node said, and alarms.
        leases: its terminals.
        lines: as set.
        clock: tells the time.
    """

    def __init__(
        self,
        spool: Spool,
        shelf: Shelf,
        leases: Leases,
        lines: Sequence[LineSettings],
        clock: Clock,
    ) -> None:
        self.parts = Parts()
        self.leases = leases
        self.desks: Mapping[str, LineDesk] = {}  # exchanged as a whole: any thread may look
        self._changing = threading.Lock()
        self.spool = spool
        self.shelf = shelf
        self.clock = clock
        self._settings = {line.name: line for line in lines}
        self._loop = asyncio.get_running_loop()
        self._alarms = Alarms(self._record)
        self.board = Board(self._alarms)
        self.questions = Questions()
        self.fanout = Fanout()
        self.revocations = Revocations()
        self.orders: dict[int, pb.OrderProgress] = {}
        self._forged: dict[str, int] = {}

    # What a distribution uses; any thread.

    def lines(self) -> Mapping[str, Line]:
        """See `hooks.Building`."""
        return {name: desk.line for name, desk in self.desks.items() if desk.down is None}

    def place_of(self, terminal_id: bytes) -> Place | None:
        """See `hooks.Building`."""
        for name, desk in self.desks.items():
            peer = desk.places.get(terminal_id)
            if peer is not None:
                return Place(name, peer)
        return None

    def planned(self, terminal_id: bytes) -> pb.RolledTerminal | None:
        """See `hooks.Building`."""
        return self.leases.find(terminal_id)

    def tell(self, terminal_id: bytes, message: wire.FromGateway) -> bool:
        """See `hooks.Building`."""
        urgent = message.WhichOneof("body") in {"authorization", "unable"}
        return any(
            desk.tell(terminal_id, message, urgent=urgent)
            for desk in self.desks.values()
            if terminal_id in desk.places
        )

    def progress(self, progress: pb.OrderProgress) -> None:
        """See `hooks.Building`."""
        self.later(self._take_progress, progress)

    def load_percent(self, line: str) -> int:
        """See `hooks.Building`."""
        return self._settings[line].load_percent

    # The floor of the desks; their threads.

    def isolated(self, terminal_id: bytes) -> bool:
        return self.leases.isolated(terminal_id)

    def acted(self, line: str, terminal_id: bytes, act: Act) -> None:
        match act:
            case Keep():
                self.parts.intake.keep(line, act)
            case Reported(report):
                if report.journal_id:
                    self.parts.intake.begins(line, terminal_id, report.journal_id, report.backed_up_through)
                self.later(self._reported, terminal_id, report)
            case Ask(message_id, asked):
                self.later(self._asked, terminal_id, message_id, asked)
            case Progressed(report):
                if self.parts.distributor is not None:
                    self.parts.distributor.heard(terminal_id, report)
            case Logged(lines):
                for text in lines[:LOG_LINES_MAX]:
                    _log.info("terminal.log", terminal=terminal_id.hex().upper(), text=text[:LOG_LINE_MAX])

    def began(self, line: str, peer: Peer, terminal_id: bytes) -> None:
        desk = self.desks.get(line)
        if desk is not None:
            desk.tell(terminal_id, time_told(self.clock.unix_ms()))
        self.later(self._began, line, peer, terminal_id)

    def stranger(self, line: str, peer: Peer, terminal_id: bytes, why: str) -> None:
        if not self.leases.isolated(terminal_id):
            self.later(self._stranger, line, peer, terminal_id, why)

    # The floor of the intake; its thread.

    def answer(self, line: str, terminal_id: bytes, message: wire.FromGateway) -> None:
        desk = self.desks.get(line)
        if desk is None or not desk.tell(terminal_id, message):
            self.tell(terminal_id, message)

    def committed(self, settled: Sequence[tuple[Brought, Settled]]) -> None:
        self.later(self._committed, [each for each in settled if each[1].conflicts or each[1].full])

    def spool_failed(self, why: CampusCardError) -> None:
        self.later(self.alarm, "spool.failed", Severity.CRITICAL, "spool", {"why": str(why)})

    # On the loop.

    async def rounds(self) -> None:
        """Look at lines and deadlines until cancelled."""
        next_s = 0.0
        while True:
            now_s = self.clock.monotonic_s()
            for terminal_id, message in self.questions.overdue(now_s):
                self.tell(terminal_id, message)
            if now_s >= next_s:
                next_s = now_s + ROUND_EVERY_S
                self._look_at_lines(now_s)
                self._revoke_again(now_s)
                changes = self.board.changes()
                if changes.lines or changes.devices:
                    self.tell_state(changes)
            due_s = min(self.questions.due_s(), next_s)
            await asyncio.sleep(min(max(due_s - self.clock.monotonic_s(), 0.005), 0.05))

    def line_is(self, settings: LineSettings, desk: LineDesk | None, failure: str = "") -> None:
        """Note that a line is open, or that it is not; any thread."""
        with self._changing:
            others = {name: each for name, each in self.desks.items() if name != settings.name}
            self.desks = others if desk is None else {**others, settings.name: desk}
        self.later(self._line_is, settings, failure)

    def plan(self) -> None:
        """Tell lines who should be there: the roll came, or one of them opened before it."""
        for name, desk in self.desks.items():
            if isinstance(desk.line, Expecting):
                desk.line.expect(self.leases.addresses_on(name))

    def _line_is(self, settings: LineSettings, failure: str) -> None:
        self.plan()
        self.board.line_is(settings.name, settings.kind, _bitrate(settings), failure)
        if failure:
            self.revocations.closed(settings.name)
            self.alarm("line.down", Severity.SERIOUS, settings.name, {"why": failure})
        else:
            self.revocations.opened(settings.name, self.clock.monotonic_s())

    def _look_at_lines(self, now_s: float) -> None:
        now_unix_ms = self.clock.unix_ms()
        for name, desk in self.desks.items():
            counts = desk.counts
            self.board.counted(name, counts.received, counts.broken, counts.forged)
            self.board.heard(name, dict(desk.heard_unix_ms), now_unix_ms)
            events = desk.line.events()
            self.board.happened(name, events, now_s)
            if any(event.what in {What.BUS_BACK, What.CLEAR} for event in events):
                self.revocations.opened(name, now_s)
            if counts.forged > self._forged.get(name, 0):
                self.board.forged(name, counts.forged - self._forged.get(name, 0), now_s)
            self._forged[name] = counts.forged

    def _revoke_again(self, now_s: float) -> None:
        for name, notices in self.revocations.due(now_s, self.clock.unix_ms()).items():
            for notice in notices:
                self.spread(name, notice, urgent=True)

    def spread(self, line: str, notice: bytes, *, urgent: bool) -> None:
        """Say a notice to all on a line, if that can be now; who reports an older version is told again."""
        desk = self.desks.get(line)
        try:
            if desk is not None:
                desk.line.send(ALL, notice, urgent=urgent)
        except CampusCardError as error:
            _log.warning("notice.not_sent", line=line, why=str(error))

    def tell_state(self, state: pb.GatewayState) -> None:
        """Tell the node how lines and devices are."""
        spool = self.spool.state
        state.spool_waiting, state.spool_size = spool.waiting, spool.size
        self.parts.link.send(pb.GatewayToNode(state=state))

    def _take_progress(self, progress: pb.OrderProgress) -> None:
        self.orders[progress.order] = progress
        self.parts.link.send(pb.GatewayToNode(progress=progress))

    def _asked(self, terminal_id: bytes, message_id: int, asked: wire.AuthorizationAsked) -> None:
        link = self.parts.link
        outcome = self.questions.ask(
            terminal_id, asked, message_id, self.clock.monotonic_s(), node_there=link.there
        )
        match outcome:
            case pb.ForwardedAuthorization():
                link.send(pb.GatewayToNode(authorization=outcome))
            case wire.FromGateway():
                self.tell(terminal_id, outcome)

    def _reported(self, terminal_id: bytes, report: wire.TerminalReport) -> None:
        self.board.reported(terminal_id, report, self.fanout.behind(report))
        for message in self.fanout.lacking(terminal_id, report):
            self.tell(terminal_id, message)

    def _began(self, line: str, peer: Peer, terminal_id: bytes) -> None:
        self.board.began(line, peer, terminal_id, self.clock.monotonic_s(), self.clock.unix_ms())
        for name, desk in self.desks.items():
            if name != line and terminal_id in desk.places:
                desk.end_session(terminal_id)
        parameters = self.fanout.parameters_of(terminal_id)
        if parameters is not None:
            self.tell(terminal_id, wire.FromGateway(report=wire.ReportAsked()))

    def _stranger(self, line: str, peer: Peer, terminal_id: bytes, why: str) -> None:
        self.board.stranger(line, peer, terminal_id, why, self.clock.monotonic_s())

    def _committed(self, odd: Sequence[tuple[Brought, Settled]]) -> None:
        self.parts.link.wake()
        for brought, settled in odd:
            terminal = brought.terminal_id.hex().upper()
            if settled.full:
                self.alarm("spool.full", Severity.CRITICAL, "spool", {"size": self.spool.state.size})
            else:
                evidence = {"journal": brought.journal_id.hex().upper(), "seqs": settled.conflicts}
                self.alarm("record.conflict", Severity.CRITICAL, terminal, evidence)

    def end_session(self, terminal_id: bytes) -> None:
        """End a terminal's session wherever it is."""
        for desk in self.desks.values():
            if terminal_id in desk.places:
                desk.end_session(terminal_id)

    def alarm(self, name: str, severity: Severity, subject: str, evidence: Mapping[str, object]) -> None:
        """Tell people something; the same again a minute later at the earliest."""
        self._alarms.tell(name, severity, subject, evidence, self.clock.monotonic_s())

    def _record(self, name: str, severity: Severity, subject: str, evidence: Mapping[str, object]) -> None:
        _log.warning(
            "alarm", name=name, severity=severity.name, subject=subject, evidence=json.dumps(evidence)
        )
        self.shelf.add_alarm(name, severity.name.lower(), subject, evidence, self.clock.unix_ms())
        self.parts.link.wake()

    def later(self, call: Callable[[*Ts], object], *arguments: *Ts) -> None:
        """Have something done on the loop; any thread."""
        with suppress(RuntimeError):  # the loop has ended: this process stops
            self._loop.call_soon_threadsafe(call, *arguments)


def _bitrate(settings: LineSettings) -> int:
    if isinstance(settings, CanLineSettings):
        return settings.bitrate
    return settings.baud if isinstance(settings, SerialLineSettings) else 0
