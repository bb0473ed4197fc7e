"""What the node says, and what a new stream is told first (B3, A10). All of it on the link's loop."""

import asyncio
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from campus_node.gateway.building import Building
from campus_node.lines.errors import FrameBroken
from campus_node.lines.notice import HEAD_BYTES, NOTICE
from campus_node.watch.alarms import Severity
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import CampusCardError

CLOCKS_DIFFER_MS: Final = 2_000
DELTAS: Final = "delta"
PARAMETERS: Final = "parameters"

_log = structlog.get_logger(__name__)


class NodeSide:
    """The floor of the link, see `link.LinkFloor`.

    Args:
        building: what is changed by what the node says.
        version: of the software.
    """

    def __init__(self, building: Building, version: str) -> None:
        self._building = building
        self._version = version
        shelf = building.shelf
        for content in shelf.kept(DELTAS).values():
            building.fanout.take_delta(wire.HotlistDelta.FromString(content))
        for content in shelf.kept(PARAMETERS).values():
            building.fanout.take_parameters(pb.ParametersFor.FromString(content))

    def hello(self) -> pb.GatewayHello:
        state = self._building.spool.state
        return pb.GatewayHello(
            spool_id=state.spool_id,
            last_position=state.last_position,
            oldest_position=state.oldest_position,
            version=self._version,
            clock_unix_ms=self._building.clock.unix_ms(),
            roll_version=self._building.leases.version,
        )

    def welcomed(self, welcome: pb.NodeWelcome) -> None:
        self._building.parts.intake.node_took(
            pb.SpoolTaken(
                committed_through=welcome.committed_through, covered_through=welcome.covered_through
            )
        )
        self._building.shelf.alarms_taken(welcome.alarms_through)
        differ_ms = self._building.clock.unix_ms() - welcome.clock_unix_ms
        if abs(differ_ms) > CLOCKS_DIFFER_MS:
            self._building.alarm("gateway.clock", Severity.SERIOUS, "clock", {"ahead_of_node_ms": differ_ms})
        self._building.tell_state(self._building.board.complete())
        for progress in self._building.orders.values():
            self._building.parts.link.send(pb.GatewayToNode(progress=progress))

    def parted(self) -> None:
        for terminal_id, message in self._building.questions.node_lost():
            self._building.tell(terminal_id, message)

    def alarms(self, after: int, most: int) -> list[pb.GatewayAlarm]:
        return self._building.shelf.alarms(after, most)

    async def renumber(self) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def finish(error: CampusCardError | None) -> None:
            if error is None:
                self._building.later(done.set_result, None)
            else:
                self._building.later(done.set_exception, error)

        self._building.alarm(
            "spool.put_back", Severity.CRITICAL, "spool", {"state": str(self._building.spool.state)}
        )
        self._building.parts.intake.renumber(finish)
        await done

    def told(self, message: pb.NodeToGateway) -> None:
        """Take what the node says; what cannot be used is logged and skipped."""
        try:
            self._take_from_node(message)
        except CampusCardError as error:
            _log.error("link.message_not_used", body=message.WhichOneof("body"), why=str(error))

    def _take_from_node(self, message: pb.NodeToGateway) -> None:
        match message.WhichOneof("body"):
            case "taken":
                self._building.parts.intake.node_took(message.taken)
                if message.taken.alarms_through:
                    self._building.shelf.alarms_taken(message.taken.alarms_through)
            case "authorization":
                answer = self._building.questions.answered(message.authorization)
                if answer is not None:
                    self._building.tell(message.authorization.terminal_id, answer)
            case "roll":
                self._take_roll(message.roll)
            case "notice":
                self._take_notice(message.notice)
            case "parameters":
                self._take_parameters(message.parameters)
            case "order":
                if self._building.parts.distributor is not None:
                    self._building.parts.distributor.take_order(message.order)
            case "recollect":
                wanted = message.recollect
                self._building.tell(wanted.terminal_id, wire.FromGateway(recollect=wanted.recollect))
            case "hotlists":
                self._building.fanout.take_versions(message.hotlists)
            case "isolation":
                self._isolate(message.isolation)

    def _take_roll(self, roll: pb.TerminalRoll) -> None:
        for terminal_id in self._building.leases.take(roll):
            self._building.end_session(terminal_id)
        self._building.plan()
        for terminal_id in self._building.leases.unopened:
            evidence = {"roll": roll.version}
            self._building.alarm(
                "terminal.key_not_for_us", Severity.SERIOUS, terminal_id.hex().upper(), evidence
            )
        _log.info("roll.taken", version=roll.version, terminals=len(roll.terminals))

    def _isolate(self, isolation: pb.Isolation) -> None:
        self._building.leases.isolate(isolation.terminal_id, isolation.isolated)
        self._building.board.isolated(isolation.terminal_id, isolation.isolated)
        if isolation.isolated:
            self._building.end_session(isolation.terminal_id)

    def _take_notice(self, notice: bytes) -> None:
        said = read_notice(notice)
        if said.WhichOneof("body") == "hotlist" and self._building.fanout.take_delta(said.hotlist):
            kept = {_delta_name(each): each.SerializeToString() for each in self._building.fanout.deltas()}
            self._building.shelf.keep(DELTAS, kept)
        urgent = said.WhichOneof("body") == "hotlist"
        if urgent:
            self._building.revocations.keep(notice, said.expires_at_unix_ms)
        for name in self._building.desks:
            self._building.spread(name, notice, urgent=urgent)

    def _take_parameters(self, given: pb.ParametersFor) -> None:
        if not self._building.fanout.take_parameters(given):
            return
        kept = {
            b"".join(each.terminal_ids): each.SerializeToString()
            for each in self._building.fanout.parameters()
        }
        self._building.shelf.keep(PARAMETERS, kept)
        for desk in self._building.desks.values():
            for terminal_id in list(desk.places):
                if not given.terminal_ids or terminal_id in given.terminal_ids:
                    desk.tell(terminal_id, wire.FromGateway(parameters=given.parameters))


def read_notice(notice: bytes) -> wire.Notice:
    """Return what a notice says; its signature is for the terminals. Raise FrameBroken."""
    if len(notice) <= HEAD_BYTES or notice[0] != NOTICE:
        raise FrameBroken(Sentence("this is no notice"))
    said = wire.Notice()
    try:
        said.ParseFromString(notice[HEAD_BYTES:])
    except DecodeError as error:
        raise FrameBroken(Sentence("this is no notice")) from error
    return said


def _delta_name(delta: wire.HotlistDelta) -> bytes:
    return bytes(delta.issuer) + int(delta.to_version).to_bytes(8, "big")
