"""Terminals, PSAMs and cards; records of terminals, and the journals and spools they come from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _registry()
    _cards()
    _origins_of_records()
    _records()


def _registry() -> None:
    op.create_table(
        "registry_versions",
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("part", name="pk_registry_versions"),
    )
    op.create_table(
        "psams",
        sa.Column("psam_serial", sa.LargeBinary(10), nullable=False),
        sa.Column("key_usage", sa.SmallInteger, nullable=False),
        sa.Column("key_version", sa.SmallInteger, nullable=False),
        sa.Column("key_algorithm", sa.Text, nullable=False),
        sa.Column("registered_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("revoked_at_unix_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("psam_serial", name="pk_psams"),
    )
    op.create_table(
        "terminals",
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("psam_serial", sa.LargeBinary(10), nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("address", sa.SmallInteger, nullable=False),
        sa.Column("merchant_account", sa.BigInteger, nullable=False),
        sa.Column("ring", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("registered_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", name="pk_terminals"),
        sa.UniqueConstraint("name", name="uq_terminals_name"),
    )
    in_use = sa.column("state").in_(("active", "isolated"))
    _unique("ux_terminals_psam", "terminals", ["psam_serial"], in_use)
    placed = in_use & (sa.column("address", sa.SmallInteger) > 0)
    _unique("ux_terminals_place", "terminals", ["gateway", "line", "address"], placed)


def _cards() -> None:
    op.create_table(
        "cards",
        sa.Column("asn", sa.LargeBinary(10), nullable=False),
        sa.Column("issuer", sa.LargeBinary(8), nullable=False),
        sa.Column("account", sa.BigInteger, nullable=False),
        sa.Column("registered_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("asn", name="pk_cards"),
    )
    op.create_index("ix_cards_account", "cards", ["account"])
    op.create_table(
        "card_flags",
        sa.Column("asn", sa.LargeBinary(10), nullable=False),
        sa.Column("flag", sa.Text, nullable=False),
        sa.Column("set_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("effective_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ended_at_unix_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("asn", "flag", "set_at_unix_ms", name="pk_card_flags"),
    )
    _unique("ux_card_flags_open", "card_flags", ["asn", "flag"], sa.column("ended_at_unix_ms").is_(None))


def _origins_of_records() -> None:
    op.create_table(
        "spools",
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("spool_id", sa.LargeBinary(16), nullable=False),
        sa.Column("committed_through", sa.BigInteger, nullable=False),
        sa.Column("backup_through", sa.BigInteger, nullable=False),
        sa.Column("covered_through", sa.BigInteger, nullable=False),
        sa.Column("alarms_through", sa.BigInteger, nullable=False),
        sa.Column("first_seen_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at_unix_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("gateway", "spool_id", name="pk_spools"),
    )
    op.create_table(
        "journals",
        sa.Column("journal_id", sa.LargeBinary(16), nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("contiguous_through", sa.BigInteger, nullable=False),
        sa.Column("highest_seq", sa.BigInteger, nullable=False),
        sa.Column("gap_since_unix_ms", sa.BigInteger),
        sa.Column("recollect_asked_at_unix_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("journal_id", name="pk_journals"),
    )
    op.create_index("ix_journals_terminal", "journals", ["terminal_id"])
    incomplete = sa.text("gap_since_unix_ms IS NOT NULL")
    op.create_index(
        "ix_journals_incomplete",
        "journals",
        ["gap_since_unix_ms"],
        postgresql_where=incomplete,
        sqlite_where=incomplete,
    )


def _records() -> None:
    op.create_table(
        "terminal_records",
        sa.Column("journal_id", sa.LargeBinary(16), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("origin", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("taken_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("received_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_terminal_records"),
        sqlite_with_rowid=False,
    )
    apart = sa.text("outcome = 5")
    op.create_index(
        "ix_terminal_records_quarantine",
        "terminal_records",
        ["received_at_unix_ms"],
        postgresql_where=apart,
        sqlite_where=apart,
    )
    op.create_table(
        "record_conflicts",
        sa.Column("journal_id", sa.LargeBinary(16), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("terminal_id", sa.LargeBinary(6), nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("received_at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", "digest", name="pk_record_conflicts"),
    )


def _unique(name: str, table: str, columns: list[str], where: sa.ColumnElement[bool]) -> None:
    op.create_index(name, table, columns, unique=True, postgresql_where=where, sqlite_where=where)
