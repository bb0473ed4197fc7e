"""What goes wrong on a line, by what the caller must do.

Refused
├── MessageSize          a message that no line carries: empty, or longer than the line takes
└── FrameBroken          bytes that are no frame, envelope or message of ours: noise, or a stranger
Unavailable
├── LineDown             the line itself is gone: closed, unplugged, off the bus
├── PeerGone             the line works and this peer does not answer on it
├── SessionMissing       no session with this peer yet, or not any more: begin one
└── SessionSpent         the session's counter is used up: begin the next one
Tampered
├── Forged               the tag does not follow from the bytes: injected, changed, or another key
└── Replayed             the tag is right and this message was already taken

`federation.errors.Overloaded` (Unavailable) is raised by a full queue. No text here holds a key or plaintext.
"""

from campus_node.wording import Sentence
from federation.errors import Refused, Tampered, Unavailable


class MessageSize(Refused):
    """A message is empty or longer than this line carries.

    Args:
        given_bytes: how long it is.
        most_bytes: how long it may be.
    """

    def __init__(self, given_bytes: int, most_bytes: int) -> None:
        super().__init__(
            Sentence("a message of {given} bytes, must be 1 to {most}", given=given_bytes, most=most_bytes)
        )


class FrameBroken(Refused):
    """Bytes that were received are no frame of ours. The message says why, never what they were."""


class LineDown(Unavailable):
    """The line is closed or does not work; `send` and `receive` fail until it is up again."""


class PeerGone(Unavailable):
    """The peer does not answer, or nobody is connected under this address."""


class SessionMissing(Unavailable):
    """There is no session with this peer."""


class SessionSpent(Unavailable):
    """The session has no counter left; begin the next one."""


class Forged(Tampered):
    """The tag is wrong."""


class Replayed(Tampered):
    """The counter was taken before, or is too far behind to tell."""
