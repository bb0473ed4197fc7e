"""Right books first: what every benchmark checks after a round."""

from sqlalchemy import Engine, func, select

from bench.harness import BenchBroken
from campus_node.database.connect import reading
from campus_node.ledger import proof
from campus_node.ledger.tables import transfers
from federation.errors import JournalBroken


def require_sound(name: str, database: Engine, rows: int) -> None:
    """Return if the journal has exactly the acknowledged rows, balances follow from it, and the chain holds.

    Raises:
        BenchBroken: one of it does not hold.
    """
    with reading(database) as connection:
        found = connection.execute(select(func.count()).select_from(transfers)).scalar_one()
    if found != rows:
        raise BenchBroken(f"{name}: {found} rows in the journal, {rows} were acknowledged")
    differences = proof.check(database)
    if differences:
        raise BenchBroken(f"{name}: {len(differences)} differences, the first is {differences[0]}")
    try:
        proof.verify_chain(database).require_whole()
    except JournalBroken as error:
        raise BenchBroken(f"{name}: {error}") from error
