"""One end of a line: whole messages to and from peers, whatever the wire is.

Virtual and real lines are the same to the caller and pass the same suite, tests/lines/contract.py. What the
messages are and how they are protected is written in docs/wire.md; a line neither knows nor cares.
"""

from typing import Final, NamedTuple, NewType, Protocol

from campus_node.lines.errors import MessageSize

MESSAGE_BYTES_MAX: Final = 4095  # what one ISO-TP transfer with a 12-bit length carries

Peer = NewType("Peer", int)
"""An address on this line, one byte: HEAD, a terminal 1 to 254, or ALL."""

HEAD: Final = Peer(0)  # the gateway's end
ALL: Final = Peer(255)  # every terminal at once; only the head sends to it
TERMINAL_MIN: Final = Peer(1)
TERMINAL_MAX: Final = Peer(254)


class Received(NamedTuple):
    """A whole message and who sent it, as the wire says; only the envelope proves it."""

    peer: Peer
    message: bytes


class Line(Protocol):
    """One end of a line that carries whole messages; segmentation is inside.

    Messages between two ends arrive whole, in order and at most once, or not at all: a line may lose, so that
    whoever needs an answer repeats. `urgent` may overtake what is not.
    """

    @property
    def name(self) -> str:
        """What people call it, for example `can0`."""

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """Queue a message of 1 to MESSAGE_BYTES_MAX bytes, in order with others to this peer; never waits.

        Args:
            peer: whom; a terminal's line has HEAD only.
            urgent: ahead of what is not, where the wire has classes.

        Raises:
            MessageSize: the message is empty or too long for this line.
            Overloaded: too much is queued.
            PeerGone: the line knows that this peer is not there.
            LineDown: the line is closed or does not work.
        """

    def receive(self, timeout_s: float) -> Received | None:
        """Return the next message, or None after timeout_s of silence; 0 does not wait. Raise LineDown."""

    def close(self) -> None:
        """Let the wire go; afterwards `send` and `receive` raise LineDown. May be called twice."""


class Stepped(Protocol):
    """What is driven by one loop: a thread, or a discrete-event clock."""

    def step(self, now_s: float) -> float:
        """Do all that is due, without blocking, and return the instant to be called again at, at the latest.

        Args:
            now_s: monotonic seconds; never smaller than before.
        """


def check_message(message: bytes, most_bytes: int = MESSAGE_BYTES_MAX) -> None:
    """Raise MessageSize unless the message has 1 to most_bytes bytes."""
    if not 1 <= len(message) <= most_bytes:
        raise MessageSize(len(message), most_bytes)


def terminal_address(address: int) -> Peer:
    """Return the address of a terminal. Raise ValueError unless it is 1 to 254."""
    if not TERMINAL_MIN <= address <= TERMINAL_MAX:
        raise ValueError(f"{address} is no terminal's address, must be {TERMINAL_MIN} to {TERMINAL_MAX}")
    return Peer(address)
