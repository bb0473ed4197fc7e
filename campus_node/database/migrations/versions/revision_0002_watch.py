"""Alarms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("alarm", sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("occurrences", sa.Integer, nullable=False),
        sa.Column("first_seen_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_at_unix_ms", sa.BigInteger),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("acknowledged_note", sa.Text),
        sa.Column("closed_at_unix_ms", sa.BigInteger),
        sa.Column("closed_by", sa.Text),
        sa.PrimaryKeyConstraint("alarm", name="pk_alarms"),
    )
    is_open = sa.text("closed_at_unix_ms IS NULL")
    op.create_index(
        "ux_alarms_open",
        "alarms",
        ["dedupe_key"],
        unique=True,
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
