"""Brings a database to the schema of this release, and refuses to work on any other."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from campus_node.database.connect import connect, database_url, reading, shown_url, writing
from campus_node.database.schema import metadata
from federation.errors import Misconfigured

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = (
    0x63616D70  # PostgreSQL: two upgrades at once wait for each other; SQLite does so by itself
)


def upgrade(url: str, revision: str = "head") -> None:
    """Create or upgrade the schema in one transaction: it ends as this release's, or unchanged.

    Args:
        revision: where to stop, for tests of upgrades; everybody else wants all.

    Raises:
        Misconfigured: the database has a newer schema, or tables of our names that we did not create.
        StoreDown: it does not answer or refuses to write.
    """
    db = connect(url)
    try:
        with writing(db) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
            before = _revision(connection)
            if before is None:
                _require_no_strangers(connection)
            elif before not in _revisions():
                raise Misconfigured(_newer(before))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        db.dispose()


def current(url: str) -> str | None:
    """Return the schema's revision, None for an empty database. Creates nothing.

    Raises:
        Misconfigured: the URL names no database of ours.
        StoreDown: the database does not answer.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return None
    db = connect(url)
    try:
        with reading(db) as connection:
            return _revision(connection)
    finally:
        db.dispose()


def head() -> str:
    """Return the revision that this release works with."""
    return _revisions()[0]


def require_current(url: str) -> None:
    """Return if the schema is the one of this release.

    Raises:
        Misconfigured: it is empty, older or newer; the message says what to do.
        StoreDown: the database does not answer.
    """
    shown = shown_url(url)
    found = current(url)
    if found is None:
        raise Misconfigured(
            f"{shown} is empty: run `campus init` for a new campus, or `campus database upgrade` to "
            "create the tables in it"
        )
    if found == head():
        return
    if found not in _revisions():
        raise Misconfigured(f"{shown}: {_newer(found)}")
    raise Misconfigured(
        f"{shown} has schema {found}, this release needs {head()}: stop the node, make a backup, then run "
        "`campus database upgrade`"
    )


def _newer(found: str) -> str:
    return (
        f"the database has schema {found}, but this release knows none later than {head()}: a newer release "
        "wrote it. Start that release again, or restore the backup made before its upgrade. Nothing has "
        "changed"
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revisions() -> list[str]:
    """All revisions of this release, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _require_no_strangers(connection: Connection) -> None:
    strangers = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
    if strangers:
        raise Misconfigured(
            f"the database holds tables {', '.join(strangers)} but no schema revision: they are not ours. "
            "Give the campus a database of its own"
        )
