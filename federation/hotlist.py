"""One issuer's hotlist: exactly the cards to refuse, no more and no fewer. Pure.

A list is a value: a change makes another one. Numbers that were issued lie in ranges, where each takes four
bits whether it is listed or not; what is listed outside of the ranges stands in a sorted table. The figures
are in docs/hotlist.md, the bytes in federation/hotlist_form.py.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from federation.errors import Unreadable

ASN_BYTES: Final = 10
ISSUER_BYTES: Final = 8
NUMBER_MAX: Final = 10**18 - 1  # an ASN begins with 00
VERSION_MAX: Final = 2**63 - 1
RANGES_MAX: Final = 1_000
COVERED_MAX: Final = 8_000_000  # numbers in all ranges: 4 MB
OUTSIDE_MAX: Final = 400_000  # listed outside of them: 3.6 MB


class Reason(Enum):
    """Why a card is refused. The values are those of the wire; every one is true in a condition.

    A reason that a later release adds must not keep this one from applying a delta: it has a name already.
    """

    UNSPECIFIED = 0
    LOST = 1
    FROZEN = 2
    REPLACED = 3
    CLOSED = 4
    LATER_5 = 5
    LATER_6 = 6
    LATER_7 = 7
    LATER_8 = 8
    LATER_9 = 9
    LATER_10 = 10
    LATER_11 = 11
    LATER_12 = 12
    LATER_13 = 13
    LATER_14 = 14


MARKS_MAX: Final = len(Reason)  # all that fit in four bits beside 0
_REASONS: Final[tuple[Reason | None, ...]] = (None, *Reason)  # by mark: 0 = not listed
_LOW: Final = bytes(both & 0xF for both in range(256))
_HIGH: Final = bytes(both >> 4 for both in range(256))
_MARKS: Final = {reason: mark for mark, reason in enumerate(Reason, 1)}


def number_of(asn: bytes) -> int:
    """Return an ASN, 10 bytes BCD, as a decimal number. Raise Unreadable if it is none."""
    try:
        number = int(asn.hex())
    except ValueError:
        raise _no_asn(asn) from None
    if len(asn) != ASN_BYTES:
        raise _no_asn(asn)
    return number


def asn_of(number: int) -> bytes:
    """Return the ASN, 10 bytes BCD, of a number up to 20 digits."""
    return bytes.fromhex(f"{number:020d}")


@dataclass(frozen=True, slots=True, order=True)
class IssuedRange:
    """Numbers that an issuer gave out, one after the other.

    Args:
        first: the first ASN as a number, up to 18 digits.
        cards: how many there are, at least 1.
    """

    first: int
    cards: int

    def __post_init__(self) -> None:
        if not (self.first >= 0 and self.cards >= 1 and self.first + self.cards - 1 <= NUMBER_MAX):
            raise Unreadable(f"{self.cards} cards from number {self.first} on are no range")

    @property
    def size(self) -> int:
        """How many bytes the range takes."""
        return (self.cards + 1) // 2


class Hotlist:
    """The cards of one issuer that are refused, in one version.

    Args:
        issuer: 8 bytes.
        version: 0 = nothing is known yet.
        ranges: of issued numbers, in order, not overlapping; at most RANGES_MAX with COVERED_MAX cards.
        listed: reason by number; see `number_of`.

    Raises:
        Unreadable: an argument is out of its range.
    """

    __slots__ = (
        "_edges",
        "_places",
        "issuer",
        "marks",
        "outside",
        "outside_marks",
        "ranges",
        "version",
    )

    issuer: bytes
    version: int
    ranges: tuple[IssuedRange, ...]
    marks: bytes  # of the ranges, one behind the other: half a byte a number, the lower half first
    outside: "array[int]"  # numbers listed outside of the ranges, in order
    outside_marks: bytes  # theirs, a byte each

    def __init__(
        self,
        issuer: bytes,
        version: int = 0,
        ranges: Iterable[IssuedRange] = (),
        listed: Mapping[int, Reason] | None = None,
    ) -> None:
        self._lay_out(issuer, version, tuple(ranges))
        self._mark(bytearray(sum(each.size for each in self.ranges)), {}, listed or {})

    def find(self, asn: bytes) -> Reason | None:
        """Return why a card is refused; None = it is not listed. Raise Unreadable if this is no ASN."""
        try:
            number = int(asn.hex())
        except ValueError:
            raise _no_asn(asn) from None
        if len(asn) != ASN_BYTES:
            raise _no_asn(asn)
        at = bisect_right(self._edges, number)
        if at & 1:
            place = self._places[at >> 1] + number
            return _REASONS[self.marks[place >> 1] >> ((place & 1) << 2) & 0xF]
        outside = self.outside
        at = bisect_left(outside, number)
        if at < len(outside) and outside[at] == number:
            return _REASONS[self.outside_marks[at]]
        return None

    def entries(self) -> Iterator[tuple[int, Reason]]:
        """Yield number and reason of every listed card: first those in the ranges, then the others."""
        for issued in self.ranges:
            yield from self.entries_of(issued)
        yield from self.entries_outside()

    def entries_of(self, issued: IssuedRange) -> Iterator[tuple[int, Reason]]:
        """Yield number and reason of what is listed in one of the ranges, in order."""
        for at, both in enumerate(self.marks_of(issued)):
            if both:
                number = issued.first + 2 * at
                if low := both & 0xF:
                    yield number, Reason(low - 1)
                if high := both >> 4:
                    yield number + 1, Reason(high - 1)

    def entries_outside(self) -> Iterator[tuple[int, Reason]]:
        """Yield number and reason of what is listed outside of the ranges, in order."""
        for number, mark in zip(self.outside, self.outside_marks, strict=True):
            yield number, Reason(mark - 1)

    def marks_of(self, issued: IssuedRange) -> bytes:
        """Return the marks of one of the ranges."""
        base = (self._places[self.ranges.index(issued)] + issued.first) // 2
        return self.marks[base : base + issued.size]

    def changed(
        self,
        version: int,
        added: Mapping[int, Reason],
        removed: Iterable[int],
        ranges: tuple[IssuedRange, ...] | None = None,
    ) -> "Hotlist":
        """Return the list of a later version; this one stays as it is.

        Args:
            added: what is listed from then on, or for another reason.
            removed: what is listed no more.
            ranges: where numbers lie from then on; None = where they did.

        Raises:
            Unreadable: an argument is out of its range.
        """
        new = Hotlist.__new__(Hotlist)
        new._lay_out(self.issuer, version, self.ranges if ranges is None else ranges)
        kept = dict(zip(self.outside, self.outside_marks, strict=True))
        same = new.ranges == self.ranges
        marks = bytearray(self.marks) if same else self._moved(new.ranges, kept)
        new._mark(marks, kept, added, removed)
        return new

    def __len__(self) -> int:
        """How many cards are listed."""
        marked = (
            2 * len(self.marks) - self.marks.translate(_LOW).count(0) - self.marks.translate(_HIGH).count(0)
        )
        return marked + len(self.outside)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hotlist):
            return NotImplemented
        return (self.issuer, self.version, self.ranges, self.marks, self.outside, self.outside_marks) == (
            other.issuer, other.version, other.ranges, other.marks, other.outside, other.outside_marks,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.issuer, self.version))

    def __repr__(self) -> str:
        return f"Hotlist({self.issuer.hex().upper()}, version {self.version})"

    @classmethod
    def of_marks(
        cls,
        issuer: bytes,
        version: int,
        ranges: tuple[IssuedRange, ...],
        marks: bytes,
        outside: "array[int]",
        outside_marks: bytes,
    ) -> "Hotlist":
        """Return a list of the parts of its form, which the caller checks."""
        hotlist = cls.__new__(cls)
        hotlist._lay_out(issuer, version, ranges)
        hotlist.marks, hotlist.outside, hotlist.outside_marks = marks, outside, outside_marks
        return hotlist

    def covers(self, number: int) -> bool:
        """Tell whether a number lies in one of the ranges."""
        return self._place(number) is not None

    def _lay_out(self, issuer: bytes, version: int, ranges: tuple[IssuedRange, ...]) -> None:
        if len(issuer) != ISSUER_BYTES or not 0 <= version <= VERSION_MAX:
            raise Unreadable(f"a hotlist of an issuer of {len(issuer)} bytes in version {version}")
        if len(ranges) > RANGES_MAX or sum(each.cards for each in ranges) > COVERED_MAX:
            raise Unreadable(f"a hotlist with {len(ranges)} ranges is too large")
        if any(before.first + before.cards > after.first for before, after in pairwise(ranges)):
            raise Unreadable("ranges that overlap, or are not in order")
        self.issuer, self.version, self.ranges = issuer, version, ranges
        self._edges = []  # first and behind the last of each range: between edges 1 and 2 is the first range
        self._places = []
        base = 0
        for each in ranges:
            self._edges += [each.first, each.first + each.cards]
            self._places.append(2 * base - each.first)
            base += each.size

    def _mark(
        self, marks: bytearray, kept: dict[int, int], added: Mapping[int, Reason], removed: Iterable[int] = ()
    ) -> None:
        """Put marks where they belong; `kept` is marked already, in the ranges or not."""
        outside = {}
        changes = dict(kept)
        changes.update(dict.fromkeys(removed, 0))
        changes.update((number, _MARKS[reason]) for number, reason in added.items())
        for number, mark in changes.items():
            place = self._place(number)
            if place is None:
                outside[number] = mark
            else:
                shift = (place & 1) << 2
                marks[place >> 1] = marks[place >> 1] & (0xF0 >> shift) | mark << shift
        outside = {number: mark for number, mark in outside.items() if mark}
        if len(outside) > OUTSIDE_MAX or any(not 0 <= number <= NUMBER_MAX for number in outside):
            raise Unreadable("too much is listed outside of the ranges, or it is no number of a card")
        self.marks = bytes(marks)
        self.outside = array("Q", sorted(outside))
        self.outside_marks = bytes(outside[number] for number in self.outside)

    def _moved(self, ranges: tuple[IssuedRange, ...], kept: dict[int, int]) -> bytearray:
        """Return the marks of other ranges; what lay in a range that is no more goes to `kept`."""
        here = frozenset(self.ranges)
        for issued in here.difference(ranges):
            kept.update((number, _MARKS[why]) for number, why in self.entries_of(issued))
        parts = [self.marks_of(each) if each in here else bytes(each.size) for each in ranges]
        return bytearray().join(parts)

    def _place(self, number: int) -> int | None:
        at = bisect_right(self._edges, number)
        return self._places[at >> 1] + number if at & 1 else None


def _no_asn(asn: bytes) -> Unreadable:
    return Unreadable(f"{len(asn)} bytes that are no application serial number: it has 10, in BCD")
