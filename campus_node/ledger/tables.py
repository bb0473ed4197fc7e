"""Tables of the ledger: one definition for SQLite and PostgreSQL.

No foreign keys and no triggers on this path: the writer checks before it writes, `ledger check` afterwards.
Instants are milliseconds since 1970 (UTC); business dates are yyyymmdd; both are the same in either database.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects import sqlite

from campus_node.database.metadata import metadata
from campus_node.ledger.chunks import CHUNK_BITS

_RowKey = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")  # INTEGER as key is the rowid there: no index
_Id = Uuid(as_uuid=False, native_uuid=True).with_variant(LargeBinary(16), "sqlite")

writer = Table(
    "writer",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
    Column("recorded_at_unix_ms", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("taken_at_unix_ms", BigInteger, nullable=False),
)

originators = Table(
    "originators",
    metadata,
    Column("originator", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account", _RowKey, primary_key=True, autoincrement=False),
    Column("holder", Text, nullable=False),
    Column("opened_at_unix_ms", BigInteger, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("account", _RowKey, primary_key=True, autoincrement=False),
    Column("posted_fen", BigInteger, nullable=False),
    Column("reserved_fen", BigInteger, nullable=False),
    Column("floor_fen", BigInteger, nullable=False),
    Column("overdrawn_fen", BigInteger, nullable=False),
    Column("last_seq", BigInteger),  # SQLite: the account's last row, where its history begins
    CheckConstraint("posted_fen - reserved_fen >= floor_fen - overdrawn_fen", name="floor"),
    CheckConstraint("reserved_fen >= 0", name="reserved"),
    postgresql_with={"fillfactor": "50"},  # room for HOT updates: no index is touched
)

transfers = Table(
    "transfers",
    metadata,
    Column("seq", _RowKey, nullable=False, autoincrement=False),
    Column("incarnation", Integer, nullable=False),
    Column("originator", Integer, nullable=False),
    Column("transfer_id", _Id, nullable=False),
    Column("verb", SmallInteger, nullable=False),
    Column("fact", Boolean(create_constraint=False), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("origin", SmallInteger, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("posted_fen", BigInteger, nullable=False),
    Column("reserved_fen", BigInteger, nullable=False),
    Column("target_originator", Integer),
    Column("target_id", _Id),
    Column("window_id", Integer),
    Column("business_date", Integer, nullable=False),
    Column("recorded_at_unix_ms", BigInteger, nullable=False),
    Column("made_at_unix_ms", BigInteger, nullable=False),
    Column("expires_at_unix_ms", BigInteger),
    Column("request_hash", LargeBinary(16), nullable=False),
    Column("refusal", SmallInteger, nullable=False),
    Column("short_fen", BigInteger, nullable=False),
    Column("debit_prev", BigInteger),  # SQLite: the debit account's row before this one
    Column("credit_prev", BigInteger),  # and the credit account's
    PrimaryKeyConstraint("seq").ddl_if(dialect="sqlite"),
    CheckConstraint("verb <> 2 OR refusal <> 0 OR expires_at_unix_ms IS NOT NULL", name="expiry"),
)
# The keys differ. SQLite stores rows by rowid, so seq as key costs nothing, and the id has a unique index.
# PostgreSQL would pay for a second tree: there the id is the key, and a BRIN finds ranges of seq.
_ID_IS_KEY = "ALTER TABLE transfers ADD CONSTRAINT pk_transfers PRIMARY KEY (originator, transfer_id)"
event.listen(
    transfers,
    "after_create",
    DDL(_ID_IS_KEY).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]  # has no annotations
)
Index(
    "ux_transfers_originator_transfer_id",
    transfers.c.originator,
    transfers.c.transfer_id,
    unique=True,
).ddl_if(dialect="sqlite")
Index("ix_transfers_seq", transfers.c.seq, postgresql_using="brin").ddl_if(dialect="postgresql")
# History: PostgreSQL finds an account's rows by trees that begin with the chunk of the journal (chunks.py).
# On SQLite a row links back to the row before it of either account (links.py). Why: docs/adr/0004.
_CHUNK = text(f"(seq >> {CHUNK_BITS})")
Index("ix_transfers_debit_seq", _CHUNK, transfers.c.debit, transfers.c.seq).ddl_if(dialect="postgresql")
Index("ix_transfers_credit_seq", _CHUNK, transfers.c.credit, transfers.c.seq).ddl_if(dialect="postgresql")
# At start the open reservations are found among those that lapse after the last batch.
Index(
    "ix_transfers_expires",
    transfers.c.expires_at_unix_ms,
    postgresql_where=transfers.c.expires_at_unix_ms.is_not(None),
    sqlite_where=transfers.c.expires_at_unix_ms.is_not(None),
)
Index(
    "ix_transfers_target",
    transfers.c.target_originator,
    transfers.c.target_id,
    postgresql_where=transfers.c.target_id.is_not(None),
    sqlite_where=transfers.c.target_id.is_not(None),
)

batches = Table(
    "batches",
    metadata,
    Column("last_seq", _RowKey, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("business_date", Integer, nullable=False),
    Column("recorded_at_unix_ms", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary(32), nullable=False),
)
