"""An RS-485 bus as a pure model in virtual time: what every receiver's UART makes of the levels on the wire.

A byte is a start bit (0), eight bits, the lowest first, and a stop bit (1). The wire is 1 when nobody drives
it, and 0 when anybody drives 0: two who send at once, and a receiver at another bit rate, read what falling
edges and samples in the middle of its own bits then give. Nobody hears while it sends (half duplex).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from federation.errors import Misconfigured

SECOND_NS: Final = 1_000_000_000
BYTE_BITS: Final = 10
RECEIVE_BYTES_MAX: Final = 65_536
SEND_BYTES_MAX: Final = 65_536
NEVER_NS: Final = 1 << 62


@dataclass(slots=True, eq=False)
class Burst:
    """Bytes that one node sends without a gap, or (`payload` empty) a wire that it holds at 0."""

    port: "SerialPort"
    start_ns: int
    payload: bytes
    baud: int
    ended_ns: int = NEVER_NS  # earlier than planned: its plug was pulled, or it was healed
    noted: bool = False
    _planned_ns: int = field(init=False)

    def __post_init__(self) -> None:
        whole_ns = self.bit_end(BYTE_BITS * len(self.payload))
        self._planned_ns = self.start_ns + whole_ns if self.payload else NEVER_NS

    @property
    def end_ns(self) -> int:
        return min(self.ended_ns, self._planned_ns)

    def bit_end(self, bits: int) -> int:
        """Return how many ns after its start so many bits are over."""
        return bits * SECOND_NS // self.baud

    def read_ns(self, index: int) -> int:
        """Return when a UART has read a byte of it: in the middle of the byte's stop bit."""
        return self.start_ns + self.bit_end(BYTE_BITS * (index + 1)) - SECOND_NS // (2 * self.baud)

    def level(self, at_ns: int) -> int:
        """Return what this node drives at an instant; 1 also where it drives nothing."""
        if not self.start_ns <= at_ns < self.end_ns:
            return 1
        if not self.payload:
            return 0
        bit = (at_ns - self.start_ns) * self.baud // SECOND_NS
        while self.bit_end(bit + 1) <= at_ns - self.start_ns:  # the boundaries are rounded down
            bit += 1
        index, place = divmod(min(bit, BYTE_BITS * len(self.payload) - 1), BYTE_BITS)
        if place in (0, BYTE_BITS - 1):
            return int(place > 0)
        return self.payload[index] >> (place - 1) & 1

    def edges(self, from_ns: int) -> list[int]:
        """Return the boundaries of bits from an instant on, for about two bytes."""
        if not self.payload:
            return [at for at in (self.start_ns, self.end_ns) if at >= from_ns]  # the end is never before
        first = max(0, (from_ns - self.start_ns) * self.baud // SECOND_NS)
        last = min(BYTE_BITS * len(self.payload), first + 2 * BYTE_BITS + 2)
        edges = {min(self.end_ns, self.start_ns + self.bit_end(bit)) for bit in range(first, last + 1)}
        return sorted(at for at in edges if at >= from_ns)


class SerialEvent(NamedTuple):
    """A burst as seen from outside: what a recording of the wire holds."""

    start_ns: int
    end_ns: int
    sender: str
    payload: bytes
    baud: int


class SerialPort:
    """One node's UART and transceiver. Made by `SerialModel.attach`."""

    def __init__(
        self, model: "SerialModel", name: str, baud: int, told: Callable[["SerialPort", bytes], None] | None
    ) -> None:
        self.model = model
        self.name = name
        self.plugged = True
        self.framing_errors = 0
        self.overruns = 0
        self.arrived_ns = 0  # when the last byte was complete
        self.heard_ns = 0  # up to where its UART has looked at the wire
        self.sending_until_ns = 0  # the end of the last stop bit of what was written so far
        self._baud = baud
        self._told = told
        self._received = bytearray()

    @property
    def baud(self) -> int:
        """Bits per second, of both directions."""
        return self._baud

    @baud.setter
    def baud(self, baud: int) -> None:
        if not 0 < baud <= 4_000_000:
            raise Misconfigured(f"{baud} baud is no rate of a UART here")
        if baud != self._baud:
            self._baud = baud
            self.heard_ns = max(self.heard_ns, self.model.now_ns)

    @property
    def hand_over_ns(self) -> int:
        """How long after the middle of its stop bit a byte is handed over.

        Half a bit: whoever answers at once does not collide with it.
        """
        return SECOND_NS // (2 * self._baud)

    def write(self, payload: bytes) -> None:
        """Send bytes from now on, or after what this node is still sending.

        Raises:
            ValueError: more than SEND_BYTES_MAX.
        """
        self.model.send(self, payload)

    def read(self) -> bytes:
        """Return what has arrived since the last call; empty for silence."""
        received = bytes(self._received)
        self._received.clear()
        return received

    def unplug(self) -> None:
        """Pull the plug: it neither hears nor is heard, and what it was sending ends there."""
        self.model.end_bursts(self)
        self.plugged = False

    def plug(self) -> None:
        self.plugged = True
        self.heard_ns = max(self.heard_ns, self.model.now_ns)

    def stick(self, stuck: bool = True) -> None:
        """Let its transmitter hold the wire at 0, or heal it."""
        self.model.stick(self, stuck)

    def deliver(self, payload: bytes, at_ns: int) -> None:
        self.arrived_ns = at_ns
        if self._told:
            self._told(self, payload)
            return
        room = RECEIVE_BYTES_MAX - len(self._received)
        self._received += payload[:room]
        self.overruns += max(0, len(payload) - room)


class SerialModel:
    """A bus of two wires and its nodes. Time moves only in `advance_to`.

    Args:
        trace: told of every burst when it ends, in order.
    """

    def __init__(self, name: str = "rs485", *, trace: Callable[[SerialEvent], None] | None = None) -> None:
        self.name = name
        self.trace = trace
        self.now_ns = 0
        self.busy_ns = 0  # sum of all bursts; more than the time that passed where they collided
        self.ports: dict[str, SerialPort] = {}
        self._shorted = False
        self._bursts: list[Burst] = []  # that some receiver may still have to look at

    def attach(
        self, name: str, baud: int = 9600, *, told: Callable[[SerialPort, bytes], None] | None = None
    ) -> SerialPort:
        """Connect a new node; `told` is called with every run of bytes instead of keeping them for `read`."""
        if name in self.ports:
            raise Misconfigured(f"{self.name} has a node of the name {name!r}")
        port = SerialPort(self, name, 9600, told)
        port.baud = baud
        port.heard_ns = self.now_ns
        self.ports[name] = port
        return port

    def detach(self, port: SerialPort) -> None:
        """Take a node off the bus for good."""
        self.end_bursts(port)
        del self.ports[port.name]

    @property
    def next_ns(self) -> int | None:
        """When the next burst ends, if nobody does anything until then; None = nothing is on the wire."""
        ends = [burst.end_ns for burst in self._bursts if self.now_ns < burst.end_ns < NEVER_NS]
        return min(ends, default=None)

    def advance_to(self, now_ns: int) -> None:
        """Let every byte arrive that is complete at this instant. Going back is ignored."""
        while (next_ns := self.next_ns) is not None and next_ns < now_ns:
            self._move(next_ns)
        if now_ns > self.now_ns:
            self._move(now_ns)

    def advance_by_ns(self, elapsed_ns: int) -> None:
        """Let this much time pass."""
        self.advance_to(self.now_ns + elapsed_ns)

    def advance_until_quiet(self) -> None:
        """Let time pass until everything that was written has arrived."""
        while (next_ns := self.next_ns) is not None:
            self.advance_to(next_ns)

    def short(self) -> None:
        """Join the two wires: nobody hears anything, whoever speaks."""
        self._shorted = True

    def repair(self) -> None:
        """Part them again; what was sent meanwhile is lost."""
        self._shorted = False
        for port in self.ports.values():
            port.heard_ns = max(port.heard_ns, self.now_ns)

    # Asked by the ports.

    def send(self, port: SerialPort, payload: bytes) -> None:
        """Put a burst on the wire for a port."""
        if len(payload) > SEND_BYTES_MAX:
            raise ValueError(f"more than {SEND_BYTES_MAX} bytes at once")
        if not payload:
            return
        start_ns = max(self.now_ns, port.sending_until_ns)
        burst = Burst(port, start_ns, bytes(payload), port.baud)
        port.sending_until_ns = burst.end_ns
        port.heard_ns = max(port.heard_ns, burst.end_ns)  # it does not hear while it sends
        if port.plugged:
            self._bursts.append(burst)

    def stick(self, port: SerialPort, stuck: bool) -> None:
        """Hold the wire at 0 for a port, or let it go."""
        self.end_bursts(port)
        if stuck and port.plugged:
            self._bursts.append(Burst(port, self.now_ns, b"", port.baud))

    def end_bursts(self, port: SerialPort) -> None:
        """End what a port is sending, now."""
        for burst in [burst for burst in self._bursts if burst.port is port]:
            if burst.start_ns >= self.now_ns:
                self._bursts.remove(burst)
            else:
                burst.ended_ns = min(burst.ended_ns, self.now_ns)
        port.sending_until_ns = min(port.sending_until_ns, self.now_ns)

    def _move(self, now_ns: int) -> None:
        self.now_ns = now_ns
        if not self._bursts:
            return
        for burst in sorted(self._bursts, key=lambda one: one.end_ns):
            if burst.end_ns <= now_ns and not burst.noted:
                burst.noted = True
                self.busy_ns += burst.end_ns - burst.start_ns
                if self.trace:
                    event = SerialEvent(
                        burst.start_ns, burst.end_ns, burst.port.name, burst.payload, burst.baud
                    )
                    self.trace(event)
        for port in self.ports.values():
            if port.plugged:
                self._hear(port)
        # A UART that is within a byte still needs what began before it.
        needed_ns = min((port.heard_ns for port in self.ports.values() if port.plugged), default=now_ns)
        self._bursts = [burst for burst in self._bursts if burst.end_ns > min(now_ns, needed_ns)]

    def _hear(self, port: SerialPort) -> None:
        """Give a port every byte that its UART has complete by now."""
        until_ns = self.now_ns - port.hand_over_ns
        if self._shorted:
            port.heard_ns = max(port.heard_ns, until_ns)
        while port.heard_ns < until_ns:
            heard_ns = port.heard_ns
            others = [
                burst
                for burst in self._bursts
                if burst.port is not port and burst.end_ns > heard_ns and burst.start_ns < until_ns
            ]
            if not others:
                port.heard_ns = until_ns
                return
            if len(others) == 1 and _read_whole(others[0], port):
                port.heard_ns = until_ns  # only the rest of its last stop bit is left
                return
            first = min(others, key=lambda burst: burst.start_ns)
            alone_until_ns = min((b.start_ns for b in others if b is not first), default=NEVER_NS)
            index = _aligned(first, port)
            if index is not None:
                undisturbed_ns = min(alone_until_ns, first.end_ns)
                complete = _bytes_read(first, min(until_ns, undisturbed_ns)) - index
                if complete > 0:
                    port.heard_ns = first.read_ns(index + complete - 1)
                    port.deliver(first.payload[index : index + complete], port.heard_ns)
                    continue
                if until_ns < first.read_ns(index) <= undisturbed_ns:
                    return  # not yet complete
            if not self._sample(port, others, until_ns):
                return

    def _sample(self, port: SerialPort, others: list[Burst], until_ns: int) -> bool:
        """Let a UART look for a start bit and sample one byte; tell whether it has got on."""
        listed = [burst.edges(port.heard_ns) for burst in others]
        horizon_ns = min(  # beyond it the list of somebody's edges ends before his burst does
            (edges[-1] for edges, burst in zip(listed, others, strict=True) if edges[-1] < burst.end_ns),
            default=NEVER_NS,
        )
        edges = sorted({port.heard_ns, *(at for some in listed for at in some if at <= horizon_ns)})
        start_ns = next((at for at in edges if not _level(others, at) and _level(others, at - 1)), None)
        if start_ns is None or start_ns >= until_ns:
            passed_ns = min(until_ns, edges[-1])
            moved = passed_ns > port.heard_ns
            port.heard_ns = passed_ns if moved else until_ns
            return moved
        samples = [start_ns + (2 * bit + 1) * SECOND_NS // (2 * port.baud) for bit in range(BYTE_BITS)]
        if samples[-1] > until_ns:
            port.heard_ns = start_ns
            return False
        levels = [_level(others, at) for at in samples]
        if levels[0]:  # too short for a start bit
            port.heard_ns = samples[0]
            return True
        port.heard_ns = samples[-1]
        port.framing_errors += not levels[-1]
        port.deliver(bytes([sum(bit << place for place, bit in enumerate(levels[1:-1]))]), samples[-1])
        return True


def _level(bursts: list[Burst], at_ns: int) -> int:
    return int(all(burst.level(at_ns) for burst in bursts))


def _aligned(burst: Burst, port: SerialPort) -> int | None:
    """Return the byte of the burst with which a port of its rate goes on; None where it must sample."""
    if burst.baud != port.baud or not burst.payload:
        return None
    if port.heard_ns <= burst.start_ns:
        return 0
    index = _bytes_read(burst, port.heard_ns)
    if not index or index == len(burst.payload):
        return None
    return index if port.heard_ns <= burst.start_ns + burst.bit_end(BYTE_BITS * index) else None


def _read_whole(burst: Burst, port: SerialPort) -> bool:
    """Tell whether a port of the burst's rate has read all of it."""
    count = len(burst.payload)
    return burst.baud == port.baud and count > 0 and port.heard_ns >= burst.read_ns(count - 1)


def _bytes_read(burst: Burst, at_ns: int) -> int:
    """Return how many bytes of a burst a UART of its rate has read at an instant."""
    index = (at_ns - burst.start_ns) * burst.baud // (SECOND_NS * BYTE_BITS) + 1
    index = max(0, min(index, len(burst.payload)))
    while index and burst.read_ns(index - 1) > at_ns:
        index -= 1
    return index
