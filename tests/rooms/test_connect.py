"""What rooms may rely on when they open the database."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from campus_node.database import connect as room
from campus_node.database import migrate
from campus_node.database.connect import connect, reading, writing
from federation.errors import JournalBroken, Misconfigured, StoreDown

INSERT = text("INSERT INTO originators (originator, name) VALUES (:number, :name)")


def names(db: Engine) -> list[str]:
    with reading(db) as connection:
        return list(connection.execute(text("SELECT name FROM originators ORDER BY originator")).scalars())


def test_what_is_written_is_kept_together_or_not_at_all(db: Engine) -> None:
    with writing(db) as connection:
        connection.execute(INSERT, {"number": 1, "name": "a"})

    def fail_half_way() -> None:
        with writing(db) as connection:
            connection.execute(INSERT, {"number": 2, "name": "b"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert names(db) == ["a"]


def test_reading_sees_one_state_while_others_write(db: Engine) -> None:
    with reading(db) as connection:
        count = text("SELECT count(*) FROM originators")
        assert connection.execute(count).scalar_one() == 0
        with writing(db) as other:
            other.execute(INSERT, {"number": 1, "name": "a"})
        assert connection.execute(count).scalar_one() == 0
    assert names(db) == ["a"]


def test_writers_on_sqlite_wait_for_each_other_instead_of_failing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'busy.sqlite'}"
    migrate.upgrade(url)
    db = connect(url)
    numbers = 40

    def count_up() -> None:
        for _ in range(numbers // 4):
            with writing(db) as connection:  # reads first, then writes what follows from it
                last = connection.execute(text("SELECT coalesce(max(originator), 0) FROM originators"))
                number = last.scalar_one() + 1
                connection.execute(INSERT, {"number": number, "name": str(number)})

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(db) == [str(number + 1) for number in range(numbers)]
    db.dispose()


def test_sqlite_is_durable_and_shared(tmp_path: Path) -> None:
    db = connect(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with reading(db) as connection:
        asked = ("journal_mode", "synchronous", "busy_timeout")
        told = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in asked]
    assert told == ["wal", 2, room.BUSY_TIMEOUT_MS]
    db.dispose()


def test_a_sqlite_file_held_by_another_writer_for_too_long_is_a_store_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BUSY_TIMEOUT_MS", 50)
    url = f"sqlite:///{tmp_path / 'held.sqlite'}"
    migrate.upgrade(url)
    db = connect(url)
    with writing(db), pytest.raises(StoreDown, match="locked"), writing(db):
        pass
    db.dispose()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter.sqlite").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(Misconfigured, match=r"letter.sqlite is no database"):
        migrate.current(f"sqlite:///{tmp_path / 'letter.sqlite'}")


def test_a_damaged_file_stops_us(tmp_path: Path) -> None:
    file = tmp_path / "damaged.sqlite"
    migrate.upgrade(f"sqlite:///{file}")
    pages = file.read_bytes()
    file.write_bytes(pages[:4096] + b"\xff" * (len(pages) - 4096))
    db = connect(f"sqlite:///{file}")
    with pytest.raises(JournalBroken, match=r"damaged.sqlite is damaged .* restore the backup"):
        names(db)
    db.dispose()


def test_a_database_server_that_is_away_is_a_store_that_is_down() -> None:
    db = connect("postgresql://campus:hush@127.0.0.1:1/campus")
    with pytest.raises(StoreDown) as raised, reading(db):
        pass
    assert "hush" not in str(raised.value)
    db.dispose()


@pytest.mark.postgres
def test_a_connection_that_breaks_is_a_store_that_is_down_and_the_next_one_works(postgres_dsn: str) -> None:
    db = connect(postgres_dsn)

    def write_on_a_connection_that_breaks() -> None:
        with writing(db) as connection:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with writing(db) as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            connection.execute(INSERT, {"number": 1, "name": "a"})

    with pytest.raises(StoreDown):
        write_on_a_connection_that_breaks()
    assert names(db) == []
    db.dispose()


def test_a_missing_table_is_told_with_its_cure(empty_url: str) -> None:
    db = connect(empty_url)
    with pytest.raises(Misconfigured, match="campus database upgrade"):
        names(db)
    db.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "cannot be read"),
        ("ledger.sqlite", "cannot be read"),
        ("postgresql://:port", "cannot be read|not supported"),
        ("mysql://campus:hush@127.0.0.1/campus", "'mysql' is not supported"),
        ("sqlite://", "need a file"),
        ("sqlite:///:memory:", "need a file"),
        ("sqlite:////nowhere/at/all/ledger.sqlite", "/nowhere/at/all does not exist; run `campus init`"),
    ],
)
def test_a_wrong_address_is_told_with_what_to_write(url: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as raised:
        connect(url)
    assert "hush" not in str(raised.value)
