"""The newest answers, in memory, so that most ids need no look-up in the journal. Pure."""

from collections import deque
from collections.abc import Collection, Mapping

from campus_node.ledger.books import Key
from campus_node.ledger.decision import Known
from federation.ids import made_at_unix_ms


class RecentAnswers:
    """Hash and answer of the newest ids, by whole batches.

    An id that is not here is new, or older than what is here. A UUIDv7 tells its age; where that misleads (a
    clock ahead, a repeat after hours) the journal's primary key catches it.

    Args:
        ids_max: ids kept; the oldest batch goes first.
    """

    def __init__(self, ids_max: int) -> None:
        self._ids_max = ids_max
        self._answers: dict[Key, Known] = {}
        self._batches: deque[Collection[Key]] = deque()
        self._instants: deque[int] = deque()
        self.since_unix_ms = 0  # ids that were answered later are here

    def known(self, key: Key) -> Known | None:
        """Return what a repeat of this id is answered, None if it is not here."""
        return self._answers.get(key)

    def may_be_older(self, key: Key) -> bool:
        """Tell whether an id that is not here may be in the journal."""
        return made_at_unix_ms(key[1]) < self.since_unix_ms

    def add(self, fresh: Mapping[Key, Known]) -> None:
        """Keep the answers of a batch that is decided."""
        self._answers.update(fresh)

    def forget(self, fresh: Mapping[Key, Known]) -> None:
        """Drop the answers of a batch that was not committed."""
        for key in fresh:
            del self._answers[key]

    def committed(self, fresh: Mapping[Key, Known], at_unix_ms: int) -> None:
        """Let a committed batch age, and the oldest go when there are too many."""
        self._batches.append(fresh.keys())
        self._instants.append(at_unix_ms)
        while len(self._answers) > self._ids_max and self._batches:
            self.since_unix_ms = self._instants.popleft()
            for key in self._batches.popleft():
                del self._answers[key]
