"""What carries cells: a radio module that knows addresses and checks nothing else."""

from typing import Final, NamedTuple, Protocol

from campus_node.lines.line import Peer

BITS_A_SECOND: Final = 20_000


class Heard(NamedTuple):
    """A cell that arrived, and which address it came from, as the radio says."""

    source: Peer
    cell: bytes


class Radio(Protocol):
    """A radio module: takes cells one by one, sends them when the air is free, loses some."""

    def send(self, cell: bytes, target: Peer) -> bool:
        """Take a cell of 1 to 100 bytes for an address or ALL; False while there is no place for it.

        Raises:
            LineDown: the module does not work.
        """

    def receive(self) -> Heard | None:
        """Return the next cell that arrived here, None if there is none; never wait. Raise LineDown."""

    def restart(self) -> None:
        """Try to bring back a module that does not work. Raise LineDown if it still does not."""

    def descriptor(self) -> int | None:
        """Return what select() can wait on; None where the module has nothing, -1 while nothing can come."""

    def close(self) -> None:
        """Let the module go. May be called twice."""
