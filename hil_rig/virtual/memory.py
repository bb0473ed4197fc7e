"""Non-volatile memory of a card: named slots, changed by one atomic commit at a time."""

from collections.abc import Mapping
from pathlib import Path


class PowerLost(Exception):
    """The power went while the chip worked: whatever was volatile is gone.

    Args:
        sent: the bytes of the answer that had left before.
    """

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__(f"the power was lost after {len(sent)} bytes of the answer")
        self.sent = sent


class Memory:
    """The slots of one chip.

    `writes` counts the writes to the medium since the memory was made.
    """

    writes: int

    def __init__(self) -> None:
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> "Memory":
        """Return the memory that this file holds, made if it is not there; it is locked until `close`."""
        raise NotImplementedError

    @property
    def slots(self) -> Mapping[str, bytes]:
        """What is stored."""
        raise NotImplementedError

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Store all of these changes or, if the power goes, none; None takes a slot away.

        Raises:
            PowerLost: at a tear that was planned.
        """
        raise NotImplementedError

    def tear(self, write: int, byte: int) -> None:
        """Plan to lose power at the write'th write from now (1 = the next), after `byte` bytes of it."""
        raise NotImplementedError

    def recover(self) -> None:
        """Bring the slots back to the last complete commit, as a chip does when its power comes."""
        raise NotImplementedError

    def close(self) -> None:
        """Let the file go."""
        raise NotImplementedError
