"""Terminals, spools and records with sane defaults, for tests."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, select

from campus_node.database.connect import connect, reading, writing
from campus_node.ledger.chart import AccountClass, account_number
from campus_node.records.spooled import Spooled
from campus_node.records.tables import record_conflicts, terminal_records
from campus_node.registry.terminals import PsamKey, Terminal, register
from campus_node.watch.store import find
from federation.clock import Clock
from tests.serving.node import Campus

CANTEEN = account_number(AccountClass.MERCHANT_PAYABLE, 1)
SPOOL = bytes(range(16))
OTHER_SPOOL = bytes(range(16, 32))
JOURNAL = b"J" * 16
OTHER_JOURNAL = b"K" * 16


def terminal(number: int, gateway: str = "canteen", **fields: Any) -> Terminal:  # any field of a Terminal
    values: dict[str, Any] = {
        "terminal_id": number.to_bytes(6, "big"),
        "name": f"till-{number}",
        "model": "pos-1",
        "psam_serial": number.to_bytes(10, "big"),
        "psam_key": PsamKey(),
        "gateway": gateway,
        "merchant_account": CANTEEN,
    }
    return Terminal(**(values | fields))


SEVEN = terminal(7)
FOURTEEN = terminal(14)


def register_all(db: Engine, clock: Clock, *terminals: Terminal) -> None:
    with writing(db) as connection:
        for each in terminals:
            register(connection, each, clock.unix_ms())


def record(seq: int, position: int = 0, body: bytes | None = None, **fields: Any) -> Spooled:
    """A record of SEVEN's journal; its position in the spool is its number unless another is given."""
    said = b"record %d" % seq if body is None else body
    return Spooled(position or seq, SEVEN.terminal_id, JOURNAL, seq, said, 1_788_220_800_000)._replace(
        **fields
    )


def placed(records: Sequence[Spooled], first_position: int = 1) -> list[Spooled]:
    """The same records one behind the other in a spool."""
    return [each._replace(position=first_position + at) for at, each in enumerate(records)]


def rows(db: Engine) -> list[tuple[bytes, int, bytes, int]]:
    """Journal, number, body and outcome of every record that is kept."""
    table = terminal_records
    query = select(table.c.journal_id, table.c.seq, table.c.body, table.c.outcome)
    with reading(db) as connection:
        found = connection.execute(query.order_by(table.c.journal_id, table.c.seq))
        return [(bytes(row[0]), row[1], bytes(row[2]), row[3]) for row in found]


def held(db: Engine) -> list[tuple[int, bytes]]:
    """Number and body of every content that contradicts another."""
    query = select(record_conflicts.c.seq, record_conflicts.c.body)
    with reading(db) as connection:
        return sorted((row[0], bytes(row[1])) for row in connection.execute(query))


def alarms(db: Engine) -> Counter[str]:
    """How often each alarm was raised, by name."""
    with reading(db) as connection:
        return Counter({each.alarm.name: each.occurrences for each in find(connection)})


def books(campus: Campus) -> Engine:
    """The database of a campus that keeps it in a file."""
    return connect(f"sqlite:///{campus.ledger_path}")
