"""What 50 terminals get out of one bus of 250 kbit/s, in bus time: exact on any machine (B4.1, A15)."""

import heapq
import random
from collections.abc import Iterator

import pytest

from campus_node.lines.can.head import HeadLine
from campus_node.lines.line import ALL, HEAD, Peer
from hil_rig.virtual.bus_time import BusTime
from hil_rig.virtual.can_bus import Outcome, slot_bits

pytestmark = pytest.mark.slow

TERMINALS = 50
RECORD_BYTES = 96
ACKNOWLEDGEMENT_BYTES = 7  # one frame, the shortest answer
BITRATE = 250_000


@pytest.fixture
def bus() -> Iterator[BusTime]:
    bus = BusTime(TERMINALS)
    yield bus
    bus.close()


def exchange_bits(seed: int) -> float:
    """Return the bits of one record and its acknowledgement in this framing, alone on a bus, on average."""
    rng = random.Random(f"exchange {seed}")
    bits, exchanges = 0, 20
    for _ in range(exchanges):
        bus = BusTime(1)
        bus.keep_frames = True
        bus.tills[1].send(HEAD, rng.randbytes(RECORD_BYTES))
        bus.run(0.02)
        bus.head.send(Peer(1), rng.randbytes(ACKNOWLEDGEMENT_BYTES))
        bus.run(0.02)
        assert len(bus.frames) == 16
        bits += sum(slot_bits(event.frame) for event in bus.frames if event.outcome is Outcome.SENT)
        bus.close()
    return bits / exchanges


def acknowledge(head: HeadLine) -> None:
    while (record := head.receive(0)) is not None:
        head.send(record.peer, record.message[:ACKNOWLEDGEMENT_BYTES])


@pytest.mark.parametrize("open_max", [1, 3])
def test_a_full_bus_carries_nearly_what_its_framing_allows(open_max: int) -> None:
    bus = BusTime(TERMINALS, open_max=open_max)
    rng, taken = random.Random("full"), dict.fromkeys(bus.tills, 0)
    for line in bus.tills.values():
        line.send(HEAD, rng.randbytes(RECORD_BYTES))

    def pump() -> bool:
        acknowledge(bus.head)
        for address, line in bus.tills_stepped():
            while line.receive(0) is not None:
                taken[address] += 1
                line.send(HEAD, rng.randbytes(RECORD_BYTES))
        return False

    seconds = 2.0
    bus.run(seconds, pump)
    limit = BITRATE / exchange_bits(1)
    share = sum(taken.values()) / seconds / limit
    print(f"open {open_max}: {share * limit:.1f} of {limit:.1f} records a second, {share:.3f}")
    assert share >= 0.9
    assert max(taken.values()) - min(taken.values()) <= 1, "the highest address gets as much as the lowest"
    bus.close()


def test_at_sixty_percent_load_no_terminal_waits_much_longer_than_another(bus: BusTime) -> None:
    rng = random.Random("sixty percent")
    rate = 0.6 * BITRATE / exchange_bits(2) / TERMINALS
    period_s = 1 / rate  # each terminal sends once in each, whenever it likes
    arrivals = [(rng.uniform(0, period_s), address) for address in bus.tills]
    heapq.heapify(arrivals)
    begun: dict[int, list[float]] = {address: [] for address in bus.tills}
    waits: dict[int, list[float]] = {address: [] for address in bus.tills}

    def pump() -> bool:
        acknowledge(bus.head)
        for address, line in bus.tills_stepped():
            while line.receive(0) is not None:
                waits[address].append(bus.now_s - begun[address].pop(0))
        while arrivals[0][0] <= bus.now_s:
            at_s, address = heapq.heappop(arrivals)
            begun[address].append(at_s)
            bus.tills[address].send(HEAD, rng.randbytes(RECORD_BYTES))
            next_s = (at_s // period_s + 1 + rng.random()) * period_s
            heapq.heappush(arrivals, (next_s, address))
        bus.call_at(arrivals[0][0])
        return False

    bus.run(20.0, pump)
    means = [sum(times) / len(times) for times in waits.values()]
    unfairness = max(means) / min(means)
    print(f"load {bus.model.load:.2f}, {1000 * sum(means) / TERMINALS:.1f} ms, unfairness {unfairness:.2f}")
    assert bus.model.load > 0.55
    assert unfairness <= 2


def test_a_revocation_reaches_every_terminal_in_a_hundredth_of_a_second(bus: BusTime) -> None:
    notice = random.Random("notice").randbytes(110)  # a signature, a card, a version
    bus.head.send(ALL, notice, urgent=True)
    missing = dict(bus.tills)

    def pump() -> bool:
        for address, line in list(missing.items()):
            if line.receive(0) == (HEAD, notice):
                del missing[address]
        return not missing

    assert bus.run(0.1, pump), f"{len(missing)} terminals did not hear it"
    assert bus.now_s <= 0.02
    bus.run(0.2)
    assert all(line.receive(0) is None for line in bus.tills.values()), "it goes twice and is heard once"
