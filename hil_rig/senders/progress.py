"""How far senders are: counters in memory that parent and children share, so that telling costs nothing."""

import mmap
from dataclasses import dataclass
from typing import Final

FIELDS: Final = (
    "appended", "durable", "backed_up", "under_way", "sent", "acknowledgements", "sessions", "done",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """All senders of a segment together.

    Args:
        senders: how many run.
        appended, durable, backed_up: records.
        under_way: records that were sent and are not acknowledged now.
        sent: parcels handed to the line since the start.
        acknowledgements: that were heard, repeats too.
        sessions: that began.
        connected: senders that ever had a session.
        done: senders that have all records acknowledged.
        ended: senders that ended, for whatever reason.
    """

    senders: int = 0
    appended: int = 0
    durable: int = 0
    backed_up: int = 0
    under_way: int = 0
    sent: int = 0
    acknowledgements: int = 0
    sessions: int = 0
    connected: int = 0
    done: int = 0
    ended: int = 0


class Slot:
    """One sender's counters. Each is 8 bytes that only this sender writes."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    @property
    def acknowledgements(self) -> int:
        return int(self._view[FIELDS.index("acknowledgements")])

    @acknowledgements.setter
    def acknowledgements(self, count: int) -> None:
        self._view[FIELDS.index("acknowledgements")] = count

    def put(self, **counts: int) -> None:
        """Write counters by name."""
        for name, count in counts.items():
            self._view[FIELDS.index(name)] = int(count)

    def read(self) -> dict[str, int]:
        """Return all counters."""
        return dict(zip(FIELDS, self._view.tolist(), strict=True))


class Board:
    """The counters of all senders; make it before they part. Args: senders: how many."""

    def __init__(self, senders: int) -> None:
        numbers = memoryview(mmap.mmap(-1, senders * len(FIELDS) * 8)).cast("Q")
        width = len(FIELDS)
        self.slots = [Slot(numbers[i * width : (i + 1) * width]) for i in range(senders)]

    def progress(self, ended: int) -> Progress:
        """Return the sums. Args: ended: how many senders ended."""
        rows = [slot.read() for slot in self.slots]
        sums = {name: sum(row[name] for row in rows) for name in FIELDS}
        connected = sum(row["sessions"] > 0 for row in rows)
        return Progress(senders=len(rows), connected=connected, ended=ended, **sums)
