"""Movements of cards that were verified, those whose truth is not known yet, and PSAMs' last good numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("psams", sa.Column("last_good_terminal_seq", sa.BigInteger))
    pending = sa.text("outcome = 2")
    op.create_index(
        "ix_terminal_records_pending",
        "terminal_records",
        ["reason", "received_at_unix_ms"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
    _movements()
    _grey()


def _movements() -> None:
    op.create_table(
        "card_movements",
        sa.Column("asn", sa.LargeBinary(10), nullable=False),
        sa.Column("purse", sa.SmallInteger, nullable=False),
        sa.Column("line", sa.SmallInteger, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("terminal_seq", sa.BigInteger, nullable=False),
        sa.Column("transaction_type", sa.SmallInteger, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("balance_before_fen", sa.BigInteger, nullable=False),
        sa.Column("balance_after_fen", sa.BigInteger),
        sa.Column("made_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("meal", sa.SmallInteger, nullable=False),
        sa.Column("known_by", sa.SmallInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("journal_id", sa.LargeBinary(16), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.SmallInteger, nullable=False),
        sa.Column("merchant_account", sa.BigInteger, nullable=False),
        sa.Column("posted_seq", sa.BigInteger, nullable=False),
        sa.Column("accepted_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("asn", "purse", "line", "counter", name="pk_card_movements"),
        sqlite_with_rowid=False,
    )
    offline = sa.text("line = 0")
    op.create_index(
        "ux_card_movements_terminal",
        "card_movements",
        ["asn", "terminal_id", "terminal_seq"],
        unique=True,
        postgresql_where=offline,
        sqlite_where=offline,
    )


def _grey() -> None:
    op.create_table(
        "grey_movements",
        sa.Column("journal_id", sa.LargeBinary(16), nullable=False),
        sa.Column("opened_seq", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("asn", sa.LargeBinary(10), nullable=False),
        sa.Column("purse", sa.SmallInteger, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("balance_before_fen", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("since_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_at_unix_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("journal_id", "opened_seq", name="pk_grey_movements"),
    )
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_grey_movements_open",
        "grey_movements",
        ["asn", "purse", "counter"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
