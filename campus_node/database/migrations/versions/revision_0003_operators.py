"""Operators, approvals and the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _operators()
    _approvals()
    _audit()


def _operators() -> None:
    op.create_table(
        "operators",
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("enrolled_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("disabled_at_unix_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("operator", name="pk_operators"),
    )
    op.create_table(
        "operator_grants",
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("granted_by", sa.Text, nullable=False),
        sa.Column("granted_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("operator", "role", "scope", name="pk_operator_grants"),
    )


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("payload_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at_unix_ms", sa.BigInteger),
        sa.Column("decision_note", sa.Text),
        sa.Column("transfer_id", sa.LargeBinary(16)),
        sa.Column("ended_at_unix_ms", sa.BigInteger),
        sa.Column("result", sa.Text),
        sa.PrimaryKeyConstraint("request", name="pk_approvals"),
    )
    op.create_index("ix_approvals_state", "approvals", ["state", "expires_at_unix_ms"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("chain_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_subject_seq", "audit", ["subject", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("head", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("head", name="pk_audit_head"),
    )
