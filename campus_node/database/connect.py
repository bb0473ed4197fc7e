"""The way to a node's database: one Engine from a URL, with durable commits and our own errors.

Rooms read in `reading(db)` and write in `writing(db)`. The posting engine has connections of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from federation.errors import CampusCardError, JournalBroken, Misconfigured, OutcomeUnknown, StoreDown

BUSY_TIMEOUT_MS: Final = 10_000  # how long SQLite waits for another writer
PAGE_BYTES: Final = 2_048  # SQLite: a batch changes few bytes on many pages, and logs each as a whole
CONNECT_TIMEOUT_S: Final = 5
POOL_SIZE: Final = 5
POOL_TIMEOUT_S: Final = 10
_EXAMPLES: Final = "sqlite:////var/lib/campus/data/ledger.sqlite or postgresql://campus@127.0.0.1/campus"
_SCHEMA_MISSING: Final = ("no such table", "no such column")  # how SQLite says it
_DOWN: Final = (OperationalError, InterfaceError, InternalError)
_BEGIN: Final = "campus_begin"  # execution option: how SQLite begins


def database_url(url: str) -> URL:
    """Return the URL in the form that SQLAlchemy needs, with the driver that we ship.

    Raises:
        Misconfigured: neither a SQLite file nor PostgreSQL, or the file's folder does not exist.
    """
    parsed = _parse(url)
    shown = shown_url(url)
    match parsed.get_backend_name():
        case "postgresql":
            return parsed.set(drivername="postgresql+psycopg2")
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            folder = Path(parsed.database).absolute().parent
            if not folder.is_dir():
                raise Misconfigured(f"{shown}: the folder {folder} does not exist; run `campus init` first")
            return parsed.set(drivername="sqlite")
        case "sqlite":
            raise Misconfigured(f"{shown}: books need a file, not memory: write {_EXAMPLES}")
        case other:
            raise Misconfigured(f"{shown}: database {other!r} is not supported: write {_EXAMPLES}")


def shown_url(url: str) -> str:
    """Return the URL as people may see it: without its password."""
    return _parse(url).render_as_string(hide_password=True)


def connect(url: str) -> Engine:
    """Return an Engine for `sqlite:///<file>` or `postgresql://…`; nothing is connected yet.

    SQLite runs in WAL mode with synchronous=FULL, so that what is committed survives a power cut. What the
    driver raises because the database is away, full, locked or read-only arrives as StoreDown; IntegrityError
    stays what it is, for rooms that act on it.

    Raises:
        Misconfigured: see `database_url`.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        db = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
        event.listen(db, "connect", _prepare_sqlite)
        event.listen(db, "begin", _begin_sqlite)
    else:
        db = create_engine(
            parsed,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "campus"},
            pool_pre_ping=True,
            pool_size=POOL_SIZE,
            pool_timeout=POOL_TIMEOUT_S,
        )
    event.listen(db, "handle_error", _translate)
    return db


@contextmanager
def writing(db: Engine) -> Iterator[Connection]:
    """Give a connection whose changes are committed together at the end, or not at all on an exception.

    Keep it short: no network call inside.

    Raises:
        StoreDown: the database does not answer or refuses to write. Nothing was written.
        OutcomeUnknown: the commit failed; repeat with the same ids.
    """
    with _connection(db, "BEGIN IMMEDIATE") as connection:
        transaction = connection.begin()
        try:
            yield connection
        except BaseException:
            transaction.rollback()
            raise
        try:
            transaction.commit()
        except StoreDown as error:
            raise OutcomeUnknown(f"the commit failed: {error}") from error


@contextmanager
def reading(db: Engine) -> Iterator[Connection]:
    """Give a connection that sees one state of the database; on SQLite it never waits for the writer.

    Raises:
        StoreDown: the database does not answer.
    """
    with _connection(db, "BEGIN") as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(  # noqa: PLW2901
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        yield connection


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(f"the database URL cannot be read: write {_EXAMPLES}") from error


@contextmanager
def _connection(db: Engine, sqlite_begin: str) -> Iterator[Connection]:
    try:
        opened = db.connect()
    except PoolTimeout as error:
        raise StoreDown(f"all {POOL_SIZE} database connections are in use") from error
    with opened as connection:
        yield connection.execution_options(**{_BEGIN: sqlite_begin})


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver would begin transactions by its own rules, and none before DDL: we say BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; others keep theirs
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _translate(context: ExceptionContext) -> CampusCardError | None:
    if not isinstance(context.sqlalchemy_exception, DBAPIError):
        return None
    cause = context.original_exception
    name = type(cause).__name__
    first_line = (str(cause).strip().splitlines() or [""])[0]
    if name in {"UndefinedTable", "UndefinedColumn"} or first_line.startswith(_SCHEMA_MISSING):
        return Misconfigured(
            f"the database has not the schema of this release ({first_line}); run `campus database upgrade`"
        )
    if "not a database" in first_line:
        return Misconfigured(f"{_where(context)} is no database: restore the backup, or name the right file")
    if "malformed" in first_line:
        return JournalBroken(f"{_where(context)} is damaged ({first_line}): keep a copy, restore the backup")
    if context.is_disconnect or isinstance(context.sqlalchemy_exception, _DOWN):
        return StoreDown(f"{name}: {first_line}")
    return None


def _where(context: ExceptionContext) -> str:
    return "the file" if context.engine is None else str(context.engine.url.database)
