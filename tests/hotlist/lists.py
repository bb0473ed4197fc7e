"""Lists, issuers and a million cards for the tests of hotlists."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.hotlist import Hotlist, IssuedRange, Reason
from federation.hotlist_delta import Delta, SignedHotlist, between, sign

ISSUER = bytes.fromhex("4355434100000001")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = (KEY.public_key(),)
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
FIRST = 1_000_000_000_000
RANGES = (IssuedRange(FIRST, 7), IssuedRange(FIRST + 7, 4), IssuedRange(FIRST + 100, 10))
LOST, FROZEN, CLOSED = Reason.LOST, Reason.FROZEN, Reason.CLOSED


def listed(
    version: int, cards: Mapping[int, Reason], ranges: tuple[IssuedRange, ...] = RANGES
) -> SignedHotlist:
    """Return a list of these cards, counted from the first one, signed by the issuer."""
    return sign(Hotlist(ISSUER, version, ranges, {FIRST + card: why for card, why in cards.items()}), KEY)


def step(before: SignedHotlist, after: SignedHotlist) -> Delta:
    return between(before.hotlist, after)


@dataclass(frozen=True, slots=True)
class Campus:
    """An issuer of a million cards in ranges and some outside of them.

    Args:
        covered: every number in the ranges.
        outside: numbers that were issued one by one.
        listed: any half of all.
    """

    ranges: tuple[IssuedRange, ...]
    covered: list[int]
    outside: list[int]
    listed: dict[int, Reason]


@cache
def million(seed: int) -> Campus:
    """Return a campus of 1,000,000 cards in 200 ranges and 20,000 outside of them."""
    rng = random.Random(seed)
    ranges, first = [], FIRST
    for _ in range(200):
        first += rng.randrange(1, 100_000)
        ranges.append(IssuedRange(first, 5_000))
        first += 5_000
    covered = [number for each in ranges for number in range(each.first, each.first + each.cards)]
    taken = set(covered)
    outside: set[int] = set()
    while len(outside) < 20_000:
        number = FIRST + rng.randrange(first - FIRST + 10**9)
        if number not in taken:
            outside.add(number)
    apart = sorted(outside)
    known = list(Reason)[:5]
    chosen = rng.sample(covered + apart, 510_000)
    return Campus(tuple(ranges), covered, apart, {number: rng.choice(known) for number in chosen})
