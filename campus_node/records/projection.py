"""What a card's purse holds by its verified records, and which of its counters are missing (rules 1, 9).

For the purse the card is the truth; this is its projection. It equals the balance in the card's last record
wherever the counters have no gap.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select, text

from campus_node.records.tables import card_movements, grey_movements

_GAPS: Final = text("""
SELECT asn, purse, line, before + 1, counter - 1 FROM (
    SELECT asn, purse, line, counter,
           lag(counter) OVER (PARTITION BY asn, purse, line ORDER BY counter) AS before
    FROM card_movements) AS counted
WHERE counter > before + 1 ORDER BY asn, purse, line, counter LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Step:
    """One movement as the projection needs it."""

    counter: int
    amount_fen: int
    balance_before_fen: int
    balance_after_fen: int | None
    made_at_unix_ms: int


@dataclass(frozen=True, slots=True)
class Projection:
    """A purse by its purchases.

    Args:
        movements: how many are in the books.
        first_counter, last_counter: of them.
        missing: counters between them that nobody has brought, both ends included.
        projected_fen: balance before the first, less all purchases, plus what was loaded between two that
            follow each other.
        last_fen: what the last record says.
        grey: open ones; in no sum.
    """

    movements: int
    first_counter: int
    last_counter: int
    missing: tuple[tuple[int, int], ...]
    projected_fen: int
    last_fen: int
    grey: int


@dataclass(frozen=True, slots=True)
class CounterGap:
    """Counters of one purse that nobody has brought: both ends included."""

    asn: bytes
    purse: int
    line: int
    first: int
    through: int


def project(steps: list[Step], grey: int = 0) -> Projection | None:
    """Return the projection of one purse from its purchases, in the order of their counters; None = none.

    A load is between two purchases whose counters follow each other: the balance went up. Pure.
    """
    if not steps:
        return None
    missing = []
    projected_fen = steps[0].balance_before_fen
    for before, step in zip([None, *steps], steps, strict=False):
        if before is not None and step.counter > before.counter + 1:
            missing.append((before.counter + 1, step.counter - 1))
        elif before is not None:
            projected_fen += max(0, step.balance_before_fen - projected_fen)
        projected_fen -= step.amount_fen
    last = steps[-1]
    after_fen = last.balance_after_fen
    last_fen = last.balance_before_fen - last.amount_fen if after_fen is None else after_fen
    return Projection(
        len(steps), steps[0].counter, last.counter, tuple(missing), projected_fen, last_fen, grey
    )


def of_card(connection: Connection, asn: bytes, purse: int) -> Projection | None:
    """Return the projection of a card's purse; None where no purchase of it is in the books."""
    table, dim = card_movements, grey_movements
    that = (table.c.asn == asn) & (table.c.purse == purse) & (table.c.line == 0)
    query = select(
        table.c.counter, table.c.amount_fen, table.c.balance_before_fen, table.c.balance_after_fen,
        table.c.made_at_unix_ms,
    )  # fmt: skip
    steps = [Step(*row) for row in connection.execute(query.where(that).order_by(table.c.counter))]
    is_open = (dim.c.asn == asn) & (dim.c.purse == purse) & (dim.c.state == "open")
    grey = len(connection.execute(select(dim.c.counter).where(is_open)).all())
    return project(steps, grey)


def counter_gaps(connection: Connection, limit: int) -> list[CounterGap]:
    """Return counters that are missing between others that are here, by card. It reads all movements."""
    return [CounterGap(bytes(row[0]), *row[1:]) for row in connection.execute(_GAPS, {"limit": limit})]
