"""A campus's database, its notice desk and its conductor, on both databases."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from campus_node.notices.desk import NoticeDesk
from campus_node.notices.shelf import Shelf
from campus_node.operators.audit import Actor
from federation.clock import VirtualClock
from tests.rooms.conftest import clock, db, sqlite_template, url

__all__ = ["clock", "db", "sqlite_template", "url"]

ALICE = Actor("alice", "test")


@pytest.fixture
def notice_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(b"notice key of a test campus".ljust(32, b"."))


@pytest.fixture
def hotlist_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(b"hotlist key of a test campus".ljust(32, b"."))


@pytest.fixture
def firmware_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(b"maker of test firmware".ljust(32, b"."))


@pytest.fixture
def desk(
    db: Engine,
    notice_key: Ed25519PrivateKey,
    hotlist_key: Ed25519PrivateKey,
    clock: VirtualClock,
    tmp_path: Path,
) -> NoticeDesk:
    return NoticeDesk(db, notice_key, hotlist_key, Shelf(tmp_path / "distribution"), clock)
