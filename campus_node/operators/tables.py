"""Tables of operators, of what waits for a second person, and of the audit trail."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects import sqlite

from campus_node.database.metadata import metadata

operators = Table(
    "operators",
    metadata,
    Column("operator", Text, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("enrolled_at_unix_ms", BigInteger, nullable=False),
    Column("disabled_at_unix_ms", BigInteger),
)

operator_grants = Table(
    "operator_grants",
    metadata,
    Column("operator", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("granted_by", Text, nullable=False),
    Column("granted_at_unix_ms", BigInteger, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("request", Text, primary_key=True),  # chosen by whoever asks; repeating it adds nothing
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("payload", Text, nullable=False),  # canonical JSON
    Column("payload_hash", LargeBinary(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at_unix_ms", BigInteger, nullable=False),
    Column("expires_at_unix_ms", BigInteger, nullable=False),
    Column("decided_by", Text),
    Column("decided_at_unix_ms", BigInteger),
    Column("decision_note", Text),
    Column("transfer_id", LargeBinary(16)),  # set before the first attempt to execute
    Column("ended_at_unix_ms", BigInteger),
    Column("result", Text),  # canonical JSON
)
Index("ix_approvals_state", approvals.c.state, approvals.c.expires_at_unix_ms)

audit = Table(
    "audit",
    metadata,
    Column(
        "seq", BigInteger().with_variant(sqlite.INTEGER(), "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("operator", Text, nullable=False),
    Column("place", Text, nullable=False),  # from where: an address, a terminal, a command line
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("before", Text),  # canonical JSON
    Column("after", Text),
    Column("chain_hash", LargeBinary(32), nullable=False),
)
Index("ix_audit_subject_seq", audit.c.subject, audit.c.seq)

audit_head = Table(  # one row: locking it puts all changes that are audited in one order
    "audit_head",
    metadata,
    Column("head", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
)
