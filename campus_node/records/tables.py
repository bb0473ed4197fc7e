"""Tables of records, of the journals and spools they came from, and of what contradicts them; of movements of
cards that were verified, and of those whose truth is not known yet."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text

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
    Column("reason", Text),  # why it is as it is; NULL and pending: nobody has looked at it yet
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
_pending = terminal_records.c.outcome == int(Outcome.PENDING)
Index(  # what is to be assessed next (no reason yet), and what waits for something
    "ix_terminal_records_pending",
    terminal_records.c.reason,
    terminal_records.c.received_at_unix_ms,
    postgresql_where=_pending,
    sqlite_where=_pending,
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

card_movements = Table(  # one row is one movement that really happened in a card: its identity is taken
    "card_movements",
    metadata,
    Column("asn", LargeBinary(10), primary_key=True),
    Column("purse", SmallInteger, primary_key=True, autoincrement=False),
    Column("line", SmallInteger, primary_key=True, autoincrement=False),  # 0 = offline counter, 1 = online
    Column("counter", Integer, primary_key=True, autoincrement=False),  # of the card, before it went up
    Column("terminal_id", LargeBinary(6), nullable=False),
    Column("terminal_seq", BigInteger, nullable=False),
    Column("transaction_type", SmallInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("balance_before_fen", BigInteger, nullable=False),  # as the card said it: a hint
    Column("balance_after_fen", BigInteger),
    Column("made_at_unix_ms", BigInteger, nullable=False),  # by the terminal's clock
    Column("meal", SmallInteger, nullable=False),  # from it; 0 = no meal
    Column("known_by", SmallInteger, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),  # of everything that MAC2 and TAC cover
    Column("journal_id", LargeBinary(16), nullable=False),  # the record that says so
    Column("seq", BigInteger, nullable=False),
    Column("origin", SmallInteger, nullable=False),
    Column("merchant_account", BigInteger, nullable=False),
    Column("posted_seq", BigInteger, nullable=False),  # row of the ledger's journal; 0 = nothing to post
    Column("accepted_at_unix_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
_offline = card_movements.c.line == 0
Index(
    "ux_card_movements_terminal",
    card_movements.c.asn,
    card_movements.c.terminal_id,
    card_movements.c.terminal_seq,
    unique=True,
    postgresql_where=_offline,
    sqlite_where=_offline,
)

grey_movements = Table(  # purchases of which nobody knows yet whether they happened
    "grey_movements",
    metadata,
    Column("journal_id", LargeBinary(16), primary_key=True),
    Column("opened_seq", BigInteger, primary_key=True, autoincrement=False),  # its first entry
    Column("seq", BigInteger, nullable=False),  # its newest one
    Column("asn", LargeBinary(10), nullable=False),
    Column("purse", SmallInteger, nullable=False),
    Column("counter", Integer, nullable=False),
    Column("terminal_id", LargeBinary(6), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("balance_before_fen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("since_unix_ms", BigInteger, nullable=False),
    Column("closed_at_unix_ms", BigInteger),
)
_open = grey_movements.c.state == "open"
Index(
    "ix_grey_movements_open",
    grey_movements.c.asn,
    grey_movements.c.purse,
    grey_movements.c.counter,
    postgresql_where=_open,
    sqlite_where=_open,
)
