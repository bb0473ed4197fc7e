"""What goes into a spool and comes out of it, and a transaction under way. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from campus_node.gateway.spool_journals import Journal, Marks

FREED_AT_ONCE: Final = 256  # rows overwritten at a time


@dataclass(frozen=True, slots=True)
class Brought:
    """Records of one journal, as one message brought them.

    Args:
        terminal_id: whose session; 6 bytes.
        journal_id: 16 bytes.
        first_seq: number of the first one, from 1.
        bodies: 0 to 486 bytes each.
        recollected: the node had asked for them once more.
    """

    terminal_id: bytes
    journal_id: bytes
    first_seq: int
    bodies: Sequence[bytes]
    recollected: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one message; durable.

    Args:
        marks: what may be acknowledged; None = where this journal begins is not known yet.
        verdicts: (seq, outcome) of records that are not simply taken; a repeated one gets its first answer.
        conflicts: numbers whose content differs from what was here; kept as well.
        full: there was no room: nothing of the message was kept.
    """

    marks: Marks | None
    verdicts: tuple[tuple[int, int], ...] = ()
    conflicts: tuple[int, ...] = ()
    full: bool = False


class SpooledRow(NamedTuple):
    """One record in the spool; fields as in `pb.SpooledRecord`."""

    position: int
    terminal_id: bytes
    journal_id: bytes
    seq: int
    body: bytes
    taken_at_unix_ms: int
    recollected: int


class SpoolState(NamedTuple):
    """What a spool says of itself. `oldest_position` is 0 if it is empty."""

    spool_id: bytes
    oldest_position: int
    last_position: int
    committed_through: int
    covered_through: int
    size: int

    @property
    def waiting(self) -> int:
        """How many records wait for the node."""
        return self.last_position - self.committed_through


@dataclass(slots=True)
class Turn:
    """A transaction under way: becomes the truth when it is committed."""

    oldest: int
    last: int
    covered: int
    size: int
    now_unix_ms: int
    journals: dict[bytes, Journal] = field(default_factory=dict)
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def room_for(self, count: int) -> bool:
        """Make room by letting covered ones go; False if there is none, then nothing is let go."""
        lack = self.last - self.oldest + 1 + count - self.size
        if lack <= 0:
            return True
        free = min(self.covered, self.last) - self.oldest + 1
        if lack > free:
            return False
        self.oldest += min(free, max(lack, FREED_AT_ONCE))
        return True
