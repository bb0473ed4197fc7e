"""The ledger, its outbox and the inbox of what others send."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_KEY = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
_ID = sa.Uuid(as_uuid=False, native_uuid=True).with_variant(sa.LargeBinary(16), "sqlite")


def upgrade() -> None:
    _books()
    _transfers(postgresql=op.get_bind().dialect.name == "postgresql")
    _messages()


def _books() -> None:
    op.create_table(
        "writer",
        sa.Column("shard", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("incarnation", sa.Integer, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("recorded_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("taken_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("shard", name="pk_writer"),
    )
    op.create_table(
        "originators",
        sa.Column("originator", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("originator", name="pk_originators"),
        sa.UniqueConstraint("name", name="uq_originators_name"),
    )
    op.create_table(
        "accounts",
        sa.Column("account", _ROW_KEY, autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("opened_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_accounts"),
    )
    op.create_table(
        "balances",
        sa.Column("account", _ROW_KEY, autoincrement=False, nullable=False),
        sa.Column("posted_fen", sa.BigInteger, nullable=False),
        sa.Column("reserved_fen", sa.BigInteger, nullable=False),
        sa.Column("floor_fen", sa.BigInteger, nullable=False),
        sa.Column("overdrawn_fen", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger),
        sa.PrimaryKeyConstraint("account", name="pk_balances"),
        sa.CheckConstraint(
            "posted_fen - reserved_fen >= floor_fen - overdrawn_fen", name=op.f("ck_balances_floor")
        ),
        sa.CheckConstraint("reserved_fen >= 0", name=op.f("ck_balances_reserved")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "batches",
        sa.Column("last_seq", _ROW_KEY, autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("incarnation", sa.Integer, nullable=False),
        sa.Column("business_date", sa.Integer, nullable=False),
        sa.Column("recorded_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("last_seq", name="pk_batches"),
    )


def _transfers(*, postgresql: bool) -> None:
    key = ("originator", "transfer_id") if postgresql else ("seq",)
    op.create_table(
        "transfers",
        sa.Column("seq", _ROW_KEY, autoincrement=False, nullable=False),
        sa.Column("incarnation", sa.Integer, nullable=False),
        sa.Column("originator", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("transfer_id", _ID, nullable=False),
        sa.Column("verb", sa.SmallInteger, nullable=False),
        sa.Column("fact", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("origin", sa.SmallInteger, nullable=False),
        sa.Column("debit", sa.BigInteger, nullable=False),
        sa.Column("credit", sa.BigInteger, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("posted_fen", sa.BigInteger, nullable=False),
        sa.Column("reserved_fen", sa.BigInteger, nullable=False),
        sa.Column("target_originator", sa.Integer),
        sa.Column("target_id", _ID),
        sa.Column("window_id", sa.Integer),
        sa.Column("business_date", sa.Integer, nullable=False),
        sa.Column("recorded_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("made_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_unix_ms", sa.BigInteger),
        sa.Column("request_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("refusal", sa.SmallInteger, nullable=False),
        sa.Column("short_fen", sa.BigInteger, nullable=False),
        sa.Column("debit_prev", sa.BigInteger),
        sa.Column("credit_prev", sa.BigInteger),
        sa.PrimaryKeyConstraint(*key, name="pk_transfers"),
        sa.CheckConstraint(
            "verb <> 2 OR refusal <> 0 OR expires_at_unix_ms IS NOT NULL", name=op.f("ck_transfers_expiry")
        ),
    )
    if postgresql:
        op.create_index("ix_transfers_seq", "transfers", ["seq"], postgresql_using="brin")
        op.create_index("ix_transfers_debit_seq", "transfers", [sa.text("(seq >> 14)"), "debit", "seq"])
        op.create_index("ix_transfers_credit_seq", "transfers", [sa.text("(seq >> 14)"), "credit", "seq"])
    else:
        op.create_index(
            "ux_transfers_originator_transfer_id", "transfers", ["originator", "transfer_id"], unique=True
        )
    _partial_index(
        "ix_transfers_expires", "transfers", ["expires_at_unix_ms"], "expires_at_unix_ms IS NOT NULL"
    )
    _partial_index(
        "ix_transfers_target", "transfers", ["target_originator", "target_id"], "target_id IS NOT NULL"
    )


def _messages() -> None:
    op.create_table(
        "outbox",
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("delivered_at_unix_ms", sa.BigInteger),
        sa.Column("dead_at_unix_ms", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("message", name="pk_outbox"),
    )
    _partial_index(
        "ix_outbox_waiting",
        "outbox",
        ["next_attempt_at_unix_ms"],
        "delivered_at_unix_ms IS NULL AND dead_at_unix_ms IS NULL",
    )
    _partial_index(
        "ix_outbox_delivered", "outbox", ["delivered_at_unix_ms"], "delivered_at_unix_ms IS NOT NULL"
    )
    op.create_table(
        "inbox",
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("received_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("receiver", "message", name="pk_inbox"),
    )
    op.create_index("ix_inbox_received", "inbox", ["received_at_unix_ms"])


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
