"""Tables of what is to be sent and what was received, so that it takes effect exactly once."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, and_

from campus_node.database.metadata import metadata

outbox = Table(
    "outbox",
    metadata,
    Column("message", Text, primary_key=True),  # chosen by the sender; repeating it adds nothing
    Column("topic", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Column("created_at_unix_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at_unix_ms", BigInteger, nullable=False),
    Column("delivered_at_unix_ms", BigInteger),
    Column("dead_at_unix_ms", BigInteger),  # given up after the last attempt; an alarm says so
    Column("last_error", Text),
)
_waiting = and_(outbox.c.delivered_at_unix_ms.is_(None), outbox.c.dead_at_unix_ms.is_(None))
Index(
    "ix_outbox_waiting",
    outbox.c.next_attempt_at_unix_ms,
    postgresql_where=_waiting,
    sqlite_where=_waiting,
)
Index(
    "ix_outbox_delivered",
    outbox.c.delivered_at_unix_ms,
    postgresql_where=outbox.c.delivered_at_unix_ms.is_not(None),
    sqlite_where=outbox.c.delivered_at_unix_ms.is_not(None),
)

inbox = Table(
    "inbox",
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("message", Text, primary_key=True),
    Column("received_at_unix_ms", BigInteger, nullable=False),
)
Index("ix_inbox_received", inbox.c.received_at_unix_ms)
