"""The board's rows. Each function works inside the caller's transaction."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from campus_node.devices.alarming import close_all, device_alarm_changes, tell
from campus_node.devices.health import Health, Part
from campus_node.devices.reports import DeviceReport, Figure
from campus_node.devices.tables import gateway_lines, gateway_states, line_devices, reported_devices
from campus_node.devices.topology import DeviceNow, GatewayNow, LineNow, ReportedNow
from campus_node.devices.wire import Line, LineDevice

_SINCE = "since_unix_ms"


class Before(NamedTuple):
    """How everything on a gateway was; devices by line and address."""

    lines: dict[str, Health]
    devices: dict[tuple[str, int], Health]


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, or replace those that have the same key."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    key = [column.name for column in table.primary_key]
    names = [column.name for column in table.columns]
    changed = {name: statement.excluded[name] for name in names if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), list(rows))


def health_before(connection: Connection, gateway: str) -> Before:
    """Return how everything on a gateway was."""
    lines = connection.execute(
        select(gateway_lines.c.line, gateway_lines.c.health).where(gateway_lines.c.gateway == gateway)
    )
    devices = connection.execute(
        select(line_devices.c.line, line_devices.c.address, line_devices.c.health).where(
            line_devices.c.gateway == gateway
        )
    )
    return Before(
        {row.line: Health(row.health) for row in lines},
        {(row.line, row.address): Health(row.health) for row in devices},
    )


def put_lines(
    connection: Connection, gateway: str, lines: Mapping[str, Line], before: Before, now_unix_ms: int
) -> None:
    """Keep lines, and tell whose health has changed."""
    since = _since(connection, gateway_lines, gateway)
    rows = []
    for line in lines.values():
        changed = before.lines.get(line.line) is not line.health
        rows.append(
            line._asdict()
            | {"gateway": gateway, _SINCE: now_unix_ms if changed else since.get((line.line,), now_unix_ms)}
        )
        if changed:
            evidence: dict[str, object] = {"kind": line.kind, "reason": line.reason}
            tell(connection, Part.LINE, f"{gateway}/{line.line}", line.health, evidence, now_unix_ms)
    put(connection, gateway_lines, rows)


def put_devices(
    connection: Connection,
    gateway: str,
    told: Mapping[tuple[str, int], LineDevice],
    before: Before,
    lines_now: Mapping[str, Health],
    now_unix_ms: int,
) -> None:
    """Keep devices, and tell whose health has changed, or speaks for itself again because its line is up."""
    since = _since(connection, line_devices, gateway)
    rows = []
    for place, device in told.items():
        changed = before.devices.get(place) is not device.health
        at = now_unix_ms if changed else since.get(place, now_unix_ms)
        rows.append(device._asdict() | {"gateway": gateway, _SINCE: at})
    put(connection, line_devices, rows)
    for place in told.keys() | before.devices.keys():
        line = place[0]
        health = told[place].health if place in told else before.devices[place]
        if device_alarm_changes(
            before.lines.get(line), before.devices.get(place), lines_now.get(line), health
        ):
            evidence = _device_evidence(told.get(place))
            subject = f"{gateway}/{line}/{place[1]}"
            tell(connection, Part.DEVICE, subject, health, evidence, now_unix_ms)


def remove_missing(
    connection: Connection,
    gateway: str,
    before: Before,
    lines: Collection[str],
    places: Collection[tuple[str, int]],
    now_unix_ms: int,
) -> Before:
    """Forget lines and devices that are not among these, and their alarms; return how the rest was."""
    for line, address in before.devices.keys() - set(places):
        here = line_devices.c.line == line, line_devices.c.address == address
        connection.execute(delete(line_devices).where(line_devices.c.gateway == gateway, *here))
        close_all(connection, Part.DEVICE, f"{gateway}/{line}/{address}", now_unix_ms)
    for line in before.lines.keys() - set(lines):
        its_row = gateway_lines.c.line == line
        connection.execute(delete(gateway_lines).where(gateway_lines.c.gateway == gateway, its_row))
        close_all(connection, Part.LINE, f"{gateway}/{line}", now_unix_ms)
    return Before(
        {line: health for line, health in before.lines.items() if line in lines},
        {place: health for place, health in before.devices.items() if place in places},
    )


def put_report(
    connection: Connection, key: str, report: DeviceReport, before: ReportedNow | None, now_unix_ms: int
) -> None:
    """Keep the newest report of a device, and tell its health if it has changed."""
    changed = before is None or before.health is not report.health
    row: dict[str, object] = {
        "kind": report.kind,
        "device": report.device,
        "health": report.health,
        "reason": report.reason,
        "place": report.place,
        "at_unix_ms": report.at_unix_ms,
        _SINCE: now_unix_ms if changed or before is None else before.since_unix_ms,
        "received_at_unix_ms": now_unix_ms,
        "silent_after_s": report.silent_after_s,
        "silent_since_unix_ms": None,
        "figures": json.dumps([[figure.name, figure.value_thousandths] for figure in report.figures]),
        "reported_by": key,
    }
    put(connection, reported_devices, [row])
    if changed and not (before is None and report.health is Health.WELL):
        evidence: dict[str, object] = {"reason": report.reason, "place": report.place, "reported_by": key}
        tell(connection, Part.DEVICE, report.subject, report.health, evidence, now_unix_ms)


def reported(
    connection: Connection, subjects: Sequence[tuple[str, str]] | None = None
) -> dict[tuple[str, str], ReportedNow]:
    """Return devices of others by kind and name: all, or these."""
    query = select(reported_devices).order_by(reported_devices.c.kind, reported_devices.c.device)
    if subjects is not None:
        query = query.where(
            reported_devices.c.kind.in_({kind for kind, _ in subjects}),
            reported_devices.c.device.in_({device for _, device in subjects}),
        )
    found = {}
    for row in connection.execute(query):
        figures = tuple(Figure(name, value) for name, value in json.loads(row.figures))
        report = DeviceReport(
            row.device,
            row.kind,
            Health(row.health),
            row.at_unix_ms,
            row.reason,
            row.silent_after_s,
            figures,
            row.place,
        )
        silent = row.silent_since_unix_ms
        found[row.kind, row.device] = ReportedNow(
            report,
            report.health if silent is None else Health.SILENT,
            row.since_unix_ms if silent is None else silent,
            row.received_at_unix_ms,
            row.reported_by,
            silent is not None,
        )
    return found


def count_of_key(connection: Connection, key: str) -> int:
    """Return how many devices a key was the last to report."""
    query = select(func.count()).select_from(reported_devices).where(reported_devices.c.reported_by == key)
    return int(connection.execute(query).scalar_one())


def mark_late(connection: Connection, device: ReportedNow, now_unix_ms: int) -> None:
    """Take that a device of others has not reported for too long."""
    report = device.report
    connection.execute(
        update(reported_devices)
        .where(reported_devices.c.kind == report.kind, reported_devices.c.device == report.device)
        .values(silent_since_unix_ms=now_unix_ms)
    )
    evidence: dict[str, object] = {
        "place": report.place,
        "last_report_at_unix_ms": report.at_unix_ms,
        "last_health": report.health.word,
        "silent_after_s": report.silent_after_s,
    }
    tell(connection, Part.DEVICE, report.subject, Health.SILENT, evidence, now_unix_ms)


def gateways(connection: Connection) -> list[GatewayNow]:
    """Return all gateways with their lines and devices."""
    states = connection.execute(select(gateway_states).order_by(gateway_states.c.gateway)).all()
    heard = {row.gateway: row.health != Health.SILENT for row in states}
    devices: dict[tuple[str, str], list[DeviceNow]] = {}
    order = (line_devices.c.gateway, line_devices.c.line, line_devices.c.address)
    for row in connection.execute(select(line_devices).order_by(*order)):
        terminal = "" if row.terminal_id is None else bytes(row.terminal_id).hex().upper()
        device = DeviceNow(
            row.gateway,
            row.line,
            row.address,
            terminal,
            Health(row.health),
            row.reason,
            row.since_unix_ms,
            row.heard_at_unix_ms,
            heard.get(row.gateway, False),
            json.loads(row.report),
        )
        devices.setdefault((row.gateway, row.line), []).append(device)
    lines = _lines(connection, devices, heard)
    return [
        GatewayNow(
            row.gateway,
            Health(row.health),
            row.since_unix_ms,
            row.seen_at_unix_ms,
            row.attached,
            row.version,
            row.spool_waiting,
            row.spool_size,
            lines.get(row.gateway, []),
        )
        for row in states
    ]


def _lines(
    connection: Connection, devices: dict[tuple[str, str], list[DeviceNow]], heard: Mapping[str, bool]
) -> dict[str, list[LineNow]]:
    lines: dict[str, list[LineNow]] = {}
    for row in connection.execute(
        select(gateway_lines).order_by(gateway_lines.c.gateway, gateway_lines.c.line)
    ):
        line = LineNow(
            row.gateway,
            row.line,
            row.kind,
            Health(row.health),
            row.reason,
            row.since_unix_ms,
            row.bitrate,
            row.received,
            row.broken,
            row.forged,
            heard.get(row.gateway, False),
            devices.get((row.gateway, row.line), []),
        )
        lines.setdefault(row.gateway, []).append(line)
    return lines


def _since(connection: Connection, table: Table, gateway: str) -> dict[tuple[object, ...], int]:
    keys = [column for column in table.primary_key if column.name != "gateway"]
    query = select(*keys, table.c[_SINCE]).where(table.c.gateway == gateway)
    return {tuple(row[:-1]): int(row[-1]) for row in connection.execute(query)}


def _device_evidence(device: LineDevice | None) -> dict[str, object]:
    if device is None:
        return {}
    terminal = "" if device.terminal_id is None else device.terminal_id.hex().upper()
    return {
        "reason": device.reason,
        "terminal_id": terminal,
        "heard_at_unix_ms": device.heard_at_unix_ms,
    }
