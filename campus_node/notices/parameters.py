"""How terminals are to work: versions of parameters in the database; the latest wins, as a whole (A15)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from campus_node.notices.tables import parameter_versions
from campus_node.operators.canonical import canonical_json
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import NotFound, Refused


@dataclass(frozen=True, slots=True)
class Version:
    """One version as it was made.

    Args:
        version: from 1.
        effective_at_unix_ms: from when it holds; 0 = at once.
        made_at_unix_ms: when it was made.
        content: value by name; what is not named has its default.
    """

    version: int
    effective_at_unix_ms: int
    made_at_unix_ms: int
    content: Mapping[str, str]


class ParametersWait(Refused):
    """The newest version waits for its instant: what is made now could not wait for another one beside it."""


def versions(connection: Connection, limit: int) -> list[Version]:
    """Return the newest versions, newest first."""
    query = select(parameter_versions).order_by(parameter_versions.c.version.desc()).limit(limit)
    return [_version(row) for row in connection.execute(query)]


def version(connection: Connection, number: int) -> Version:
    """Return one version. Raise NotFound if there is no such."""
    row = connection.execute(select(parameter_versions).where(parameter_versions.c.version == number)).first()
    if row is None:
        raise NotFound(Sentence("there is no version {version} of the parameters", version=number))
    return _version(row)


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
    number = known.version + 1 if known is not None else 1
    connection.execute(
        insert(parameter_versions).values(
            version=number,
            effective_at_unix_ms=effective_at_unix_ms,
            content=canonical_json(wanted),
            made_at_unix_ms=now_unix_ms,
        )
    )
    result = newest(connection)
    assert result is not None, "it was just written"
    return result


def _version(row: Row[Any]) -> Version:
    return Version(row.version, row.effective_at_unix_ms, row.made_at_unix_ms, json.loads(row.content))
