"""Records of terminals on a bus: how long each waited, and that none was lost, doubled or changed."""

import heapq
import random
from collections import deque
from typing import Final

from bench.harness import BenchBroken
from bench.lines_buses import Bus
from campus_node.lines.line import HEAD, Peer

DRAIN_S: Final = 120.0


class Traffic:
    """Terminals that have records for the head, which acknowledges each.

    Args:
        bus: where.
        record_bytes, answer_bytes: how long records and acknowledgements are.
        seed: of contents and instants.
    """

    def __init__(self, bus: Bus, record_bytes: int, answer_bytes: int, seed: int) -> None:
        self._bus = bus
        self._bytes = record_bytes, answer_bytes
        self._random = random.Random(f"traffic {seed}")
        self._under_way: dict[int, deque[tuple[float, bytes]]] = {address: deque() for address in bus.tills}
        self._unanswered: dict[int, deque[bytes]] = {address: deque() for address in bus.tills}
        self._arrivals: list[tuple[float, int]] = []
        self._period_s = 0.0
        self.waits: dict[int, list[float]] = {address: [] for address in bus.tills}
        self.answered = dict.fromkeys(bus.tills, 0)

    def run_full(self, seconds: float) -> None:
        """Every terminal has the next record as soon as the last one is acknowledged."""
        for address in self._bus.tills:
            self._send(address)

        def pump() -> bool:
            self._take()
            for address in self._hear():
                self._send(address)
            return False

        self._bus.run(seconds, pump)

    def run_at(self, per_s: float, seconds: float) -> None:
        """All terminals together have so many records a second, each once in its period, at any time."""
        self._period_s = len(self._bus.tills) / per_s
        begun_s = self._bus.now_s
        self._arrivals = [
            (begun_s + self._random.uniform(0, self._period_s), address) for address in self._bus.tills
        ]
        heapq.heapify(self._arrivals)
        end_s = begun_s + seconds

        def pump() -> bool:
            self._take()
            self._hear()
            while self._arrivals[0][0] <= self._bus.now_s < end_s:
                at_s, address = heapq.heappop(self._arrivals)
                self._send(address)
                period = (at_s - begun_s) // self._period_s + 1
                next_s = begun_s + (period + self._random.random()) * self._period_s
                heapq.heappush(self._arrivals, (next_s, address))
            if self._bus.now_s < end_s:
                self._bus.call_at(min(self._arrivals[0][0], end_s))
            return self._bus.now_s >= end_s and not any(self._unanswered.values())

        if not self._bus.run(seconds + DRAIN_S, pump):
            raise BenchBroken("records were not acknowledged")

    @property
    def mean_s(self) -> float:
        """How long a record took from the terminal to the head, on average."""
        every = [wait for waits in self.waits.values() for wait in waits]
        return sum(every) / len(every)

    def means_s(self) -> list[float]:
        """The same for each terminal."""
        return [sum(waits) / len(waits) for waits in self.waits.values()]

    def _send(self, address: int) -> None:
        record = self._random.randbytes(self._bytes[0])
        self._under_way[address].append((self._bus.now_s, record))
        self._unanswered[address].append(record)
        self._bus.tills[address].send(HEAD, record)

    def _take(self) -> None:
        while (received := self._bus.head.receive(0)) is not None:
            begun_s, record = self._under_way[received.peer].popleft()
            if received.message != record:
                raise BenchBroken(f"terminal {received.peer}: a record came changed, doubled or out of order")
            self.waits[received.peer].append(self._bus.now_s - begun_s)
            self._bus.head.send(Peer(received.peer), record[: self._bytes[1]])

    def _hear(self) -> list[int]:
        heard = []
        for address in self._bus.stepped_addresses():
            while (received := self._bus.tills[address].receive(0)) is not None:
                record = self._unanswered[address].popleft()
                if received.message != record[: self._bytes[1]]:
                    raise BenchBroken(f"terminal {address}: an acknowledgement belongs to another record")
                self.answered[address] += 1
                heard.append(address)
        return heard
