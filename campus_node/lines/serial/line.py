"""What both ends of a polled line have in common: queues, what was received, events, and the loop's frame.

`step` reads what the port received, does what is due and writes at most a frame or two. It never blocks,
never reads a clock, and no byte of anybody makes it raise."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from campus_node.lines.errors import LineDown
from campus_node.lines.events import Event, What
from campus_node.lines.line import Peer, Received
from campus_node.lines.serial.frames import FrameParser, SerialFrame
from campus_node.lines.serial.port import SerialPortDriver
from campus_node.lines.serial.timing import Timing
from campus_node.wording import Sentence

NEVER_S: Final = float("inf")
RECEIVED_MAX: Final = 4096
EVENTS_MAX: Final = 1000
REOPEN_EVERY_S: Final = 1.0


class SerialLine:
    """See `SerialHeadLine` and `SerialTerminalLine`.

    Args:
        name: what people call it, for example `rs485-1`.
        port: its serial port; closed with the line.
        own: this end's address.
    """

    def __init__(self, name: str, port: SerialPortDriver, own: Peer) -> None:
        self.own = own
        self.lost_count = 0  # messages for which nobody had room
        self.wake: Callable[[], None] = _nobody_waits
        self._name = name
        self._port = port
        self._timing = Timing(port.baud, port.slack_s)
        self._parser = FrameParser()
        self._lock = threading.RLock()
        self._arrival = threading.Condition(self._lock)
        self._received: deque[Received] = deque()
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._closed = False
        self._works = True
        self._reopen_s = 0.0
        self._now_s = 0.0
        self._sending_until_s = 0.0
        self._heard_s = 0.0  # when the last byte came

    @property
    def name(self) -> str:
        return self._name

    @property
    def baud(self) -> int:
        """The bit rate at the moment."""
        return self._timing.baud

    @property
    def broken_count(self) -> int:
        """How many starts of a frame turned out to be none."""
        return self._parser.broken_count

    def receive(self, timeout_s: float) -> Received | None:
        """See `Line.receive`."""
        with self._arrival:
            if not self._received and timeout_s > 0 and not self._closed:
                self._arrival.wait_for(lambda: self._received or self._closed, timeout_s)
            if self._received:
                return self._received.popleft()
            if self._closed:
                raise LineDown(Sentence("the line {name} is closed", name=self._name))
            return None

    def close(self) -> None:
        """See `Line.close`."""
        with self._arrival:
            if not self._closed:
                self._closed = True
                self._port.close()
                self._arrival.notify_all()
        self.wake()

    def descriptor(self) -> int | None:
        """See `Driven.descriptor`."""
        with self._lock:
            return -1 if self._closed or not self._works else self._port.descriptor()

    def events(self) -> list[Event]:
        """Return what happened since the last call, oldest first; at most EVENTS_MAX are kept."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
            return events

    def tell(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    # The loop.

    def step(self, now_s: float) -> float:
        """See `Stepped.step`."""
        with self._lock:
            self._now_s = now_s = max(now_s, self._now_s)
            if self._closed:
                return NEVER_S
            if not self._works and not self._works_again(now_s):
                return self._reopen_s
            try:
                self._hear(now_s)
                return self._act(now_s)
            except LineDown:
                self._fail(now_s)
                return self._reopen_s

    def _act(self, now_s: float) -> float:
        """Do what is due and return when to be called again."""
        raise NotImplementedError  # each end has its own part

    def _take(self, frame: SerialFrame, now_s: float) -> None:
        raise NotImplementedError  # each end hears different things

    def _bytes_came(self, now_s: float) -> None:
        """Learn that somebody spoke."""
        raise NotImplementedError

    def _unread(self, now_s: float) -> None:
        """Learn that bytes were no frame."""
        raise NotImplementedError

    def _hear(self, now_s: float) -> None:
        heard = self._port.read()
        skipped = self._parser.skipped_count
        frames: list[SerialFrame] = []
        if heard:
            self._bytes_came(now_s)
            began_s = now_s - self._timing.sending_s(len(heard))
            if self._parser.pending and began_s > self._heard_s + self._timing.gap_s:
                frames += self._parser.gap()
            self._heard_s = now_s
            frames += self._parser.feed(heard)
        elif self._parser.pending and now_s >= self._heard_s + self._timing.gap_s:
            frames += self._parser.gap()
        for frame in frames:
            self._take(frame, now_s)
        if self._parser.skipped_count > skipped:
            self._unread(now_s)

    def _write(self, frame: SerialFrame, now_s: float) -> None:
        encoded = frame.encode()
        self._port.write(encoded)
        self._sending_until_s = now_s + self._timing.sending_s(len(encoded))

    def _set_baud(self, baud: int) -> None:
        self._port.set_baud(baud)
        self._timing = Timing(baud, self._port.slack_s)
        self._parser.clear()

    def _deliver(self, received: Received) -> None:
        if len(self._received) >= RECEIVED_MAX:
            self.lost_count += 1
            return
        self._received.append(received)
        self._arrival.notify_all()

    def _demand_up(self) -> None:
        if self._closed or not self._works:
            raise LineDown(Sentence("the line {name} does not work at the moment", name=self._name))

    def _fail(self, now_s: float) -> None:
        self._works = False
        self._reopen_s = now_s + REOPEN_EVERY_S
        self._parser.clear()
        self.tell(Event(now_s, What.PORT_DOWN, self.own))

    def _works_again(self, now_s: float) -> bool:
        if now_s < self._reopen_s:
            return False
        self._works = self._port.reopen()
        self._reopen_s = now_s + REOPEN_EVERY_S
        if self._works:
            self.tell(Event(now_s, What.BUS_BACK, self.own))
        return self._works


def _nobody_waits() -> None:
    """No thread drives this line."""
