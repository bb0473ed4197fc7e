"""What one message of a terminal leads to. Pure; see docs/wire.md, "What is said inside"."""

from typing import Final, NamedTuple

from campus_node.gateway.spool_turn import Brought
from campuscard.v1 import terminal_pb2 as wire

TIME_UNCERTAINTY_MS: Final = 50  # of the gateway's own clock, kept by its operating system
RETRY_FULL_MS: Final = 30_000
RETRY_ISOLATED_MS: Final = 600_000


class Keep(NamedTuple):
    """Records for the spool; the answer follows the fsync."""

    message_id: int
    brought: Brought


class Ask(NamedTuple):
    """A question for the node."""

    message_id: int
    asked: wire.AuthorizationAsked


class Say(NamedTuple):
    """An answer that is ready."""

    message: wire.FromGateway


class Reported(NamedTuple):
    """How the terminal is, and where its journal begins for a spool that has not seen it."""

    report: wire.TerminalReport


class Progressed(NamedTuple):
    """How far a distribution has come there."""

    report: wire.DistributionReport


class Logged(NamedTuple):
    """Lines of the terminal's log."""

    lines: tuple[str, ...]


Act = Keep | Ask | Say | Reported | Progressed | Logged


def attend(terminal_id: bytes, message: wire.FromTerminal, isolated: bool, now_unix_ms: int) -> list[Act]:
    """Return what is to be done about a message that `messages.from_terminal` has checked.

    Args:
        terminal_id: whose session brought it; 6 bytes.
        isolated: it is kept off its line: it is told so, and nothing else happens.
        now_unix_ms: the gateway's clock.
    """
    if isolated:
        return [Say(unable(message.message_id, wire.UNABLE_REASON_ISOLATED, RETRY_ISOLATED_MS))]
    match message.WhichOneof("body"):
        case "records":
            records = message.records
            brought = Brought(
                terminal_id,
                records.journal_id,
                records.first_seq,
                tuple(records.bodies),
                recollected=records.recollected,
            )
            return [Keep(message.message_id, brought)]
        case "authorization":
            return [Ask(message.message_id, message.authorization)]
        case "report":
            return [Reported(message.report)]
        case "time":
            return [Say(time_told(now_unix_ms, message.message_id, message.time.asked_at_ms))]
        case "distribution":
            return [Progressed(message.distribution)]
        case "log":
            return [Logged(tuple(message.log.lines))]
    raise AssertionError("unreachable: from_terminal refuses a message about nothing")


def time_told(now_unix_ms: int, answers: int = 0, asked_at_ms: int = 0) -> wire.FromGateway:
    """Return the time, as an answer or unasked."""
    told = wire.TimeTold(
        sent_at_unix_ms=now_unix_ms, asked_at_ms=asked_at_ms, uncertainty_ms=TIME_UNCERTAINTY_MS
    )
    return wire.FromGateway(answers=answers, time=told)


def unable(answers: int, reason: wire.UnableReason.ValueType, retry_after_ms: int) -> wire.FromGateway:
    """Return the answer of a gateway that cannot do it now; nothing is decided."""
    told = wire.Unable(reason=reason, retry_after_ms=retry_after_ms)
    return wire.FromGateway(answers=answers, unable=told)
