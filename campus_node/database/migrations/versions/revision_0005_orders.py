"""Hotlists, parameters, firmware images and their rollouts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _announcements()
    _hotlists()
    _orders()
    _rollouts()


def _announcements() -> None:
    op.create_table(
        "notice_head",
        sa.Column("head", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("head", name="pk_notice_head"),
    )
    op.create_table(
        "announcements",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.Column("gateway", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("expires_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_announcements"),
        sa.UniqueConstraint("mark", name="uq_announcements_mark"),
    )


def _hotlists() -> None:
    op.create_table(
        "hotlists",
        sa.Column("issuer", sa.LargeBinary(8), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", name="pk_hotlists"),
    )
    op.create_table(
        "hotlist_entries",
        sa.Column("issuer", sa.LargeBinary(8), nullable=False),
        sa.Column("asn", sa.LargeBinary(10), nullable=False),
        sa.Column("reason", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "asn", name="pk_hotlist_entries"),
    )
    op.create_table(
        "hotlist_changes",
        sa.Column("issuer", sa.LargeBinary(8), nullable=False),
        sa.Column("version", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("asn", sa.LargeBinary(10), nullable=False),
        sa.Column("reason", sa.SmallInteger),
        sa.PrimaryKeyConstraint("issuer", "version", "asn", name="pk_hotlist_changes"),
    )
    op.create_table(
        "parameter_versions",
        sa.Column("version", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("effective_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("made_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_parameter_versions"),
    )
    op.create_table(
        "terminal_holdings",
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("heard_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "subject", name="pk_terminal_holdings"),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("notice", sa.LargeBinary, nullable=False),
        sa.Column("terminal_ids", sa.LargeBinary, nullable=False),
        sa.Column("rollout", sa.Text),
        sa.Column("load_percent", sa.Integer, nullable=False),
        sa.Column("stop_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("made_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_orders"),
    )
    op.create_index("ix_orders_is_open_gateway", "orders", ["is_open", "gateway"])
    op.create_table(
        "distribution_progress",
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("blocks_stored", sa.Integer, nullable=False),
        sa.Column("blocks", sa.Integer, nullable=False),
        sa.Column("silent", sa.Boolean, nullable=False),
        sa.Column("changed_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", "terminal_id", name="pk_distribution_progress"),
    )


def _rollouts() -> None:
    op.create_table(
        "firmware_images",
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("minimum_version", sa.BigInteger, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("taken_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_firmware_images"),
    )
    op.create_table(
        "rollouts",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ring", sa.Integer, nullable=False),
        sa.Column("ring_good_since_unix_ms", sa.BigInteger),
        sa.Column("begun_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_at_unix_ms", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["firmware_images.hash"]),
        sa.PrimaryKeyConstraint("rollout", name="pk_rollouts"),
    )
    op.create_table(
        "rollout_terminals",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("ring", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "terminal_id", name="pk_rollout_terminals"),
    )
