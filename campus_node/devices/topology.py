"""Everything that hangs on a campus as a tree, for people and as JSON. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from campus_node.devices.health import Health
from campus_node.devices.reports import DeviceReport


@dataclass(frozen=True, slots=True)
class DeviceNow:
    """One device on a line.

    Args:
        terminal_id: whose session stands there, 12 hex digits; empty = nobody proved to be there.
        current: whether its gateway is heard; if not, all this is as it was last.
        report: what it said of itself last, for JSON; empty = nothing yet.
    """

    gateway: str
    line: str
    address: int
    terminal_id: str
    health: Health
    reason: str
    since_unix_ms: int
    heard_at_unix_ms: int
    current: bool
    report: dict[str, object]

    @property
    def subject(self) -> str:
        """How alarms name it."""
        return f"{self.gateway}/{self.line}/{self.address}"


@dataclass(frozen=True, slots=True)
class LineNow:
    """One line of a gateway, with what hangs on it."""

    gateway: str
    line: str
    kind: str
    health: Health
    reason: str
    since_unix_ms: int
    bitrate: int
    received: int
    broken: int
    forged: int
    current: bool
    devices: Sequence[DeviceNow]


@dataclass(frozen=True, slots=True)
class GatewayNow:
    """One gateway, with its lines."""

    gateway: str
    health: Health
    since_unix_ms: int
    seen_at_unix_ms: int
    attached: bool
    version: str
    spool_waiting: int
    spool_size: int
    lines: Sequence[LineNow]


@dataclass(frozen=True, slots=True)
class ReportedNow:
    """One device of others, by its newest report.

    Args:
        health: SILENT once it is late, whatever its last report says.
        late: whether it has not reported for longer than it said it would.
    """

    report: DeviceReport
    health: Health
    since_unix_ms: int
    received_at_unix_ms: int
    reported_by: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """All of a campus at one instant."""

    at_unix_ms: int
    gateways: Sequence[GatewayNow]
    reported: Sequence[ReportedNow]

    def devices(self) -> Iterator[DeviceNow]:
        """Go through the devices on all lines."""
        for gateway in self.gateways:
            for line in gateway.lines:
                yield from line.devices


def find_json(topology: Topology, subject: str) -> dict[str, object] | None:
    """Return what is known of GATEWAY, GATEWAY/LINE, GATEWAY/LINE/ADDRESS or KIND/DEVICE; None = nothing."""
    found: dict[str, dict[str, object]] = {}
    for gateway in topology.gateways:
        found[gateway.gateway] = _gateway(gateway)
        for line in gateway.lines:
            found[f"{gateway.gateway}/{line.line}"] = _line(line)
    found |= {device.subject: device_json(device) for device in topology.devices()}
    return found.get(subject) or next(
        (reported_json(each) for each in topology.reported if each.report.subject == subject), None
    )


def topology_json(topology: Topology) -> dict[str, object]:
    """Return it as a JSON object: bytes in hex, instants in ISO 8601 UTC."""
    return {
        "at": instant(topology.at_unix_ms),
        "gateways": [_gateway(gateway) for gateway in topology.gateways],
        "reported": [reported_json(reported) for reported in topology.reported],
    }


def reported_json(reported: ReportedNow) -> dict[str, object]:
    """Return one device of others as a JSON object."""
    report = reported.report
    return {
        "device": report.device,
        "kind": report.kind,
        "health": reported.health.word,
        "since": instant(reported.since_unix_ms),
        "reported_health": report.health.word,
        "reason": report.reason,
        "place": report.place,
        "at": instant(report.at_unix_ms),
        "received_at": instant(reported.received_at_unix_ms),
        "silent_after_s": report.silent_after_s,
        "figures": [
            {"name": figure.name, "value_thousandths": figure.value_thousandths} for figure in report.figures
        ],
        "reported_by": reported.reported_by,
    }


def instant(unix_ms: int) -> str | None:
    """Return an instant as ISO 8601 UTC, to the millisecond; None for 0, which is none."""
    if unix_ms <= 0:
        return None
    return (
        datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _gateway(gateway: GatewayNow) -> dict[str, object]:
    return {
        "gateway": gateway.gateway,
        "health": gateway.health.word,
        "since": instant(gateway.since_unix_ms),
        "attached": gateway.attached,
        "seen_at": instant(gateway.seen_at_unix_ms),
        "version": gateway.version,
        "spool_waiting": gateway.spool_waiting,
        "spool_size": gateway.spool_size,
        "lines": [_line(line) for line in gateway.lines],
    }


def _line(line: LineNow) -> dict[str, object]:
    return {
        "line": line.line,
        "kind": line.kind,
        "health": line.health.word,
        "reason": line.reason,
        "since": instant(line.since_unix_ms),
        "current": line.current,
        "bitrate": line.bitrate,
        "received": line.received,
        "broken": line.broken,
        "forged": line.forged,
        "devices": [device_json(device) for device in line.devices],
    }


def device_json(device: DeviceNow) -> dict[str, object]:
    """Return one device on a line as a JSON object."""
    return {
        "address": device.address,
        "terminal_id": device.terminal_id,
        "health": device.health.word,
        "reason": device.reason,
        "since": instant(device.since_unix_ms),
        "current": device.current,
        "heard_at": instant(device.heard_at_unix_ms),
        "report": device.report,
    }
