"""Makes spools and what is brought to them, for tests."""

import os
from collections.abc import Sequence
from pathlib import Path

from campus_node.gateway.spool import Spool
from campus_node.gateway.spool_turn import Brought, Settled

TILL = bytes.fromhex("000000000001")
JOURNAL = b"journal one     "
OTHER = b"journal two     "


def open_spool(path: Path, records_max: int = 1_000) -> Spool:
    return Spool(path / "spool.sqlite", records_max, os.urandom)


def body(seq: int, what: str = "sale") -> bytes:
    return f"{what} {seq}".encode()


def brought(first: int, last: int, journal: bytes = JOURNAL, what: str = "sale", **more: bool) -> Brought:
    return Brought(TILL, journal, first, [body(seq, what) for seq in range(first, last + 1)], **more)


def take(spool: Spool, *batch: Brought) -> Sequence[Settled]:
    return spool.take(batch, 1_788_220_800_000)


def marks(settled: Settled) -> tuple[int, int]:
    assert settled.marks is not None
    return settled.marks.durable_through, settled.marks.backed_up_through


def begun(path: Path, records_max: int = 1_000) -> Spool:
    """Return an open spool to which both journals are known from their beginning."""
    spool = open_spool(path, records_max)
    spool.safe_through(TILL, JOURNAL, 0)
    spool.safe_through(TILL, OTHER, 0)
    return spool
