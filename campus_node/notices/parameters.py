"""How terminals are to work: versions of parameters in the database; the latest wins, as a whole (A15)."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from campus_node.notices.tables import parameter_versions
from campus_node.operators.canonical import canonical_json
from campuscard.v1 import terminal_pb2 as wire


def newest(connection: Connection) -> wire.Parameters | None:
    """Return the newest version; None if there never was one."""
    row = connection.execute(
        select(parameter_versions).order_by(parameter_versions.c.version.desc()).limit(1)
    ).first()
    if row is None:
        return None
    result = wire.Parameters(version=row.version, effective_at_unix_ms=row.effective_at_unix_ms)
    for name, value in sorted(json.loads(row.content).items()):
        result.parameters.add(name=name, value=value)
    return result


def replace(
    connection: Connection, content: Mapping[str, str], effective_at_unix_ms: int, now_unix_ms: int
) -> wire.Parameters:
    """Make a new version; the same content from the same instant on is the version that there is."""
    known = newest(connection)
    wanted = dict(sorted(content.items()))
    if (
        known is not None
        and known.effective_at_unix_ms == effective_at_unix_ms
        and {each.name: each.value for each in known.parameters} == wanted
    ):
        return known
    version = known.version + 1 if known is not None else 1
    connection.execute(
        insert(parameter_versions).values(
            version=version,
            effective_at_unix_ms=effective_at_unix_ms,
            content=canonical_json(wanted),
            made_at_unix_ms=now_unix_ms,
        )
    )
    result = newest(connection)
    assert result is not None, "it was just written"
    return result
