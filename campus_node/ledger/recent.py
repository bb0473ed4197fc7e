"""The newest answers, in memory, so that most ids need no look-up in the journal. Pure."""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Final

from campus_node.ledger.books import Key
from campus_node.ledger.decision import Known

_V7_MIN: Final = b"\x70"  # the byte that begins with the version
_V7_MAX: Final = b"\x7f"


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

    def known(self, keys: Collection[Key]) -> dict[Key, Known]:
        """Return what repeats are answered of those ids that are here."""
        return {key: self._answers[key] for key in self._answers.keys() & keys}

    def maybe_older(self, keys: Collection[Key]) -> list[Key]:
        """Return those ids that may be in the journal although they are not here."""
        # A UUIDv7 begins with its instant and its version (RFC 9562, 5.7). Compared as bytes, in one go:
        # every item of every batch comes here.
        since = self.since_unix_ms.to_bytes(6)
        return [key for key in keys if key[1] < since or not _V7_MIN <= key[1][6:7] <= _V7_MAX]

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
