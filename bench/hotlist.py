"""How large a hotlist of a million cards is, and how fast one is looked up. Figures for a benchmark's table.

The look-up is measured one by one over all issued cards in random order, listed and not, in the ranges and
outside of them; the median leaves out what else the machine does. docs/hotlist.md
"""

import gc
import random
import statistics
import time
import tracemalloc
from typing import Final, NamedTuple

from bench.harness import BenchBroken, Row, Sample
from federation.hotlist import Hotlist, IssuedRange, Reason, asn_of
from federation.hotlist_form import decode, encode

ROWS: Final = (
    Row(
        "hotlist.serialised",
        "a million cards, half of them and 20,000 others listed, as bytes",
        "MB",
        "lower",
        2.0,
        1.0,
    ),
    Row("hotlist.resident", "the same in memory", "MB", "lower", 2.0, 1.0),
    Row("hotlist.lookup", "one card looked up, median", "µs", "lower", 5.0, 1.0),
)
CARDS: Final = 1_000_000
RANGES: Final = 200
OUTSIDE: Final = 20_000
LOOKUPS: Final = 50_000
_ISSUER: Final = bytes.fromhex("4355434100000001")
_FIRST: Final = 1_000_000_000_000
_PER_RANGE: Final = CARDS // RANGES
_MB: Final = 1_000_000


class Measured(NamedTuple):
    """What was found; sizes in bytes."""

    serialised: int
    resident: int
    lookup_us: float
    listed: int


def measure_hotlist(seed: int, *, lookups: int = LOOKUPS) -> Measured:
    """Build a list, measure it, and check every look-up against a plain set.

    Args:
        lookups: how many cards are looked up one by one.

    Raises:
        BenchBroken: a card was refused that is not listed, or the other way round.
    """
    rng = random.Random(seed)
    ranges, issued = _issued(rng)
    chosen = rng.sample(issued[:CARDS], CARDS // 2) + issued[CARDS:]
    listed = {number: rng.choice(list(Reason)) for number in chosen}
    form = encode(Hotlist(_ISSUER, 1, ranges, listed))
    hotlist, resident = _resident(form)
    asked = [rng.choice(issued) for _ in range(lookups)]
    took_ns, found = [], []
    for asn in [asn_of(number) for number in asked]:
        began_ns = time.perf_counter_ns()
        why = hotlist.find(asn)
        took_ns.append(time.perf_counter_ns() - began_ns)
        found.append(why)
    if found != [listed.get(number) for number in asked]:
        raise BenchBroken("the hotlist and a set do not agree")
    return Measured(len(form), resident, statistics.median(took_ns) / 1_000, len(hotlist))


def samples(measured: Measured) -> dict[str, Sample]:
    """Return the figures by the names of their rows."""
    return {
        "hotlist.serialised": Sample(measured.serialised / _MB),
        "hotlist.resident": Sample(measured.resident / _MB),
        "hotlist.lookup": Sample(measured.lookup_us),
    }


def _issued(rng: random.Random) -> tuple[tuple[IssuedRange, ...], list[int]]:
    ranges, first = [], _FIRST
    for _ in range(RANGES):
        first += rng.randrange(1, 100_000)
        ranges.append(IssuedRange(first, _PER_RANGE))
        first += _PER_RANGE
    covered = [number for each in ranges for number in range(each.first, each.first + each.cards)]
    taken, outside = set(covered), set[int]()
    while len(outside) < OUTSIDE:
        number = _FIRST + rng.randrange(10**11)
        if number not in taken:
            outside.add(number)
    return tuple(ranges), covered + sorted(outside)


def _resident(form: bytes) -> tuple[Hotlist, int]:
    """Return the list of a form, and what it takes in memory."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        hotlist = decode(form)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return hotlist, after - before
