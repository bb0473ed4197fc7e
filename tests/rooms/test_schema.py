"""The schema that the revisions make is the one that the code declares, on both databases."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text

from campus_node.database import migrate
from campus_node.database.connect import connect, reading, writing
from campus_node.database.schema import metadata
from federation.errors import Misconfigured

INDEXES = {
    "ix_approvals_state",
    "ix_audit_subject_seq",
    "ix_cards_account",
    "ix_grey_movements_open",
    "ix_inbox_received",
    "ix_orders_is_open_gateway",
    "ix_journals_incomplete",
    "ix_journals_terminal",
    "ix_outbox_delivered",
    "ix_outbox_waiting",
    "ix_reported_devices_reported_by",
    "ix_terminal_records_pending",
    "ix_terminal_records_quarantine",
    "ix_transfers_expires",
    "ix_transfers_target",
    "ux_alarms_open",
    "ux_card_flags_open",
    "ux_card_movements_terminal",
    "ux_terminals_place",
    "ux_terminals_psam",
}
INDEXES_SQLITE = INDEXES | {"ux_transfers_originator_transfer_id"}
HISTORY_POSTGRES = {"ix_transfers_seq", "ix_transfers_credit_seq", "ix_transfers_debit_seq"}
INDEXES_POSTGRES = (
    INDEXES | HISTORY_POSTGRES | {"uq_announcements_mark", "uq_originators_name", "uq_terminals_name"}
)
HAS_NO_TREE_OF_ITS_OWN = {"accounts", "alarms", "audit", "audit_head", "balances", "batches", "transfers"}


def describe(connection: Connection) -> dict[str, Any]:
    """Return all that matters of a schema, as this database tells it."""
    seen = inspect(connection)
    described: dict[str, Any] = {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)
            ],
            "key": seen.get_pk_constraint(table),
            "unique": sorted(map(str, seen.get_unique_constraints(table))),
            "checks": sorted(map(str, seen.get_check_constraints(table))),
        }
        for table in set(seen.get_table_names()) - {"alembic_version"}
    }
    described["indexes"] = sorted(" ".join(words.split()) for words in indexes(connection).values())
    if connection.dialect.name == "postgresql":
        options = "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        described["options"] = {row[0]: row[1] for row in connection.execute(text(options)) if row[1]}
    return described


def indexes(connection: Connection) -> dict[str, str]:
    """Return name and definition of every index that is there beside those of keys on SQLite."""
    query = (
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        if connection.dialect.name == "postgresql"
        else "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    )
    return {row[0]: row[1] for row in connection.execute(text(query))}


def test_the_revisions_make_exactly_the_declared_schema(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    db = connect(empty_url)
    with reading(db) as connection:
        by_revisions = describe(connection)
    with writing(db) as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        declared = describe(connection)
    db.dispose()
    assert set(declared) >= set(metadata.tables)
    assert by_revisions == declared


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_autogenerate_finds_nothing_to_do(db: Engine) -> None:
    other_dialects_indexes = HISTORY_POSTGRES | {"ux_transfers_originator_transfer_id"}

    def compared(thing: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
        return not (kind == "index" and name in other_dialects_indexes)

    with reading(db) as connection:
        context = MigrationContext.configure(connection, opts={"include_object": compared})
        assert compare_metadata(context, metadata) == []


def test_exactly_these_indexes_are_paid_for(db: Engine) -> None:
    with reading(db) as connection:
        found = indexes(connection)
        if db.dialect.name == "sqlite":
            assert set(found) == INDEXES_SQLITE
            trees = "SELECT tbl_name FROM sqlite_master WHERE name LIKE 'sqlite_autoindex%'"
            with_key_tree = {row[0] for row in connection.execute(text(trees))}
            assert not with_key_tree & (HAS_NO_TREE_OF_ITS_OWN - {"audit_head"}), "their key is the rowid"
        else:
            keys = {f"pk_{table}" for table in metadata.tables}
            assert set(found) == INDEXES_POSTGRES | keys
            assert "USING brin (seq)" in found["ix_transfers_seq"]
            assert "(originator, transfer_id)" in found["pk_transfers"]


@pytest.mark.postgres
def test_balances_leave_room_to_be_updated_in_place(postgres_dsn: str) -> None:
    db = connect(postgres_dsn)
    with reading(db) as connection:
        assert describe(connection)["options"]["balances"] == ["fillfactor=50"]
    db.dispose()


def test_an_upgrade_repeated_changes_nothing(url: str) -> None:
    migrate.upgrade(url)
    migrate.require_current(url)
    assert migrate.current(url) == migrate.head()


def test_an_empty_database_is_refused_with_what_to_run(empty_url: str) -> None:
    assert migrate.current(empty_url) is None
    with pytest.raises(Misconfigured, match=r"is empty: run `campus init` .* or `campus database upgrade`"):
        migrate.require_current(empty_url)


def test_asking_for_the_revision_creates_no_file(tmp_path: Path) -> None:
    file = tmp_path / "absent.sqlite"
    assert migrate.current(f"sqlite:///{file}") is None
    assert not file.exists()


def test_an_older_schema_is_refused_and_upgraded_with_its_rows(empty_url: str) -> None:
    migrate.upgrade(empty_url, "0001")
    db = connect(empty_url)
    with writing(db) as connection:
        connection.execute(text("INSERT INTO originators VALUES (7, 'terminal/0001')"))
    with pytest.raises(Misconfigured, match=f"has schema 0001, .* needs {migrate.head()}: .*backup"):
        migrate.require_current(empty_url)
    migrate.upgrade(empty_url)
    migrate.require_current(empty_url)
    with reading(db) as connection:
        assert connection.execute(text("SELECT name FROM originators")).scalar_one() == "terminal/0001"
    db.dispose()


def test_a_newer_schema_is_named_and_not_touched(url: str) -> None:
    db = connect(url)
    with writing(db) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (migrate.require_current, migrate.upgrade):
        with pytest.raises(Misconfigured, match=r"schema 9999.*newer release.*Start that release again"):
            refused(url)
    with reading(db) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    db.dispose()


def test_tables_that_are_not_ours_are_left_alone(empty_url: str) -> None:
    db = connect(empty_url)
    with writing(db) as connection:
        connection.execute(text("CREATE TABLE accounts (mine INTEGER)"))
    with pytest.raises(Misconfigured, match="tables accounts but no schema revision"):
        migrate.upgrade(empty_url)
    with reading(db) as connection:
        assert inspect(connection).get_table_names() == ["accounts"]
    db.dispose()


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(empty_url: str) -> None:
    migrate.upgrade(empty_url, "0001")
    db = connect(empty_url)
    with writing(db) as connection:
        connection.execute(text("CREATE TABLE audit_head (mine INTEGER)"))  # made by the last revision
        before = describe(connection)
    with pytest.raises(Exception, match="audit_head"):
        migrate.upgrade(empty_url)
    with reading(db) as connection:
        assert describe(connection) == before
    assert migrate.current(empty_url) == "0001"
    db.dispose()


def test_a_folder_with_a_percent_sign_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "100% campus"
    folder.mkdir()
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    migrate.upgrade(url)
    migrate.require_current(url)
    shutil.rmtree(folder)
