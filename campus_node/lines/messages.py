"""What is inside an envelope, read and checked: whatever arrives, it is a whole message or `FrameBroken`.

An honest terminal's firmware may be older, newer or wrong, so even what came out of an envelope is input.
"""

from typing import Final

from google.protobuf.message import DecodeError, Message

from campus_node.lines.envelope import PLAINTEXT_BYTES_MAX
from campus_node.lines.errors import FrameBroken, MessageSize
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire

JOURNAL_ID_BYTES: Final = 16
RECORD_BYTES_MAX: Final = 486
RECORDS_MAX: Final = 64  # in one message, and on their way to be acknowledged
SEQ_MAX: Final = (1 << 63) - 1
ASN_BYTES: Final = 10
ISSUER_BYTES: Final = 8
TRANSFER_ID_BYTES: Final = 16
PAY_CODE_BYTES_MAX: Final = 64


def write(message: Message) -> bytes:
    """Return the bytes of a message. Raise MessageSize if no envelope takes them."""
    plaintext: bytes = message.SerializeToString(deterministic=True)
    if not 1 <= len(plaintext) <= PLAINTEXT_BYTES_MAX:
        raise MessageSize(len(plaintext), PLAINTEXT_BYTES_MAX)
    return plaintext


def from_terminal(plaintext: bytes) -> wire.FromTerminal:
    """Return what a terminal says.

    Raises:
        FrameBroken: it is no such message, says nothing that we know, or a field does not fit.
    """
    message = wire.FromTerminal()
    _parse(message, plaintext)
    match message.WhichOneof("body"):
        case "records":
            _check_records(message.records)
        case "authorization":
            _check_authorization(message.authorization)
        case "report":
            _demand(len(message.report.journal_id) in {0, JOURNAL_ID_BYTES}, "TerminalReport")
            for known in message.report.hotlists:
                _demand(len(known.issuer) == ISSUER_BYTES, "TerminalReport")
        case None:
            raise _broken("FromTerminal")
    return message


def from_gateway(plaintext: bytes) -> wire.FromGateway:
    """Return what a gateway says. Raise FrameBroken as `from_terminal` does."""
    message = wire.FromGateway()
    _parse(message, plaintext)
    match message.WhichOneof("body"):
        case "records":
            marks = message.records
            _demand(len(marks.journal_id) == JOURNAL_ID_BYTES, "RecordsTaken")
            _demand(marks.backed_up_through <= marks.durable_through <= SEQ_MAX, "RecordsTaken")
        case "authorization":
            answer = message.authorization
            _demand(len(answer.transfer_id) == TRANSFER_ID_BYTES, "AuthorizationAnswered")
            _demand(answer.amount_fen >= 0, "AuthorizationAnswered")
        case "hotlist":
            check_hotlist(message.hotlist)
        case "recollect":
            wanted = message.recollect
            _demand(len(wanted.journal_id) == JOURNAL_ID_BYTES, "Recollect")
            _demand(1 <= wanted.first_seq <= wanted.through_seq <= SEQ_MAX, "Recollect")
        case None:
            raise _broken("FromGateway")
    return message


def check_hotlist(delta: wire.HotlistDelta) -> None:
    """Raise FrameBroken unless a delta can be applied by whoever has its from_version."""
    _demand(len(delta.issuer) == ISSUER_BYTES, "HotlistDelta")
    _demand(delta.from_version < delta.to_version, "HotlistDelta")
    for entry in delta.added:
        _demand(len(entry.asn) == ASN_BYTES, "HotlistDelta")
    for asn in delta.removed:
        _demand(len(asn) == ASN_BYTES, "HotlistDelta")


def _check_records(records: wire.Records) -> None:
    _demand(len(records.journal_id) == JOURNAL_ID_BYTES, "Records")
    _demand(1 <= len(records.bodies) <= RECORDS_MAX, "Records")
    last = records.first_seq + len(records.bodies) - 1
    _demand(records.first_seq >= 1 and last <= records.last_seq <= SEQ_MAX, "Records")
    for body in records.bodies:
        _demand(len(body) <= RECORD_BYTES_MAX, "Records")


def _check_authorization(asked: wire.AuthorizationAsked) -> None:
    _demand(len(asked.transfer_id) == TRANSFER_ID_BYTES, "AuthorizationAsked")
    _demand(len(asked.asn) == ASN_BYTES or (not asked.asn and bool(asked.pay_code)), "AuthorizationAsked")
    _demand(len(asked.pay_code) <= PAY_CODE_BYTES_MAX, "AuthorizationAsked")
    _demand(asked.amount_fen > 0, "AuthorizationAsked")


def _parse(message: Message, plaintext: bytes) -> None:
    try:
        message.ParseFromString(plaintext)
    except DecodeError as error:
        raise _broken(type(message).__name__) from error


def _demand(holds: bool, name: str) -> None:
    if not holds:
        raise _broken(name)


def _broken(name: str) -> FrameBroken:
    return FrameBroken(Sentence("this is no {message} that can be used", message=name))
