"""Table of alarms."""

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text
from sqlalchemy.dialects import sqlite

from campus_node.database.metadata import metadata

alarms = Table(
    "alarms",
    metadata,
    Column("alarm", BigInteger().with_variant(sqlite.INTEGER(), "sqlite"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),  # the gravest so far
    Column("subject", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON, of the last occurrence
    Column("occurrences", Integer, nullable=False),
    Column("first_seen_at_unix_ms", BigInteger, nullable=False),
    Column("last_seen_at_unix_ms", BigInteger, nullable=False),
    Column("acknowledged_at_unix_ms", BigInteger),
    Column("acknowledged_by", Text),
    Column("acknowledged_note", Text),
    Column("closed_at_unix_ms", BigInteger),
    Column("closed_by", Text),
)
Index(  # one open alarm a key, whoever raises it at the same instant
    "ux_alarms_open",
    alarms.c.dedupe_key,
    unique=True,
    postgresql_where=alarms.c.closed_at_unix_ms.is_(None),
    sqlite_where=alarms.c.closed_at_unix_ms.is_(None),
)
