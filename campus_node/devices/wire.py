"""Messages about devices, turned into what the board keeps: garbage stops here."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from campus_node.devices.health import Health
from campus_node.devices.reports import (
    REASON_CHARACTERS_MAX,
    REPORTS_MAX,
    DeviceReport,
    Figure,
)
from campuscard.v1 import gateway_pb2 as pb
from federation.errors import Unreadable

LINES_MAX: Final = 256  # of one gateway
DEVICES_MAX: Final = 16_384
COUNT_MAX: Final = 2**63 - 1  # what both databases hold
_LINE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,62}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


class Line(NamedTuple):
    """One line, as its gateway tells."""

    line: str
    kind: str
    health: Health
    reason: str
    bitrate: int
    received: int
    broken: int
    forged: int


class LineDevice(NamedTuple):
    """One device on a line, as its gateway tells. `report` is JSON."""

    line: str
    address: int
    terminal_id: bytes | None
    health: Health
    reason: str
    heard_at_unix_ms: int
    report: str


def lines_of(state: pb.GatewayState) -> dict[str, Line]:
    """Return the lines by name; raise Unreadable."""
    if len(state.lines) > LINES_MAX:
        raise Unreadable(f"{len(state.lines)} lines in one state, at most {LINES_MAX}")
    lines = {}
    for told in state.lines:
        name = _line_name(told.line)
        lines[name] = Line(
            name,
            told.kind[:16],
            _health(told.health),
            _text(told.reason),
            told.bitrate,
            _count(told.received),
            _count(told.broken),
            _count(told.forged),
        )
    return lines


def devices_of(state: pb.GatewayState) -> dict[tuple[str, int], LineDevice]:
    """Return the devices by line and address; raise Unreadable."""
    if len(state.devices) > DEVICES_MAX:
        raise Unreadable(f"{len(state.devices)} devices in one state, at most {DEVICES_MAX}")
    devices = {}
    for told in state.devices:
        name = _line_name(told.line)
        if not 1 <= told.address <= 254:
            raise Unreadable(f"{name}: address {told.address} is not 1 to 254")
        if len(told.terminal_id) not in {0, 6}:
            raise Unreadable(f"{name}/{told.address}: a terminal's number has 6 bytes")
        report = message_json(told.report) if told.HasField("report") else {}
        devices[name, told.address] = LineDevice(
            name,
            told.address,
            told.terminal_id or None,
            _health(told.health),
            _text(told.reason),
            max(0, told.heard_at_unix_ms),
            json.dumps(report, sort_keys=True),
        )
    return devices


def reports_of(request: pb.ReportRequest) -> list[DeviceReport]:
    """Return the reports of a message; `reports.require_reports` says whether they can be taken.

    Raises:
        Unreadable: more than are ever taken.
    """
    if len(request.reports) > REPORTS_MAX:
        raise Unreadable(f"a message holds 1 to {REPORTS_MAX} reports, not {len(request.reports)}")
    return [
        DeviceReport(
            told.device,
            told.kind,
            _health(told.health),
            told.at_unix_ms,
            told.reason,
            told.silent_after_s,
            tuple(Figure(figure.name, figure.value_thousandths) for figure in told.figures),
            told.place,
        )
        for told in request.reports
    ]


def message_json(message: Message) -> dict[str, object]:
    """Return all fields of a message as JSON's: bytes in upper-case hex, numbers as numbers."""
    return {field.name: _json(getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


def _json(value: Any) -> object:  # whatever a field of a message holds
    match value:
        case bytes():
            return value.hex().upper()
        case Message():
            return message_json(value)
        case bool() | int() | str() | float():
            return value
        case Mapping():
            return {str(key): _json(each) for key, each in value.items()}
        case _:
            return [_json(each) for each in value]


def _health(number: int) -> Health:
    try:
        return Health(number)
    except ValueError:
        return Health.UNSPECIFIED  # of a later release


def _line_name(name: str) -> str:
    if not _LINE_NAME.fullmatch(name):
        raise Unreadable(f"{name[:80]!r} is no line: 1 to 63 letters, digits and . _ : -")
    return name


def _text(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text)[:REASON_CHARACTERS_MAX]


def _count(number: int) -> int:
    return min(number, COUNT_MAX)
