"""What a node does with what a gateway says: the work of each message, on a thread that may wait."""

import json
from dataclasses import dataclass, field
from typing import Final

import structlog

from campus_node.devices.board import DeviceBoard
from campus_node.notices.announcing import Told
from campus_node.notices.desk import NoticeDesk
from campus_node.records.intake import Intake
from campus_node.records.spooled import Marks, Missing, Spooled
from campus_node.serving.metrics import NodeMetrics
from campus_node.serving.rolls import Rolls
from campus_node.watch.alarms import Alarm, Severity, parse_severity
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import Refused, Unreadable

RECOLLECT_MAX: Final = 32  # asked for at once
MISSING_LOOKED_S: Final = 10.0  # how often missing records are looked for
TEXT_CHARS_MAX: Final = 200
EVIDENCE_CHARS_MAX: Final = 4_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Attached:
    """One gateway's stream as the desk sees it.

    Args:
        gateway: its name.
        certificate_pem: with which it is connected.
        spool_id: which spool it has.
        marks: how far that is.
        roll_version: of the roll that it was sent.
        told: mark of the last announcement that it was sent.
        missing_looked_s: when missing records were last looked for; monotonic.
    """

    gateway: str
    certificate_pem: bytes
    spool_id: bytes = b""
    marks: Marks = field(default=Marks(0, 0))
    roll_version: int = 0
    told: int = 0
    missing_looked_s: float = float("-inf")


class GatewayDesk:
    """Does the work of all streams. Every method waits for the database: call it on a thread.

    Args:
        intake: where records come in.
        rolls: who is served.
        board: how devices are.
        notices: what terminals are told.
        clock: wall time.
        metrics: counts.
        recollect_after_ms: so long a record is missing before it is asked for again.
    """

    def __init__(
        self,
        intake: Intake,
        rolls: Rolls,
        board: DeviceBoard,
        notices: NoticeDesk,
        clock: Clock,
        metrics: NodeMetrics,
        recollect_after_ms: int,
    ) -> None:
        self._intake = intake
        self._rolls = rolls
        self._board = board
        self._notices = notices
        self._clock = clock
        self._metrics = metrics
        self._recollect_after_ms = recollect_after_ms

    def greet(self, attached: Attached, hello: pb.GatewayHello) -> list[pb.NodeToGateway]:
        """Return the welcome, the roll, and everything that the gateway is to be told.

        Raises:
            Unreadable: the hello makes no sense.
            StoreDown, OutcomeUnknown: not now.
        """
        spool = self._intake.attach(
            attached.gateway, hello.spool_id, hello.last_position, hello.oldest_position
        )
        attached.spool_id = hello.spool_id
        attached.marks = self._intake.marks(attached.gateway, hello.spool_id)
        self._board.gateway_seen(attached.gateway, self._clock.unix_ms(), hello.version[:TEXT_CHARS_MAX])
        welcome = pb.NodeWelcome(
            committed_through=attached.marks.committed_through,
            covered_through=attached.marks.covered_through,
            clock_unix_ms=self._clock.unix_ms(),
            alarms_through=spool.alarms_through,
        )
        return [pb.NodeToGateway(welcome=welcome), *self.news(attached)]

    def news(self, attached: Attached) -> list[pb.NodeToGateway]:
        """Return what a gateway has not been told yet: a roll, announcements, marks, missing records."""
        said = []
        if self._rolls.version() != attached.roll_version:
            roll = self._rolls.roll(attached.gateway, attached.certificate_pem)
            attached.roll_version = roll.version
            said.append(pb.NodeToGateway(roll=roll))
        told: Told = self._notices.told_since(attached.gateway, attached.told)
        attached.told = told.mark
        said += told.messages
        said += self._covered(attached)
        said += self._missing(attached)
        return said

    def _covered(self, attached: Attached) -> list[pb.NodeToGateway]:
        if not self._intake.covered_by_backup:
            return []  # then it is said with each commit
        marks = self._intake.marks(attached.gateway, attached.spool_id)
        if marks.covered_through > attached.marks.covered_through:
            covered = min(marks.covered_through, attached.marks.committed_through)
            attached.marks = attached.marks._replace(covered_through=covered)
            return [pb.NodeToGateway(taken=_taken(attached.marks))]
        return []

    def _missing(self, attached: Attached) -> list[pb.NodeToGateway]:
        now_s, after_ms = self._clock.monotonic_s(), self._recollect_after_ms
        if now_s - attached.missing_looked_s < min(MISSING_LOOKED_S, after_ms / 1000):
            return []
        attached.missing_looked_s = now_s
        missing = self._intake.missing(attached.gateway, after_ms, after_ms, RECOLLECT_MAX)
        return [pb.NodeToGateway(recollect=_recollect(each)) for each in missing]

    def take(self, attached: Attached, message: pb.GatewayToNode) -> pb.NodeToGateway | None:
        """Take what a gateway said, and return what it is answered; None = nothing.

        Raises:
            Unreadable: it makes no sense.
            StoreDown, OutcomeUnknown: not now; it is to be sent again.
        """
        match message.WhichOneof("body"):
            case "records":
                return self._take_records(attached, message.records)
            case "alarm":
                return self._take_alarm(attached, message.alarm)
            case "state":
                self._take_state(attached, message.state)
            case "progress":
                self._take_progress(attached, message.progress)
            case _:
                raise Unreadable("a message without anything that a gateway says")
        return None

    def gone(self, gateway: str) -> None:
        """Take that a gateway's stream has ended, and no other one of it is open."""
        self._board.gateway_gone(gateway, self._clock.unix_ms())

    def part(self, digest: bytes, offset: int) -> bytes:
        """Return a part of an image; raise NotFound."""
        return self._notices.shelf.part(digest, offset)

    def _take_records(self, attached: Attached, told: pb.SpooledRecords) -> pb.NodeToGateway:
        records = [
            Spooled(
                each.position,
                each.terminal_id,
                each.journal_id,
                each.seq,
                each.body,
                each.taken_at_unix_ms,
                each.recollected,
            )
            for each in told.records
        ]
        started_s = self._clock.monotonic_s()
        taken = self._intake.take_message(attached.gateway, attached.spool_id, records)
        self._metrics.records_taken(
            [outcome.name for outcome in taken.outcomes], self._clock.monotonic_s() - started_s
        )
        attached.marks = taken.marks
        answer = _taken(taken.marks)
        for record, outcome in zip(records, taken.outcomes, strict=True):
            answer.verdicts.add(position=record.position, outcome=outcome.value)
        self._board.gateway_seen(attached.gateway, self._clock.unix_ms())
        return pb.NodeToGateway(taken=answer)

    def _take_alarm(self, attached: Attached, told: pb.GatewayAlarm) -> pb.NodeToGateway:
        alarm = _alarm_of(attached.gateway, told)
        through = self._intake.alarm(attached.gateway, attached.spool_id, told.number, alarm)
        answer = _taken(attached.marks)
        answer.alarms_through = through
        return pb.NodeToGateway(taken=answer)

    def _take_progress(self, attached: Attached, progress: pb.OrderProgress) -> None:
        try:
            self._notices.take_progress(attached.gateway, progress)
        except Refused as error:  # an order that is no more, or not of this gateway: nothing to be repeated
            _log.warning("gateway.progress_refused", gateway=attached.gateway, why=str(error))

    def _take_state(self, attached: Attached, state: pb.GatewayState) -> None:
        self._board.take_state(attached.gateway, state, self._clock.unix_ms())
        reports: dict[bytes, wire.TerminalReport] = {
            device.terminal_id: device.report
            for device in state.devices
            if device.terminal_id and device.HasField("report")
        }
        if reports:
            self._notices.take_reports(attached.gateway, reports)


def _taken(marks: Marks) -> pb.SpoolTaken:
    return pb.SpoolTaken(committed_through=marks.committed_through, covered_through=marks.covered_through)


def _recollect(missing: Missing) -> pb.RecollectFrom:
    wanted = wire.Recollect(
        journal_id=missing.journal_id, first_seq=missing.first_seq, through_seq=missing.through_seq
    )
    return pb.RecollectFrom(terminal_id=missing.terminal_id, recollect=wanted)


def _alarm_of(gateway: str, told: pb.GatewayAlarm) -> Alarm:
    try:
        said = json.loads(told.evidence[:EVIDENCE_CHARS_MAX] or "{}")
        evidence = said if isinstance(said, dict) else {"said": said}
    except ValueError:
        evidence = {"said": told.evidence[:EVIDENCE_CHARS_MAX]}
    subject = told.subject[:TEXT_CHARS_MAX] or "gateway"
    try:
        return Alarm(
            told.name[:TEXT_CHARS_MAX],
            parse_severity(told.severity),
            f"{gateway}/{subject}",
            evidence | {"gateway": gateway, "at_unix_ms": told.at_unix_ms},
        )
    except ValueError as error:  # refused, it would come again for ever
        evidence |= {"name": told.name[:TEXT_CHARS_MAX], "why": str(error)}
        return Alarm("gateway.alarm_unreadable", Severity.WARNING, f"{gateway}/{subject}", evidence)
