"""What a gateway shows of itself: /status for people and scripts, /metrics for Prometheus (A12)."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from campus_node.gateway.building import Building
from campus_node.gateway.settings import Settings
from campus_node.gateway.settings_lines import LineSettings
from campuscard.v1 import gateway_pb2 as pb


def status_of(building: Building, settings: Settings, lines: Sequence[LineSettings]) -> dict[str, object]:
    """Return a JSON object: gateway, link, spool, lines with their devices."""
    link, state = building.parts.link, building.spool.state
    devices = building.board.devices()
    return {
        "gateway": settings.gateway.name,
        "campus": settings.gateway.campus,
        "link": {
            "up": link.there,
            "node": settings.gateway.node,
            "connections": link.connections,
            "last_failure": link.last_failure,
        },
        "spool": {
            "spool_id": state.spool_id.hex().upper(),
            "size": state.size,
            "last_position": state.last_position,
            "committed_through": state.committed_through,
            "covered_through": state.covered_through,
            "waiting": state.waiting,
        },
        "terminals": len(building.leases.terminals()),
        "roll_version": building.leases.version,
        "lines": [_line(building, line, devices) for line in lines],
    }


def make_registry(building: Building) -> CollectorRegistry:
    """Return what /metrics shows; figures are read whenever somebody asks."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)

    def watch(name: str, what: str, read: Callable[[], float]) -> None:
        Gauge(name, what, registry=registry).set_function(read)

    spool = building.spool
    watch("campus_gateway_spool_waiting", "Records that wait for the node", lambda: spool.state.waiting)
    watch("campus_gateway_spool_size", "Records that fit", lambda: spool.state.size)
    watch("campus_gateway_spool_position", "Last position given out", lambda: spool.state.last_position)
    watch("campus_gateway_link_up", "1 = the node is there", lambda: float(building.parts.link.there))
    watch(
        "campus_gateway_link_connections", "Streams since the start", lambda: building.parts.link.connections
    )
    watch("campus_gateway_lines_open", "Lines that are open", lambda: len(building.desks))
    watch(
        "campus_gateway_sessions",
        "Terminals with a session",
        lambda: sum(len(desk.places) for desk in building.desks.values()),
    )
    for what in ("received", "broken", "forged", "replayed", "unsent"):
        watch(f"campus_gateway_messages_{what}", f"Messages {what}, of all lines", _counter(building, what))
    watch("campus_gateway_fsyncs", "Turns of the spool", lambda: building.parts.intake.turns)
    return registry


def _counter(building: Building, what: str) -> Callable[[], float]:
    return lambda: sum(getattr(desk.counts, what) for desk in building.desks.values())


def _line(building: Building, settings: LineSettings, devices: Sequence[pb.DeviceState]) -> dict[str, object]:
    desk = building.desks.get(settings.name)
    state = building.board.line(settings.name)
    return {
        "line": settings.name,
        "kind": settings.kind,
        "open": desk is not None,
        "health": _health(state.health),
        "reason": state.reason,
        "received": state.received,
        "broken": state.broken,
        "forged": state.forged,
        "sessions": 0 if desk is None else len(desk.places),
        "devices": [
            {
                "address": device.address,
                "terminal": device.terminal_id.hex().upper(),
                "health": _health(device.health),
                "reason": device.reason,
                "heard_at_unix_ms": device.heard_at_unix_ms,
                "last_seq": device.report.last_seq,
                "firmware_version": device.report.firmware_version,
            }
            for device in sorted(devices, key=lambda each: each.address)
            if device.line == settings.name
        ],
    }


def _health(health: pb.Health.ValueType) -> str:
    return pb.Health.Name(health).removeprefix("HEALTH_").lower()
