"""What terminal and gateway say to each other inside an envelope, in words. Pure."""

from campus_node.lines.errors import FrameBroken
from campus_node.lines.messages import from_gateway, from_terminal
from campus_node.lines.monitor.cards import record_words, shown_asn, shown_fen
from campus_node.lines.monitor.notices import hotlist_words
from campus_node.lines.monitor.seen import Layer, Seen, message_seen
from campus_node.serving.log import masked
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire


def said_by_terminal(plaintext: bytes, *, open_asn: bool = False) -> list[Seen]:
    """Return what a terminal says, then each record of it. Nothing makes it raise."""
    try:
        message = from_terminal(plaintext)
    except FrameBroken as broken:
        return [_unreadable(broken)]
    match message.WhichOneof("body"):
        case "records":
            return _records(message.records, open_asn=open_asn)
        case "authorization":
            return [_asked(message.authorization, open_asn=open_asn)]
        case "report":
            return [_report(message.report)]
        case "time":
            return [message_seen("TimeAsked", Sentence("what time is it?"))]
        case "distribution":
            return [_distribution(message.distribution)]
        case "log":
            return [_log(message.log)]
    return [message_seen("unknown", Sentence("something that this release does not know"))]


def said_by_gateway(plaintext: bytes, *, open_asn: bool = False) -> list[Seen]:
    """Return what a gateway says. Nothing makes it raise."""
    try:
        message = from_gateway(plaintext)
    except FrameBroken as broken:
        return [_unreadable(broken)]
    match message.WhichOneof("body"):
        case "records":
            return [_taken(message.records)]
        case "authorization":
            return [_answered(message.authorization)]
        case "time":
            return [_time(message.time)]
        case "hotlist":
            words, fields = hotlist_words(message.hotlist, open_asn=open_asn)
            return [message_seen("HotlistDelta", words, **fields)]
        case "parameters":
            return [_parameters(message.parameters)]
        case "recollect":
            return [_recollect(message.recollect)]
        case "unable":
            return [_unable(message.unable)]
        case "report":
            return [message_seen("ReportAsked", Sentence("report now"))]
        case "notice":
            words = Sentence("a notice of {bytes} bytes", bytes=len(message.notice))
            return [message_seen("notice", words, bytes=len(message.notice))]
        case "block":
            return [_block(message.block)]
    return [message_seen("unknown", Sentence("something that this release does not know"))]


def _records(records: wire.Records, *, open_asn: bool) -> list[Seen]:
    last = records.first_seq + len(records.bodies) - 1
    journal = records.journal_id.hex()
    words = Sentence(
        "records {first} to {last} of journal {journal}, {waiting} wait behind them",
        first=records.first_seq,
        last=last,
        journal=journal[:8],
        waiting=records.last_seq - last,
    )
    fields: dict[str, object] = {"journal_id": journal, "first_seq": records.first_seq, "last_seq": last}
    seen = [message_seen("Records", words, **fields, recollected=records.recollected)]
    for number, body in enumerate(records.bodies, records.first_seq):
        told, more = record_words(number, body, open_asn=open_asn)
        seen.append(Seen(0.0, Layer.RECORD, "record", told, fields=more))
    return seen


def _taken(taken: wire.RecordsTaken) -> Seen:
    words = Sentence(
        "records of journal {journal} are durable through {durable}, backed up through {backed_up}",
        journal=taken.journal_id.hex()[:8],
        durable=taken.durable_through,
        backed_up=taken.backed_up_through,
    )
    verdicts = [
        {"seq": verdict.seq, "outcome": _named(wire.RecordOutcome, verdict.outcome, "RECORD_OUTCOME_")}
        for verdict in taken.verdicts
    ]
    return message_seen(
        "RecordsTaken",
        words,
        journal_id=taken.journal_id.hex(),
        durable_through=taken.durable_through,
        backed_up_through=taken.backed_up_through,
        verdicts=verdicts,
    )


def _asked(asked: wire.AuthorizationAsked, *, open_asn: bool) -> Seen:
    asn = shown_asn(asked.asn, open_asn=open_asn)
    words = Sentence("may it pay {yuan} yuan? card {asn}", yuan=shown_fen(asked.amount_fen), asn=asn or "-")
    return message_seen(
        "AuthorizationAsked",
        words,
        transfer_id=asked.transfer_id.hex(),
        asn=asn,
        amount_fen=asked.amount_fen,
        valid_for_ms=asked.valid_for_ms,
    )


def _answered(answer: wire.AuthorizationAnswered) -> Seen:
    if answer.refusal:
        words = Sentence("it may not pay: refusal {refusal}", refusal=answer.refusal)
    else:
        words = Sentence("it may pay {yuan} yuan", yuan=shown_fen(answer.amount_fen))
    fields = {
        "transfer_id": answer.transfer_id.hex(),
        "refusal": answer.refusal,
        "amount_fen": answer.amount_fen,
    }
    return message_seen("AuthorizationAnswered", words, **fields)


def _report(report: wire.TerminalReport) -> Seen:
    words = Sentence(
        "report: {selling}, {waiting} records wait, room for {free}; parameters {parameters}, "
        "firmware {firmware}",
        selling=Sentence("selling") if report.selling else Sentence("not selling"),
        waiting=max(0, report.last_seq - report.durable_through),
        free=report.free_records,
        parameters=report.parameters_version,
        firmware=report.firmware_version,
    )
    hotlists = {known.issuer.hex().upper(): known.version for known in report.hotlists}
    return message_seen(
        "TerminalReport",
        words,
        bool(report.health_code),
        selling=report.selling,
        hotlists=hotlists,
        parameters_version=report.parameters_version,
        firmware_version=report.firmware_version,
        last_seq=report.last_seq,
        durable_through=report.durable_through,
        free_records=report.free_records,
        health_code=report.health_code,
    )


def _time(told: wire.TimeTold) -> Seen:
    words = Sentence(
        "it is {ms} ms since 1970, give or take {uncertainty} ms",
        ms=told.sent_at_unix_ms,
        uncertainty=told.uncertainty_ms,
    )
    return message_seen("TimeTold", words, sent_at_unix_ms=told.sent_at_unix_ms)


def _parameters(parameters: wire.Parameters) -> Seen:
    words = Sentence(
        "parameters, version {version}, {count} values",
        version=parameters.version,
        count=len(parameters.parameters),
    )
    values = {each.name: each.value for each in parameters.parameters}
    return message_seen("Parameters", words, version=parameters.version, parameters=values)


def _recollect(wanted: wire.Recollect) -> Seen:
    words = Sentence(
        "records {first} to {last} of journal {journal} once more",
        first=wanted.first_seq,
        last=wanted.through_seq,
        journal=wanted.journal_id.hex()[:8],
    )
    fields = {"journal_id": wanted.journal_id.hex(), "first_seq": wanted.first_seq}
    return message_seen("Recollect", words, **fields, through_seq=wanted.through_seq)


def _unable(unable: wire.Unable) -> Seen:
    reason = _named(wire.UnableReason, unable.reason, "UNABLE_REASON_")
    words = Sentence("not now: {reason}, again in {ms} ms", reason=reason, ms=unable.retry_after_ms)
    return message_seen("Unable", words, reason=reason, retry_after_ms=unable.retry_after_ms)


def _block(block: wire.DistributionBlock) -> Seen:
    words = Sentence("block {number}, {bytes} bytes", number=block.number, bytes=len(block.content))
    return message_seen("DistributionBlock", words, hash=block.hash.hex(), number=block.number)


def _distribution(report: wire.DistributionReport) -> Seen:
    state = _named(wire.DistributionState, report.state, "DISTRIBUTION_STATE_")
    words = Sentence(
        "distribution {hash}: {state}, {stored} of {blocks} blocks",
        hash=report.hash.hex()[:8],
        state=state,
        stored=report.blocks_stored,
        blocks=report.blocks,
    )
    fields = {"hash": report.hash.hex(), "state": state, "blocks_stored": report.blocks_stored}
    return message_seen("DistributionReport", words, **fields, blocks=report.blocks)


def _log(log: wire.LogLines) -> Seen:
    lines = [masked(line) for line in log.lines]
    words = Sentence("log: {lines}", lines=" | ".join(lines))
    return message_seen("LogLines", words, lines=lines)


def _unreadable(broken: FrameBroken) -> Seen:
    words = Sentence("opened, and it cannot be read: {reason}", reason=broken.args[0])
    return message_seen("unreadable", words, True)


def _named(enum: object, number: int, prefix: str) -> str:
    """Return the name of a value; its number if this release has none for it."""
    try:
        name: str = enum.Name(number)  # type: ignore[attr-defined]  # protobuf's enums have it
    except ValueError:
        return str(number)
    return name.removeprefix(prefix).lower()
