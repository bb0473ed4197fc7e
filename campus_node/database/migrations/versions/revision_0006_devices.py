"""Gateways, lines and devices: topology and health."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _gateways()
    _lines()
    _reported()
    _keys()


def _gateways() -> None:
    op.create_table(
        "gateway_states",
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("health", sa.SmallInteger, nullable=False),
        sa.Column("since_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("attached", sa.Boolean, nullable=False),
        sa.Column("seen_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("spool_waiting", sa.BigInteger, nullable=False),
        sa.Column("spool_size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("gateway", name="pk_gateway_states"),
    )


def _lines() -> None:
    op.create_table(
        "gateway_lines",
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("health", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("bitrate", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("broken", sa.BigInteger, nullable=False),
        sa.Column("forged", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("gateway", "line", name="pk_gateway_lines"),
    )
    op.create_table(
        "line_devices",
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("address", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6)),
        sa.Column("health", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("heard_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("gateway", "line", "address", name="pk_line_devices"),
    )


def _reported() -> None:
    op.create_table(
        "reported_devices",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("health", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("since_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("received_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("silent_after_s", sa.Integer, nullable=False),
        sa.Column("silent_since_unix_ms", sa.BigInteger),
        sa.Column("figures", sa.Text, nullable=False),
        sa.Column("reported_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "device", name="pk_reported_devices"),
    )
    op.create_index("ix_reported_devices_reported_by", "reported_devices", ["reported_by"])


def _keys() -> None:
    op.create_table(
        "device_keys",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("reads", sa.Boolean, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("revoked_at_unix_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("key", name="pk_device_keys"),
    )
