"""A terminal's storage that loses power in the middle of any write: the journal's other storage beside a
file.

What was written and not synced may or may not be there after a power cut, byte by byte; what was synced is.
A planned cut says which bytes of which write reach the disk, and everything after it fails, as it does for a
process without power. `after_the_cut` is the disk that the next process finds.
"""

from dataclasses import dataclass

from hil_rig.virtual.memory import PowerLost


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut within one write.

    Args:
        write: which one, counted from 1.
        first, last: the bytes of it that reach the disk, as in `content[first:last]`; equal = none of them.
    """

    write: int
    first: int
    last: int


class TornStorage:
    """Storage in memory. It implements `campus_node.terminal.storage.Storage`.

    Args:
        content: what is on the disk at first.
        cut: where the power goes, if it does.
    """

    def __init__(self, content: bytes, cut: Cut | None = None) -> None:
        self._seen = bytearray(content)  # by the process
        self._disk = bytearray(content)  # as of the last sync
        self._cut = cut
        self._dead = False
        self.writes = 0

    @property
    def fired(self) -> bool:
        """Whether the planned cut has happened."""
        return self._dead

    def plan(self, cut: Cut) -> None:
        """Plan a cut; writes are counted from the first one of this object's life."""
        self._cut = cut

    def after_the_cut(self) -> bytes:
        """Return what is on the disk if the power goes now: what was not synced is lost."""
        return bytes(self._disk)

    def after_a_kill(self) -> bytes:
        """Return what the next process sees if only this one dies: what was written, synced or not."""
        return bytes(self._seen)

    def size(self) -> int:
        self._demand_power()
        return len(self._seen)

    def read(self, offset: int, length: int) -> bytes:
        self._demand_power()
        return bytes(self._seen[offset : offset + length])

    def write(self, offset: int, content: bytes) -> None:
        self._demand_power()
        self.writes += 1
        if self._cut is None or self._cut.write != self.writes:
            _put(self._seen, offset, content)
            return
        landed = content[self._cut.first : self._cut.last]
        for bytes_there in (self._seen, self._disk):
            _put(bytes_there, offset + self._cut.first, landed)
        self._dead = True
        raise PowerLost

    def sync(self) -> None:
        self._demand_power()
        self._disk[:] = self._seen

    def close(self) -> None:
        """There is nothing to let go."""

    def _demand_power(self) -> None:
        if self._dead:
            raise PowerLost


def _put(there: bytearray, offset: int, content: bytes) -> None:
    missing = offset + len(content) - len(there)
    there.extend(bytes(max(missing, 0)))
    there[offset : offset + len(content)] = content
