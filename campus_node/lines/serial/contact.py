"""What two ends know of each other: one segment in each direction under way, told by a sequence bit. Pure."""

from collections import deque
from typing import Final, NamedTuple

from campus_node.lines.line import MESSAGE_BYTES_MAX
from campus_node.lines.serial.frames import SerialFrame
from federation.errors import Overloaded

QUEUED_MAX: Final = 64  # messages that wait for one peer, urgent ones apart


class Segment(NamedTuple):
    """The part of a message that is under way."""

    sequence: int
    first: bool
    last: bool
    content: bytes


class Outgoing:
    """Messages to one peer, urgent ones first; a message that has begun is finished before the next."""

    def __init__(self) -> None:
        self.sequence = 0
        self._urgent: deque[bytes] = deque()
        self._plain: deque[bytes] = deque()
        self._message = b""
        self._at = 0
        self._under_way: Segment | None = None
        self._was_sent = False

    @property
    def waits(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._message or self._urgent or self._plain)

    @property
    def hurries(self) -> bool:
        """Whether something urgent waits, or would as soon as what is under way has arrived."""
        return bool(self._urgent)

    @property
    def queued(self) -> int:
        """Messages that are not yet there."""
        return len(self._urgent) + len(self._plain) + bool(self._message)

    def put(self, message: bytes, urgent: bool) -> None:
        """Queue a message. Raise Overloaded."""
        queue = self._urgent if urgent else self._plain
        if len(queue) >= QUEUED_MAX:
            raise Overloaded(retry_after_ms=100)
        queue.append(message)

    def segment(self, most_bytes: int) -> Segment | None:
        """Return what is to be sent, the same until it is accepted; None if nothing waits."""
        if self._under_way is None:
            if not self._message:
                if not self.waits:
                    return None
                self._message = (self._urgent or self._plain).popleft()
                self._at = 0
            content = self._message[self._at : self._at + most_bytes]
            last = self._at + len(content) == len(self._message)
            self._under_way = Segment(self.sequence, self._at == 0, last, content)
            self._was_sent = False
        return self._under_way

    def sent(self) -> None:
        """Note that what is under way was on the wire."""
        self._was_sent = True

    def expects(self, sequence: int) -> bool:
        """Learn which sequence the peer expects next; tell whether that makes sense."""
        if sequence == self.sequence:
            return True
        if self._under_way is None or not self._was_sent:
            return False
        self._at += len(self._under_way.content)
        self._under_way = None
        self.sequence ^= 1
        if self._at == len(self._message):
            self._message = b""
        return True

    def restart(self) -> None:
        """Begin a new contact: a message that the peer may have whole is given up, another begins anew."""
        if self._under_way is not None and self._under_way.last and self._was_sent:
            self._message = b""
        self._at, self._under_way, self.sequence = 0, None, 0

    def give_up(self) -> int:
        """Drop all and return how many messages that were."""
        dropped = self.queued
        self._urgent.clear()
        self._plain.clear()
        self._message, self._at, self._under_way = b"", 0, None
        return dropped


class Incoming:
    """Messages of one peer."""

    def __init__(self) -> None:
        self.expected = 0
        self._parts: bytearray | None = None

    def ends_message(self, frame: SerialFrame) -> bool:
        """Return whether `take` would return a message."""
        return frame.sequence == self.expected and frame.last and (frame.first or self._parts is not None)

    def take(self, frame: SerialFrame) -> bytes | None:
        """Take a segment and return the message that it ends; a repeat is taken once."""
        if frame.sequence != self.expected:
            return None
        self.expected ^= 1
        if frame.first:
            self._parts = bytearray()
        if self._parts is None:
            return None  # its beginning belonged to another contact
        self._parts += frame.payload
        if len(self._parts) > MESSAGE_BYTES_MAX:
            self._parts = None
        if not frame.last or not self._parts:
            return None
        message, self._parts = bytes(self._parts), None
        return message

    def restart(self) -> None:
        """Begin a new contact."""
        self.expected, self._parts = 0, None
