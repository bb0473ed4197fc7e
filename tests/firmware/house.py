"""A gateway's building in discrete time: real lines on a modelled wire, distributions, tills that take them.

What gateway and terminal say to each other goes over the line as it is: sealing it is proved elsewhere, and
neither the gateway's distributions nor the terminal's receiver see envelopes.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from campus_node.gateway.distribution import STEP_S, Distributions
from campus_node.gateway.hooks import Place
from campus_node.gateway.order_files import OrderFiles, task_of
from campus_node.lines.can.multicast_receiver import MulticastReceiver
from campus_node.lines.line import HEAD, Line, Peer
from campus_node.lines.memory_line import MemoryWire, Misfortune
from campus_node.lines.notice import NOTICE
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from federation.errors import CampusCardError
from hil_rig.virtual.bus_time import BusTime
from tests.firmware.terminals import Till, terminal_id

ORDER = 1


class NoNode:
    """The node is out of reach: what is not on the gateway's disk cannot be had."""

    def fetch_image(self, digest: bytes, offset: int) -> AsyncIterator[pb.ImagePart]:
        raise AssertionError(f"{digest.hex()} from {offset} on: everything is on the disk")


class House:
    """What a distribution sees of a gateway, on one line.

    Args:
        directory: for the gateway's files and those of the tills.
        line: the head's end.
        tills: by address.
    """

    def __init__(self, directory: Path, line: Line, tills: Mapping[int, Till], clock: VirtualClock) -> None:
        self.directory, self.line, self.tills, self.clock = directory, line, tills, clock
        self.away: set[int] = set()
        self.told: list[pb.OrderProgress] = []
        self.messages = 0
        self.restart()

    def restart(self) -> None:
        """Begin with what is on the disk, as after kill -9."""
        self.distributions = Distributions(self, NoNode(), self.directory / "gateway", self.clock)

    def order(self, notice: bytes, content: bytes, number: int = ORDER, stop_at_unix_ms: int = 0) -> pb.Order:
        """Give an order for all tills; its image is on the disk already."""
        order = pb.Order(
            order=number,
            notice=notice,
            terminal_ids=[terminal_id(till.number) for till in self.tills.values()],
            stop_at_unix_ms=stop_at_unix_ms,
            load_percent=60,
        )
        files, manifest = OrderFiles(self.directory / "gateway"), task_of(order).manifest
        if files.image(manifest) is None:
            files.add(manifest, 0, content)
            files.complete(manifest)
        self.distributions.take_order(order)
        return order

    def states(self) -> dict[int, int]:
        """Return what the node was told last of each till, by number."""
        return {
            int.from_bytes(terminal.terminal_id): terminal.report.state
            for progress in self.told
            for terminal in progress.terminals
        }

    @property
    def done(self) -> bool:
        """Whether the node was told that every till has it."""
        good = {wire.DISTRIBUTION_STATE_STORED, wire.DISTRIBUTION_STATE_ACTIVE}
        return bool(self.told) and set(self.states().values()) <= good

    # What hooks.Building asks for.

    def lines(self) -> Mapping[str, Line]:
        return {"line": self.line}

    def place_of(self, wanted: bytes) -> Place | None:
        for address, till in self.tills.items():
            if terminal_id(till.number) == wanted and address not in self.away:
                return Place("line", Peer(address))
        return None

    def planned(self, terminal_id: bytes) -> pb.RolledTerminal | None:  # noqa: ARG002 - nobody asks
        return None

    def tell(self, wanted: bytes, message: wire.FromGateway) -> bool:
        place = self.place_of(wanted)
        if place is None:
            return False
        try:
            self.line.send(place.address, message.SerializeToString())
        except CampusCardError:
            return False
        self.messages += 1
        return True

    def progress(self, progress: pb.OrderProgress) -> None:
        self.told.append(progress)

    def load_percent(self, line: str) -> int:  # noqa: ARG002 - there is one
        return 60

    # What the test's loop does.

    def hear(self) -> None:
        """Take what tills said."""
        while (received := self.line.receive(0)) is not None:
            said = wire.FromTerminal.FromString(received.message)
            self.distributions.heard(terminal_id(self.tills[received.peer].number), said.distribution)


def take(till: Till, message: bytes) -> None:
    """Let a till take a message of its line."""
    if message[0] == NOTICE:
        till.receiver.notice(message)
        return
    said = wire.FromGateway.FromString(message)
    if said.WhichOneof("body") == "notice":
        till.receiver.notice(said.notice)
    till.receiver.heed(said)


def say_over(line: Line) -> Callable[[wire.DistributionReport], bool]:
    """Return how a till reports over its line."""

    def say(report: wire.DistributionReport) -> bool:
        try:
            line.send(HEAD, wire.FromTerminal(distribution=report).SerializeToString())
        except CampusCardError:
            return False
        return True

    return say


class CanHouse:
    """A building with one CAN bus, in bus time.

    Args:
        look_every_s: how often terminals and gateway look at what arrived.
    """

    def __init__(
        self, bus: BusTime, directory: Path, clock: VirtualClock, look_every_s: float = 0.001
    ) -> None:
        self.bus, self.clock = bus, clock
        self._look_every_s, self._look_s = look_every_s, 0.0
        self.tills = {a: Till(directory / f"till {a}", a, clock) for a in bus.tills}
        self.receivers: dict[int, MulticastReceiver] = {}
        for address in self.tills:
            self.start(address)
        self.house = House(directory, bus.head, self.tills, clock)
        self._step_s = 0.0

    def start(self, address: int) -> None:
        """Start a till, or start it again: what was in memory is gone."""
        line, till = self.bus.tills[address], self.tills[address]
        if address in self.receivers:
            line.detach(self.receivers[address])
            till.start()
        self.receivers[address] = MulticastReceiver(address, till.receiver.blocks)
        line.attach(self.receivers[address])
        till.send = say_over(line)

    def run(self, for_s: float, until: Callable[[], bool] | None = None) -> bool:
        """Let bus time pass until the node was told that everybody has it, or something else."""
        return self.bus.run(for_s, lambda: self._look(until))

    def _look(self, until: Callable[[], bool] | None) -> bool:
        if self.bus.now_s < self._look_s:
            return False
        self._look_s = self.bus.now_s + self._look_every_s
        self.clock.advance(max(round(self.bus.now_s * 1000) - round(self.clock.monotonic_s() * 1000), 0))
        for address, line in self.bus.tills.items():
            while (received := line.receive(0)) is not None:
                take(self.tills[address], received.message)
            self.tills[address].receiver.step(self.bus.now_s)
        self.house.hear()
        if self.bus.now_s >= self._step_s:
            self.house.distributions.step(self.bus.now_s)
            self._step_s = self.bus.now_s + STEP_S
            self.bus.call_at(self._step_s)
        return until() if until is not None else self.house.done


class MemoryHouse:
    """A building with a line that has no multicast, on a wire with misfortune."""

    def __init__(
        self, terminals: int, directory: Path, clock: VirtualClock, seed: int, misfortune: Misfortune
    ) -> None:
        self.wire, self.clock = MemoryWire(seed, misfortune), clock
        head = self.wire.end(HEAD)
        self.lines = {n: self.wire.end(Peer(n)) for n in range(1, terminals + 1)}
        self.tills = {n: Till(directory / f"till {n}", n, clock) for n in self.lines}
        for number, line in self.lines.items():
            self.tills[number].send = say_over(line)
        self.house = House(directory, head, self.tills, clock)

    def run(self, for_s: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass in steps until the node was told that everybody has it, or something else."""
        end_s = self.clock.monotonic_s() + for_s
        while self.clock.monotonic_s() < end_s:
            self.clock.advance(round(STEP_S * 1000))
            now_s = self.clock.monotonic_s()
            self.wire.step(now_s)
            for number, line in self.lines.items():
                while (received := line.receive(0)) is not None:
                    take(self.tills[number], received.message)
                    self.tills[number].receiver.step(now_s)
                self.tills[number].receiver.step(now_s)
            self.house.hear()
            self.house.distributions.step(now_s)
            if until() if until is not None else self.house.done:
                return True
        return False
