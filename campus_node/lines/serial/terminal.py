"""A terminal's end of a polled line: speaks when it is asked, finds the rate by itself (B4.1, B4.2)."""

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from campus_node.lines.distribution import BlockReceiver
from campus_node.lines.errors import PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import ALL, HEAD, Peer, Received, check_message, terminal_address
from campus_node.lines.serial.contact import Incoming, Outgoing
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.line import NEVER_S, RECEIVED_MAX, SerialLine
from campus_node.lines.serial.port import SerialPortDriver
from campus_node.lines.serial.rate_search import RateSearch
from campus_node.lines.serial.search import matches, rate_told
from campus_node.lines.serial.spread_receiver import SpreadReceiver
from campus_node.wording import Sentence

SERIAL_BYTES: Final = 10
CONFLICT_EVERY_S: Final = 1.0
NOTICES_REMEMBERED: Final = 32
NOTICE_AGAIN_S: Final = 1.0  # each comes twice, with its sequence, and is taken once
ALONE_S: Final = 30.0  # so long without being asked, and what waits is given up
ROOM: Final = RECEIVED_MAX - 64


class SerialTerminalLine(SerialLine):
    """A terminal's end; its only peer is HEAD.

    Args:
        name: what people call it.
        port: its serial port.
        address: 1 to 254.
        serial: what tells this device from all others, 10 bytes: its PSAM's serial number.
        rates: bit rates that it tries while it understands nothing; with none it stays at the port's.
    """

    def __init__(
        self, name: str, port: SerialPortDriver, address: int, serial: bytes, *, rates: Sequence[int] = ()
    ) -> None:
        super().__init__(name, port, terminal_address(address))
        if len(serial) != SERIAL_BYTES:
            raise ValueError(f"a serial number of {len(serial)} bytes, must be {SERIAL_BYTES}")
        self._serial = serial
        self._rates = RateSearch(port.baud, rates)
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        self._in_contact = False
        self._answer: SerialFrame | None = None
        self._answer_s = NEVER_S
        self._last_sent: SerialFrame | None = None
        self._notices: deque[tuple[float, SerialFrame]] = deque(maxlen=NOTICES_REMEMBERED)
        self._receiver: SpreadReceiver | None = None
        self._told_baud: int | None = None
        self._asked_s: float | None = None
        self._conflict_s = -CONFLICT_EVERY_S

    def attach_receiver(self, receiver: BlockReceiver) -> None:
        """Have images that come to all stored by this receiver."""
        with self._lock:
            self._receiver = SpreadReceiver(receiver)

    def asked_within(self, now_s: float, seconds: float) -> bool:
        """Tell whether the head has polled this terminal so lately."""
        return self._in_contact and self._asked_s is not None and now_s - self._asked_s < seconds

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`. Raise PeerGone for anybody but HEAD."""
        check_message(message)
        if peer != HEAD:
            raise PeerGone(Sentence("a terminal reaches the head only, not {address}", address=peer))
        with self._lock:
            self._demand_up()
            self._outgoing.put(bytes(message), urgent)
        self.wake()

    # The loop.

    def _act(self, now_s: float) -> float:
        if self._asked_s is None:
            self._asked_s = now_s
            self._rates.begin(now_s)
        if self._answer is not None and now_s >= self._answer_s:
            answer, self._answer = self._answer, None
            if now_s <= self._answer_s + self._timing.answer_within_s - self._timing.turn_s:
                if answer.kind is Kind.SEGMENT:
                    self._outgoing.sent()
                self._last_sent = answer
                self._write(answer, now_s)
        if self._told_baud is not None and self._answer is None and now_s >= self._sending_until_s:
            self._set_baud(self._told_baud)
            self._told_baud = None
        if (rate := self._rates.next_rate(self.baud, now_s)) is not None:
            self._answer = None
            self._set_baud(rate)
        if self._outgoing.waits and now_s >= self._asked_s + ALONE_S:
            self._outgoing.give_up()  # whoever needs an answer repeats
            self._asked_s = now_s
        due_s = self._sending_until_s if self._told_baud is not None else NEVER_S
        due_s = min(due_s, self._rates.due_s, self._asked_s + ALONE_S if self._outgoing.waits else NEVER_S)
        if self._parser.pending:
            due_s = min(due_s, self._heard_s + self._timing.gap_s)
        return min(due_s, self._answer_s) if self._answer is not None else due_s

    def _bytes_came(self, _now_s: float) -> None:
        self._answer = None  # somebody speaks: the moment to answer is over

    def _unread(self, _now_s: float) -> None:
        self._rates.noise()

    def _take(self, frame: SerialFrame, now_s: float) -> None:
        if frame == self._last_sent:
            return  # our own, heard by our own receiver
        self._answer = None
        self._rates.understood(self.baud, now_s)
        if frame.source == self.own:
            self._tell_conflict(now_s)
        elif frame.source != HEAD:
            return
        elif frame.kind is Kind.DISCOVER and (baud := rate_told(frame.payload)) is not None:
            self._learn_rate(frame, baud, now_s)
        elif frame.to == ALL:
            self._take_for_all(frame, now_s)
        elif frame.to == self.own:
            self._asked_s = now_s
            self._plan(self._reply(frame), now_s)

    def _plan(self, answer: SerialFrame | None, now_s: float) -> None:
        self._last_sent = None
        self._answer = answer
        self._answer_s = now_s + self._timing.turn_s

    def _learn_rate(self, frame: SerialFrame, baud: int, now_s: float) -> None:
        """The head looks for somebody at another rate than the line's: answer, and change if it may be."""
        if frame.to == self.own:
            self._plan(self._frame(Kind.DISCOVER, payload=self._serial), now_s)
        if baud != self.baud and self._rates.may_be(baud):
            self._told_baud = baud

    def _tell_conflict(self, now_s: float) -> None:
        if now_s - self._conflict_s >= CONFLICT_EVERY_S:
            self._conflict_s = now_s
            self.tell(Event(now_s, What.ADDRESS_CONFLICT, self.own, hint=True))

    def _take_for_all(self, frame: SerialFrame, now_s: float) -> None:
        if frame.kind is Kind.NOTICE and frame.payload:
            if not any(frame == one and now_s - at_s < NOTICE_AGAIN_S for at_s, one in self._notices):
                self._notices.append((now_s, frame))
                self._deliver(Received(HEAD, frame.payload))
        elif frame.kind is Kind.BLOCK and self._receiver is not None:
            self._receiver.take(frame.payload)

    def _reply(self, frame: SerialFrame) -> SerialFrame | None:
        match frame.kind:
            case Kind.DISCOVER:
                return self._discovered(frame.payload)
            case Kind.MISSING if self._receiver is not None:
                answer = self._receiver.answer(frame.payload)
                return None if answer is None else self._frame(Kind.MISSING, payload=answer)
            case Kind.POLL | Kind.SEGMENT if not self._in_contact:
                return self._frame(Kind.DISCOVER, payload=self._serial)
            case Kind.POLL:
                return self._polled(frame)
            case Kind.SEGMENT:
                return self._segment(frame)
            case Kind.ACK:
                self._outgoing.expects(frame.sequence)
        return None  # the head's ACK and BUSY want no answer

    def _discovered(self, wanted: bytes) -> SerialFrame | None:
        if wanted and not matches(wanted, hashlib.sha256(self._serial).digest()):
            return None
        if not wanted:
            self._in_contact = True
            self._outgoing.restart()
            self._incoming.restart()
        return self._frame(Kind.DISCOVER, payload=self._serial)

    def _polled(self, frame: SerialFrame) -> SerialFrame:
        if not self._outgoing.expects(frame.sequence):
            self._in_contact = False  # each believes something else: begin anew
            return self._frame(Kind.DISCOVER, payload=self._serial)
        segment = self._outgoing.segment(self._timing.segment_bytes)
        if segment is None:
            return self._frame(Kind.ACK, sequence=self._incoming.expected)
        return SerialFrame(
            HEAD,
            self.own,
            Kind.SEGMENT,
            segment.sequence,
            segment.first,
            segment.last,
            self._outgoing.queued > 1 or not segment.last,
            segment.content,
        )

    def _segment(self, frame: SerialFrame) -> SerialFrame:
        if len(self._received) >= ROOM and self._incoming.ends_message(frame):
            return self._frame(Kind.BUSY, sequence=self._incoming.expected)
        message = self._incoming.take(frame)
        if message is not None:
            self._deliver(Received(HEAD, message))
        return self._frame(Kind.ACK, sequence=self._incoming.expected)

    def _frame(self, kind: Kind, *, sequence: int = 0, payload: bytes = b"") -> SerialFrame:
        return SerialFrame(
            HEAD, self.own, kind, sequence, more=self._outgoing.waits and kind is Kind.ACK, payload=payload
        )
