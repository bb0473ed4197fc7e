"""The head's end of a polled line: asks in turn, sends what waits, names who disturbs (B4.1, B4.4, A12)."""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from campus_node.lines.errors import PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import ALL, HEAD, Peer, Received, check_message, terminal_address
from campus_node.lines.serial.frames import PAYLOAD_BYTES_MAX, Kind, SerialFrame
from campus_node.lines.serial.line import SerialLine
from campus_node.lines.serial.port import SerialPortDriver
from campus_node.lines.serial.prober import BROKEN_MAX, Found, Probe, Prober
from campus_node.lines.serial.schedule import IDLE_S, Contact, Schedule, Standing
from campus_node.lines.serial.search import rate_payload
from campus_node.lines.serial.spread_sender import SpreadSender
from campus_node.lines.serial.timing import RATES
from campus_node.lines.serial.watch import WireWatch
from campus_node.wording import Sentence
from federation.errors import Overloaded

REPEATS: Final = 3  # after silence
REPEATS_MAX: Final = 10  # after anything, for example answers that noise hit
RETRY_S: Final = 0.01  # others have the line before a repeat
BUSY_S: Final = 0.1
NOTICES_MAX: Final = 64
NOTICE_AGAIN_S: Final = 0.05  # it goes twice: nobody answers
FALSE_HEAD_EVERY_S: Final = 1.0
STEP_AT_LEAST_EVERY_S: Final = 0.5


class Addresses(NamedTuple):
    """Who is on a line.

    Args:
        known: those that answer.
        slow: those that are there and of no use: two under one address, or at another rate.
        silent: those that should be there, or were, and do not answer.
    """

    known: frozenset[int]
    slow: frozenset[int]
    silent: frozenset[int]


@dataclass(slots=True)
class Exchange:
    """What was asked last and is not yet answered."""

    address: int
    kind: Kind
    began_s: float
    until_s: float
    probe: Probe | None = None
    heard: bool = False
    broken: bool = False


class SerialHeadLine(SerialLine):
    """The head's end. `send(ALL, …)` reaches everybody without an answer, up to PAYLOAD_BYTES_MAX bytes.

    Args:
        name: what people call it.
        port: its serial port, at the rate of the line.
        addresses: terminals that should be there, 1 to 254; asked first and missed if they are not.
        discover: all addresses where somebody may turn up.
        rates: bit rates at which a silent terminal is looked for, too.
        idle_s: a terminal that has nothing is asked no sooner again.
    """

    def __init__(
        self,
        name: str,
        port: SerialPortDriver,
        *,
        addresses: Iterable[int] = (),
        discover: Iterable[int] = range(1, 255),
        rates: Sequence[int] = RATES,
        idle_s: float = IDLE_S,
    ) -> None:
        super().__init__(name, port, HEAD)
        self.watch = WireWatch()
        self._schedule = Schedule(idle_s)
        planned, others = ([terminal_address(each) for each in some] for some in (addresses, discover))
        other_rates = [rate for rate in rates if rate != port.baud]
        self._prober = Prober(self._schedule, self.watch, planned, others, other_rates)
        self._base_baud = port.baud
        self._exchange: Exchange | None = None
        self._free_s = 0.0
        self._notices: deque[tuple[float, bool, SerialFrame]] = deque()
        self._notice_sequence = 0
        self._spread: SpreadSender | None = None
        self._last_sent: SerialFrame | None = None
        self._false_head_s = -FALSE_HEAD_EVERY_S

    # What callers of any thread use.

    def addresses(self) -> Addresses:
        """Return who is on the line."""
        with self._lock:
            by = {standing: set[int]() for standing in Standing}
            for contact in self._schedule.contacts.values():
                by[contact.standing].add(contact.address)
            wrong = {a for a in by[Standing.SILENT] if self._schedule.contacts[a].other_rate}
            return Addresses(
                frozenset(by[Standing.HERE]),
                frozenset(by[Standing.CONFLICT] | wrong),
                frozenset(by[Standing.SILENT] - wrong),
            )

    def serial_of(self, address: int) -> bytes | None:
        """Return the serial number of the terminal that answers at an address."""
        with self._lock:
            contact = self._schedule.contacts.get(address)
            return contact.serial if contact and contact.standing is Standing.HERE else None

    def expect(self, addresses: Iterable[int]) -> None:
        """Take who should be there from now on; see `addresses`. Who else is there is found, too."""
        with self._lock:
            self._prober.expect([terminal_address(address) for address in addresses])
        self.wake()

    def scan(self, addresses: Iterable[int] = range(1, 255), rates: Sequence[int] = RATES) -> None:
        """Begin to look at every address at every rate; `scanning` says how much is left."""
        with self._lock:
            self._prober.scan([terminal_address(address) for address in addresses], rates)
        self.wake()

    @property
    def scanning(self) -> int:
        """How many questions of a scan are left."""
        with self._lock:
            return self._prober.scanning

    @property
    def found(self) -> list[Found]:
        """Whom the last scan found so far."""
        with self._lock:
            return list(self._prober.found)

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`. A notice to ALL goes twice; one too long for a frame to each terminal there."""
        check_message(message)
        with self._lock:
            self._demand_up()
            if peer == ALL:
                self._send_all(bytes(message), urgent)
            else:
                contact = self._schedule.contacts.get(terminal_address(peer))
                if contact is None or contact.standing in (Standing.SILENT, Standing.CONFLICT):
                    raise PeerGone(
                        Sentence("{address} does not answer on {name}", address=peer, name=self._name)
                    )
                contact.outgoing.put(bytes(message), urgent)
        self.wake()

    def distribute(
        self,
        transfer: int,
        notice: bytes,
        image: bytes,
        addresses: Iterable[int],
        *,
        block_bytes: int,
        load: float,
    ) -> SpreadSender:
        """See `Distributing.distribute`."""
        spread = SpreadSender(transfer, notice, image, addresses, block_bytes=block_bytes, load=load)
        with self._lock:
            self._spread = spread
        self.wake()
        return spread

    def stop_distribution(self) -> None:
        """See `Distributing.stop_distribution`."""
        with self._lock:
            self._spread = None

    # The loop.

    def _act(self, now_s: float) -> float:
        for event in self.watch.step(now_s):
            self.tell(event)
        exchange = self._exchange
        if exchange is not None:
            until_s = exchange.until_s
            if exchange.heard:
                until_s = max(until_s, self._heard_s + self._timing.gap_s)
            if now_s < until_s:
                return until_s
            self._end(exchange, now_s)
            self._unanswered(exchange, now_s)
        if now_s < self._free_s:
            return self._free_s
        listen_until_s = self.watch.listen_until_s(now_s)
        if listen_until_s > now_s:
            return listen_until_s
        self._begin(now_s)
        if self._exchange is not None:
            return self._exchange.until_s
        if self._free_s > now_s:
            return self._free_s
        return max(now_s, min(self._due_s(now_s), now_s + STEP_AT_LEAST_EVERY_S))

    def _due_s(self, now_s: float) -> float:
        due_s = min(self._schedule.due_s(now_s), self._prober.due_s(now_s))
        if self._notices:
            due_s = min(due_s, *(at_s for at_s, _, _ in self._notices))
        if self._parser.pending:
            due_s = min(due_s, self._heard_s + self._timing.gap_s)
        return min(due_s, self._spread.due_s) if self._spread else due_s

    def _begin(self, now_s: float) -> None:
        """Use the free wire for what matters most; nothing if nobody wants it."""
        for at_s, again, notice in self._notices:
            if at_s <= now_s:
                self._notices.remove((at_s, again, notice))
                self._to_all(notice, now_s)
                if not again:
                    self._notices.append((self._free_s + NOTICE_AGAIN_S, True, notice))
                return
        if (contact := self._schedule.urgent(now_s) or self._schedule.push(now_s)) is not None:
            self._visit(contact, now_s)
        elif self._spread is not None and self._spread.due_s <= now_s and self._go_on(self._spread, now_s):
            return
        elif (probe := self._prober.next(now_s)) is not None:
            self._probe(probe, now_s)
        elif (contact := self._schedule.poll(now_s)) is not None:
            self._visit(contact, now_s)

    def _visit(self, contact: Contact, now_s: float) -> None:
        segment = contact.outgoing.segment(self._timing.segment_bytes) if contact.sends() else None
        contact.visited_s, contact.last_sent = now_s, segment is not None
        if segment is None:
            self._ask(SerialFrame(contact.address, HEAD, Kind.POLL, contact.incoming.expected), now_s)
            return
        sequence, first, last, content = segment
        contact.outgoing.sent()
        self._ask(
            SerialFrame(contact.address, HEAD, Kind.SEGMENT, sequence, first, last, payload=content), now_s
        )

    def _probe(self, probe: Probe, now_s: float) -> None:
        if probe.baud and probe.baud != self.baud:
            self._set_baud(probe.baud)
        if (contact := self._schedule.contacts.get(probe.address)) is not None:
            contact.visited_s = now_s
        payload = probe.pattern.encode() if probe.pattern else b""
        if probe.baud:
            payload = rate_payload(self._base_baud)
        self._ask(SerialFrame(probe.address, HEAD, Kind.DISCOVER, payload=payload), now_s, probe)

    def _go_on(self, spread: SpreadSender, now_s: float) -> bool:
        frame = spread.frame(now_s)
        if frame is None:
            return False
        if frame.to == ALL:
            self._to_all(frame, now_s)
            spread.took(now_s, self._free_s)
        else:
            self._ask(frame, now_s)
        return True

    def _ask(self, frame: SerialFrame, now_s: float, probe: Probe | None = None) -> None:
        self._last_sent = frame
        self._write(frame, now_s)
        until_s = self._sending_until_s + self._timing.silence_s
        self._exchange = Exchange(frame.to, frame.kind, now_s, until_s, probe)

    def _to_all(self, frame: SerialFrame, now_s: float) -> None:
        self._last_sent = frame
        self._write(frame, now_s)
        self._free_s = self._sending_until_s + self._timing.turn_s

    def _send_all(self, message: bytes, urgent: bool) -> None:
        if len(message) > PAYLOAD_BYTES_MAX:
            for contact in self._schedule.here():
                with suppress(Overloaded):  # a notice comes again, by itself or as a delta
                    contact.outgoing.put(message, urgent)
            return
        if len(self._notices) >= NOTICES_MAX:
            raise Overloaded(retry_after_ms=100)
        frame = SerialFrame(ALL, HEAD, Kind.NOTICE, self._notice_sequence, payload=message)
        self._notice_sequence ^= 1
        if urgent:
            self._notices.appendleft((self._now_s, False, frame))
        else:
            self._notices.append((self._now_s, False, frame))

    # What is heard.

    def _bytes_came(self, now_s: float) -> None:
        if self._exchange is not None and now_s >= self._sending_until_s:
            self._exchange.heard = True

    def _unread(self, now_s: float) -> None:
        if self._exchange is not None:
            self._exchange.broken = True
        else:
            self._tell_all(self.watch.noise(now_s))

    def _take(self, frame: SerialFrame, now_s: float) -> None:
        if frame.source in (HEAD, ALL):
            if frame != self._last_sent and now_s - self._false_head_s >= FALSE_HEAD_EVERY_S:
                self._false_head_s = now_s
                self.tell(Event(now_s, What.FALSE_HEAD, ALL))
            return
        exchange = self._exchange
        if exchange is None or (frame.to, frame.source) != (HEAD, exchange.address):
            self._tell_all(self.watch.unasked(frame.source, now_s))
        elif frame.kind in _ANSWERS[exchange.kind]:
            self._end(exchange, now_s)
            self._answered(exchange, frame, now_s)
        else:
            exchange.broken = True

    def _end(self, exchange: Exchange, now_s: float) -> None:
        self._exchange = None
        self._free_s = now_s + self._timing.turn_s
        if exchange.kind is Kind.SEGMENT:
            self._prober.carried(exchange.began_s, now_s)
        if exchange.probe is not None:
            self._prober.took(exchange.began_s, self._free_s)
        elif exchange.kind is Kind.MISSING and self._spread is not None:
            self._spread.took(exchange.began_s, self._free_s)
        if self.baud != self._base_baud:
            self._set_baud(self._base_baud)

    def _answered(self, exchange: Exchange, frame: SerialFrame, now_s: float) -> None:
        if exchange.probe is not None:
            self._tell_all(self._prober.came(exchange.probe, frame.payload, False, now_s))
            return
        if exchange.kind is Kind.MISSING:
            if self._spread is not None:
                self._spread.answered(exchange.address, frame.payload)
            return
        contact = self._schedule.of(exchange.address)
        contact.well()
        self._tell_all(self.watch.answered(exchange.address, now_s))
        match frame.kind:
            case Kind.DISCOVER:  # it knows of no contact: a new one begins
                contact.standing = Standing.EXPECTED
            case Kind.SEGMENT:
                self._take_segment(contact, frame, exchange.began_s, now_s)
            case Kind.ACK:
                contact.more = frame.more
                if exchange.kind is Kind.SEGMENT:
                    contact.outgoing.expects(frame.sequence)
            case Kind.BUSY:
                contact.retry_s = now_s + BUSY_S

    def _take_segment(self, contact: Contact, frame: SerialFrame, began_s: float, now_s: float) -> None:
        contact.more = frame.more
        self._prober.carried(began_s, now_s)
        if frame.first:
            contact.count(now_s)
        message = contact.incoming.take(frame)
        if message is not None:
            self._deliver(Received(Peer(contact.address), message))

    def _unanswered(self, exchange: Exchange, now_s: float) -> None:
        if exchange.probe is not None:
            self._tell_all(self._prober.came(exchange.probe, None, exchange.broken, now_s))
            return
        if exchange.kind is Kind.MISSING:
            if self._spread is not None:
                self._spread.unanswered(exchange.address)
            return
        contact = self._schedule.of(exchange.address)
        contact.failures += 1
        contact.silences += not exchange.heard
        contact.broken = contact.broken + 1 if exchange.broken else 0
        contact.retry_s = now_s + RETRY_S * min(contact.failures, REPEATS)
        if contact.failures == 1:
            contact.failing_since_s = exchange.began_s
        self._tell_all(self.watch.failed(exchange.address, exchange.broken, now_s))
        if contact.broken >= BROKEN_MAX:
            self._prober.suspect_two(contact.address, now_s)
        if contact.silences > REPEATS or contact.failures > REPEATS_MAX:
            contact.standing = Standing.SILENT
            contact.outgoing.give_up()
            events = self.watch.missing(contact.address, contact.failing_since_s, now_s)
            contact.missed = bool(events)
            self._tell_all(events)

    def _tell_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self.tell(event)


_ANSWERS: Final = {
    Kind.POLL: {Kind.SEGMENT, Kind.ACK, Kind.DISCOVER, Kind.BUSY},
    Kind.SEGMENT: {Kind.ACK, Kind.BUSY, Kind.DISCOVER},
    Kind.DISCOVER: {Kind.DISCOVER},
    Kind.MISSING: {Kind.MISSING},
}
