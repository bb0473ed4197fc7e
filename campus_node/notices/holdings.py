"""Which versions terminals said that they have."""

from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from campus_node.notices.announcing import Announcing
from campus_node.notices.tables import holdings
from campuscard.v1 import terminal_pb2 as wire

PARAMETERS: Final = "parameters"  # named in every report: whoever has a row here exists


class Holding(NamedTuple):
    """A terminal, where it hangs, and its version of something; 0 = none."""

    terminal_id: bytes
    gateway: str
    version: int


def held(report: wire.TerminalReport) -> dict[str, int]:
    """Return which versions a terminal says that it has, by subject: issuers as hexadecimal digits."""
    versions = {each.issuer.hex(): each.version for each in report.hotlists}
    return versions | {PARAMETERS: report.parameters_version}


def note(saying: Announcing, gateway: str, terminal_id: bytes, report: wire.TerminalReport) -> None:
    """Keep what a terminal reported in place of what it reported before."""
    connection = saying.connection
    connection.execute(delete(holdings).where(holdings.c.terminal_id == terminal_id))
    rows = [
        {
            "terminal_id": terminal_id,
            "subject": subject,
            "gateway": gateway,
            "version": version,
            "heard_at_unix_ms": saying.now_unix_ms,
        }
        for subject, version in held(report).items()
    ]
    connection.execute(insert(holdings), rows)


def of(connection: Connection, subject: str) -> list[Holding]:
    """Return every terminal that ever reported, with its version of a subject."""
    query = select(holdings).where(holdings.c.subject.in_([subject, PARAMETERS]))
    found: dict[bytes, Holding] = {}
    for row in connection.execute(query):
        if row.subject == subject or row.terminal_id not in found:
            version = row.version if row.subject == subject else 0
            found[row.terminal_id] = Holding(row.terminal_id, row.gateway, version)
    return sorted(found.values())
