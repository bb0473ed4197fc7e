"""Takes the records of gateways' spools: once each, with the first answer for every repeat."""

from collections.abc import Sequence

from sqlalchemy import Engine

from campus_node.records.spooled import Marks, Missing, Outcome, Spooled
from federation.clock import Clock


class Intake:
    """Where all gateways' records come in.

    Args:
        db: where they are kept.
        clock: wall time.
        covered_by_backup: whether a record counts as covered only when a backup that holds it was made;
            otherwise as soon as it is committed.
    """

    def __init__(self, db: Engine, clock: Clock, *, covered_by_backup: bool = False) -> None:
        self._db = db
        self._clock = clock
        self._covered_by_backup = covered_by_backup

    def attach(self, gateway: str, spool_id: bytes, last_position: int, oldest_position: int) -> Marks:
        """Return how far a spool has come, after what its gateway says of itself.

        Args:
            last_position: the highest that the spool gave out; below what we know the spool was put back.
            oldest_position: the lowest that it still has; 0 = none.

        Raises:
            StoreDown, OutcomeUnknown: ask again.
        """
        raise NotImplementedError

    def take(self, gateway: str, spool_id: bytes, records: Sequence[Spooled]) -> list[Outcome]:
        """Take one message in one transaction; return what became of each record.

        Raises:
            Unreadable: no records, too many, positions that do not follow one another or the watermark, or
                a field out of its range. Nothing was taken.
            StoreDown, OutcomeUnknown: send it again.
        """
        raise NotImplementedError

    def marks(self, gateway: str, spool_id: bytes) -> Marks:
        """Return how far a spool has come; zeros for one that never was here."""
        raise NotImplementedError

    def missing(self, gateway: str, older_than_ms: int, again_after_ms: int, limit: int) -> list[Missing]:
        """Return what to ask a gateway's terminals for once more, and remember that it was asked.

        Args:
            older_than_ms: how long a number may be missing before it is asked for.
            again_after_ms: when a journal that was asked for is asked for once more.
        """
        raise NotImplementedError
