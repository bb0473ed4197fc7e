"""The rows of gateways themselves. Each function works inside the caller's transaction."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, select

from campus_node.devices.alarming import tell
from campus_node.devices.health import Health, Part
from campus_node.devices.store import put
from campus_node.devices.tables import gateway_states


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One gateway as it is kept. `since_unix_ms` is the health's."""

    gateway: str
    health: Health
    since_unix_ms: int
    attached: bool
    seen_at_unix_ms: int
    version: str = ""
    spool_waiting: int = 0
    spool_size: int = 0


def find_gateway(connection: Connection, gateway: str) -> GatewayRow | None:
    """Return what is kept of a gateway."""
    row = connection.execute(select(gateway_states).where(gateway_states.c.gateway == gateway)).first()
    return None if row is None else _of(row)


def heard_gateways(connection: Connection) -> list[GatewayRow]:
    """Return the gateways that do not count as silent."""
    query = select(gateway_states).where(gateway_states.c.health != int(Health.SILENT))
    return [_of(row) for row in connection.execute(query)]


def put_gateway(connection: Connection, gateway: GatewayRow) -> None:
    """Keep it as it is now."""
    put(connection, gateway_states, [asdict(gateway)])


def hear_gateway(
    connection: Connection,
    gateway: str,
    now_unix_ms: int,
    *,
    version: str = "",
    spool: tuple[int, int] | None = None,
) -> None:
    """Take that a gateway is attached, and whatever else it said of itself; end its silence."""
    before = find_gateway(connection, gateway) or GatewayRow(gateway, Health.UNSPECIFIED, 0, True, 0)
    well = before.health is Health.WELL
    waiting, size = spool or (before.spool_waiting, before.spool_size)
    now = replace(
        before,
        health=Health.WELL,
        since_unix_ms=before.since_unix_ms if well else now_unix_ms,
        attached=True,
        seen_at_unix_ms=now_unix_ms,
        version=version or before.version,
        spool_waiting=waiting,
        spool_size=size,
    )
    put_gateway(connection, now)
    if not well:
        tell(connection, Part.GATEWAY, gateway, Health.WELL, {}, now_unix_ms)


def silence_gateway(connection: Connection, gateway: GatewayRow, now_unix_ms: int) -> None:
    """Take that nothing was heard of a gateway for too long: one alarm for all that hangs on it."""
    put_gateway(connection, replace(gateway, health=Health.SILENT, since_unix_ms=now_unix_ms, attached=False))
    evidence: dict[str, object] = {
        "seen_at_unix_ms": gateway.seen_at_unix_ms,
        "attached": gateway.attached,
        "spool_waiting": gateway.spool_waiting,
    }
    tell(connection, Part.GATEWAY, gateway.gateway, Health.SILENT, evidence, now_unix_ms)


def _of(row: Row[Any]) -> GatewayRow:  # columns have the types of the table
    return GatewayRow(
        row.gateway,
        Health(row.health),
        row.since_unix_ms,
        row.attached,
        row.seen_at_unix_ms,
        row.version,
        row.spool_waiting,
        row.spool_size,
    )
