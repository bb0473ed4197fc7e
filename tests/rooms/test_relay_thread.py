"""The thread in which the node delivers its outbox: it starts, outlives trouble and stops cleanly."""

import random
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from campus_node.database import connect as room
from campus_node.database import migrate
from campus_node.database.connect import reading, writing
from campus_node.outbox import store
from campus_node.outbox.relay import OutboxRelay
from campus_node.outbox.relay_thread import RelayThread
from campus_node.outbox.store import Message
from campus_node.watch.receiver import raise_dead_letter
from federation.clock import SystemClock


def enqueue_now(db: Engine, clock: SystemClock, *messages: str) -> None:
    with writing(db) as connection:
        for message in messages:
            store.enqueue(connection, message, "letter", "{}", clock.unix_ms())


def test_the_thread_delivers_what_is_enqueued_and_ends_between_two_messages(db: Engine) -> None:
    clock = SystemClock()
    in_delivery, may_return, all_told = threading.Event(), threading.Event(), threading.Event()
    got: list[str] = []

    def deliver(message: Message) -> None:
        if message.message == "last":
            in_delivery.set()
            assert may_return.wait(30)
        got.append(message.message)
        if message.message == "first":
            all_told.set()

    thread = RelayThread(
        OutboxRelay(db, clock, {"letter": deliver}, raise_dead_letter, random.Random(7)), poll_s=30
    )
    thread.start()
    enqueue_now(db, clock, "first")
    thread.wake()
    assert all_told.wait(30)
    enqueue_now(db, clock, "last", "never")
    thread.wake()
    assert in_delivery.wait(30)
    assert not thread.stop(timeout_s=0.01), "it still delivers"
    may_return.set()
    assert thread.stop(timeout_s=30)
    assert got == ["first", "last"]
    with reading(db) as connection:
        assert [b.waiting for b in store.backlog(connection)] == [1]


def test_the_thread_outlives_a_database_that_fails(db: Engine, caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()
    clock = SystemClock()
    with writing(db) as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))
    letters = OutboxRelay(db, clock, {"letter": lambda _: told.set()}, raise_dead_letter, random.Random(7))
    thread = RelayThread(letters, poll_s=0.01)
    thread.start()
    while "round_failed" not in caplog.text:
        assert not told.wait(0.01)
    with writing(db) as connection:
        connection.execute(text("ALTER TABLE outbox_away RENAME TO outbox"))
    enqueue_now(db, clock, "a")
    thread.wake()
    assert told.wait(30)
    assert thread.stop(timeout_s=30)


def test_the_thread_waits_for_a_database_that_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "BUSY_TIMEOUT_MS", 1)
    url = f"sqlite:///{tmp_path / 'locked.sqlite'}"
    migrate.upgrade(url)
    db = room.connect(url)
    told = threading.Event()
    clock = SystemClock()
    letters = OutboxRelay(db, clock, {"letter": lambda _: told.set()}, raise_dead_letter, random.Random(7))
    thread = RelayThread(letters, poll_s=0.01)
    enqueue_now(db, clock, "a")
    with writing(db):
        thread.start()
        while "waits_for_database" not in caplog.text:
            assert not told.wait(0.01)
    thread.wake()
    assert told.wait(30)
    assert thread.stop(timeout_s=30)
    db.dispose()
