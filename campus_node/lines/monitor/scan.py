"""Who is on a line, and whether two share an address (B5.2, A12).

A CAN bus is only listened to: heartbeats and traffic tell. On RS-485 nobody speaks unasked: each address is
asked, at each rate, while no gateway uses the line.
"""

import hashlib
import select
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import can

from campus_node.lines.can.ids import ALL_ADDRESSES, Frame, Multicast, Physical, Signalled, Spread, meaning
from campus_node.lines.can.signals import Heartbeat, said_by
from campus_node.lines.errors import FrameBroken
from campus_node.lines.handshake import Hello
from campus_node.lines.line import HEAD
from campus_node.lines.monitor.iso_tp import IsoTpEar
from campus_node.lines.serial.frames import FrameParser, Kind, SerialFrame
from campus_node.lines.serial.port import SerialPortDriver
from campus_node.lines.serial.search import Pattern, Singling
from campus_node.lines.serial.timing import Timing
from federation.clock import Clock

ASKED_AGAIN: Final = 2  # times, where an answer was not understood
OTHERS_BITS: Final = 4  # of a serial number's SHA-256: 15 of 16 who share an address differ in them
POLL_S: Final = 0.002


@dataclass(slots=True)
class Place:
    """What is known of one address.

    Args:
        address: 0 for a head, 1 to 254.
        baud: at which rate it answers; 0 on a CAN bus.
        frames: how many were heard from it.
        serials: what devices say under it: the ends of their serial numbers on CAN, whole ones on RS-485.
        terminal_ids: whose HELLOs came from it, 12 digits each.
        heartbeat: the last one.
    """

    address: int
    baud: int = 0
    frames: int = 0
    serials: set[str] = field(default_factory=set)
    terminal_ids: set[str] = field(default_factory=set)
    heartbeat: Heartbeat | None = None

    @property
    def conflict(self) -> bool:
        """Whether more than one device says that this address is its own."""
        return len(self.serials) > 1 or len(self.terminal_ids) > 1


class CanScan:
    """Hears who speaks on a bus."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._transfers = IsoTpEar()

    @property
    def places(self) -> list[Place]:
        """Everybody who was heard, by address."""
        return [self._places[address] for address in sorted(self._places)]

    def take(self, message: can.Message) -> None:
        """Take a frame. Nothing makes it raise."""
        if message.is_error_frame or not message.is_extended_id or message.is_remote_frame or message.is_fd:
            return
        frame = Frame(message.arbitration_id, bytes(message.data))
        about = meaning(frame.can_id)
        source = None if about is None else _source(about)
        if about is None or source is None or source == ALL_ADDRESSES:
            return
        place = self._places.setdefault(source, Place(source))
        place.frames += 1
        match about:
            case Physical(priority, target, _):
                piece = self._transfers.take((priority, target, source), frame.payload)
                if piece.message is not None:
                    self._message(place, piece.message)
            case Signalled():
                said = said_by(frame)
                if isinstance(said, Heartbeat):
                    place.heartbeat = said
                    place.serials.add(f"{said.serial:04X}")

    @staticmethod
    def _message(place: Place, message: bytes) -> None:
        try:
            hello = Hello.parse(message)
        except FrameBroken:
            return
        place.terminal_ids.add(hello.terminal_id.hex().upper())


class SerialScan:
    """Asks on a polled line that nobody else asks on.

    Args:
        port: the line's.
        clock: tells the time.
        wait: until something may have arrived, or so many seconds; for a real port nothing else is needed.
    """

    def __init__(
        self, port: SerialPortDriver, clock: Clock, wait: Callable[[float], None] | None = None
    ) -> None:
        self._port = port
        self._clock = clock
        self._wait = wait or self._wait_for_port

    def run(self, addresses: Iterable[int], rates: Iterable[int]) -> Iterator[tuple[int, int, Place | None]]:
        """Ask every address at every rate; yield address, rate and who is there. Raise LineDown."""
        asked = tuple(addresses)
        for baud in rates:
            self._port.set_baud(baud)
            for address in asked:
                yield address, baud, self._look(address, baud)

    def _look(self, address: int, baud: int) -> Place | None:
        serials: set[bytes] = set()
        broken = 0
        for _ in range(1 + ASKED_AGAIN):
            answered, noise = self._ask(address, b"")
            serials |= answered
            broken += noise
            if not noise:
                break
        if broken > ASKED_AGAIN and not serials:
            serials |= self._single(address)
        for serial in tuple(serials):
            serials |= self._others(address, serial)
        if not serials:
            return None
        return Place(address, baud, len(serials), {serial.hex().upper() for serial in serials})

    def _single(self, address: int) -> set[bytes]:
        """Tell those apart who answer at once."""
        singling = Singling()
        while (question := singling.question) is not None:
            answered, noise = self._ask(address, question.encode())
            singling.answered(next(iter(answered), None), noise or len(answered) > 1)
            singling.serials |= answered
        return singling.serials

    def _others(self, address: int, serial: bytes) -> set[bytes]:
        """Ask for those who may have kept silent or been drowned while this one answered."""
        digest = int.from_bytes(hashlib.sha256(serial).digest()[:4])
        found: set[bytes] = set()
        for bits in range(1, OTHERS_BITS + 1):
            pattern = Pattern(bits, digest >> (32 - bits) ^ 1)
            answered, _ = self._ask(address, pattern.encode())
            found |= answered
        return found

    def _ask(self, address: int, wanted: bytes) -> tuple[set[bytes], bool]:
        """Return who answered, and whether something came that nobody understands."""
        timing = Timing(self._port.baud, self._port.slack_s)
        self._port.read()  # what came before was no answer to this
        question = SerialFrame(address, HEAD, Kind.DISCOVER, payload=wanted).encode()
        self._port.write(question)
        parser, noise = FrameParser(), False
        answered: set[bytes] = set()
        until_s = self._clock.monotonic_s() + timing.sending_s(len(question)) + timing.silence_s
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            self._wait(left_s)
            received = self._port.read()
            if not received:
                continue
            until_s = self._clock.monotonic_s() + timing.gap_s + timing.silence_s
            for frame in parser.feed(received):
                if frame.kind is Kind.DISCOVER and frame.source == address:
                    answered.add(frame.payload)
                else:
                    noise = noise or frame.source != HEAD  # a head's is our own, echoed
        return answered, noise or parser.pending or bool(parser.skipped_count)

    def _wait_for_port(self, seconds: float) -> None:
        descriptor = self._port.descriptor()
        if descriptor is None or descriptor < 0:
            self._clock.sleep(min(seconds, POLL_S))
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)


def _source(about: object) -> int | None:
    match about:
        case Physical(_, _, source):
            return source
        case Signalled(_, source):
            return source
        case Multicast(spread, number):
            heads = (Spread.POLL, Spread.MANIFEST, Spread.IMAGE)
            return HEAD if spread in heads else number >> 12
        case _:
            return getattr(about, "source", None)
