"""What a spool knows of each journal: how far it is here without a gap. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Marks(NamedTuple):
    """The two marks of one journal, as `RecordsTaken` carries them; backed_up_through <= durable_through."""

    journal_id: bytes
    durable_through: int
    backed_up_through: int


@dataclass(slots=True)
class Journal:
    """One terminal's journal.

    Args:
        terminal_id: whose session brought it last; 6 bytes.
        durable_through: every record up to it is here, or was safe before it came here; None = nobody said
            yet where this journal begins for us, so nothing may be acknowledged.
        backed_up_through: every record up to it is covered by the node's backup.
        highest: the highest number that ever came; 0 = none.
        ahead: numbers above durable_through that are here, behind a gap.
    """

    terminal_id: bytes
    durable_through: int | None = None
    backed_up_through: int = 0
    highest: int = 0
    ahead: set[int] = field(default_factory=set)

    def copy(self) -> "Journal":
        """Return one that can be changed without changing this one."""
        return replace(self, ahead=set(self.ahead))

    def came(self, seq: int) -> None:
        """Note a record that is being written."""
        self.highest = max(self.highest, seq)
        if self.durable_through is None or seq > self.durable_through:
            self.ahead.add(seq)
            self._close_gap()

    def safe_through(self, seq: int) -> None:
        """Note that the terminal itself calls every record up to seq backed up.

        That is where a journal begins for a spool that has not seen it before: the terminal still has
        everything above, also what another spool, lost by now, had acknowledged.
        """
        self.durable_through = max(self.durable_through or 0, seq)
        self.backed_up_through = max(self.backed_up_through, seq)
        self.ahead = {each for each in self.ahead if each > self.durable_through}
        self._close_gap()

    def covered_before(self, first_uncovered: int | None) -> None:
        """Set the second mark by the lowest number that is here and not covered; None = all are."""
        if self.durable_through is None:
            return
        through = self.durable_through if first_uncovered is None else first_uncovered - 1
        self.backed_up_through = min(self.durable_through, through)

    def restore(self, seqs: Iterable[int]) -> None:
        """Note what is in the file above the first mark, after it was opened."""
        self.ahead = set(seqs)
        self._close_gap()

    def marks(self, journal_id: bytes) -> Marks | None:
        """Return what may be acknowledged; None = nothing yet."""
        if self.durable_through is None:
            return None
        return Marks(journal_id, self.durable_through, min(self.backed_up_through, self.durable_through))

    def _close_gap(self) -> None:
        if self.durable_through is None:
            return
        while self.durable_through + 1 in self.ahead:
            self.durable_through += 1
            self.ahead.discard(self.durable_through)
