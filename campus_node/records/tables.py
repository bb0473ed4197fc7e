"""Tables of records, of the journals and spools they came from, and of what contradicts them."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text

from campus_node.database.metadata import metadata
from campus_node.records.spooled import Outcome

spools = Table(
    "spools",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("spool_id", LargeBinary(16), primary_key=True),
    Column("committed_through", BigInteger, nullable=False),
    Column("backup_through", BigInteger, nullable=False),  # what the backup that is being made will hold
    Column("covered_through", BigInteger, nullable=False),
    Column("alarms_through", BigInteger, nullable=False),  # of the gateway's alarms
    Column("first_seen_at_unix_ms", BigInteger, nullable=False),
    Column("last_seen_at_unix_ms", BigInteger, nullable=False),
)

journals = Table(
    "journals",
    metadata,
    Column("journal_id", LargeBinary(16), primary_key=True),
    Column("terminal_id", LargeBinary(6), nullable=False),  # who brought it first
    Column("gateway", Text, nullable=False),  # who brought it last
    Column("contiguous_through", BigInteger, nullable=False),  # every number up to it is here
    Column("highest_seq", BigInteger, nullable=False),
    Column("gap_since_unix_ms", BigInteger),
    Column("recollect_asked_at_unix_ms", BigInteger),
)
Index("ix_journals_terminal", journals.c.terminal_id)
_incomplete = journals.c.gap_since_unix_ms.is_not(None)
Index(
    "ix_journals_incomplete",
    journals.c.gap_since_unix_ms,
    postgresql_where=_incomplete,
    sqlite_where=_incomplete,
)

terminal_records = Table(
    "terminal_records",
    metadata,
    Column("journal_id", LargeBinary(16), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("terminal_id", LargeBinary(6), nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("origin", SmallInteger, nullable=False),
    Column("reason", Text),  # why it is in quarantine
    Column("gateway", Text, nullable=False),
    Column("taken_at_unix_ms", BigInteger, nullable=False),  # by the gateway's clock
    Column("received_at_unix_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,  # the key is the table: one tree instead of two
)
_apart = terminal_records.c.outcome == int(Outcome.QUARANTINED)
Index(
    "ix_terminal_records_quarantine",
    terminal_records.c.received_at_unix_ms,
    postgresql_where=_apart,
    sqlite_where=_apart,
)

record_conflicts = Table(
    "record_conflicts",
    metadata,
    Column("journal_id", LargeBinary(16), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of terminal_id ‖ body
    Column("terminal_id", LargeBinary(6), nullable=False),
    Column("gateway", Text, nullable=False),
    Column("received_at_unix_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
