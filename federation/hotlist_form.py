"""The one form of a hotlist in bytes: what is signed, kept and sent. Pure. docs/hotlist.md has the table.

Two lists that say the same in the same ranges have the same bytes, whatever way led to them.
"""

import hashlib
import sys
from array import array
from itertools import pairwise
from struct import Struct
from typing import Final

from federation.errors import Unreadable
from federation.hotlist import COVERED_MAX, MARKS_MAX, OUTSIDE_MAX, RANGES_MAX, Hotlist, IssuedRange

MAGIC: Final = b"CAMPUSH1"
DIGEST_BYTES: Final = 32

_HEAD: Final = Struct(">8s8sQII")  # magic, issuer, version, ranges, listed outside of them
_RANGE: Final = Struct(">QI")
_NUMBER_BYTES: Final = 8
FORM_BYTES_MAX: Final = (
    _HEAD.size + RANGES_MAX * (_RANGE.size + 1) + COVERED_MAX // 2 + OUTSIDE_MAX * 9 + DIGEST_BYTES
)
_GOOD_OUTSIDE: Final = bytes(range(1, MARKS_MAX + 1))


def encode(hotlist: Hotlist) -> bytes:
    """Return a list's form; its last 32 bytes are the digest of the others."""
    content = b"".join(_parts(hotlist))
    return content + hashlib.sha256(content).digest()


def digest(hotlist: Hotlist) -> bytes:
    """Return the SHA-256 that stands at the end of a list's form, without making the form."""
    sum_of = hashlib.sha256()
    for part in _parts(hotlist):
        sum_of.update(part)
    return sum_of.digest()


def decode(form: bytes) -> Hotlist:
    """Return the list of a form.

    Raises:
        Unreadable: its digest is wrong, or it is not the one form of any list.
    """
    content, found = form[:-DIGEST_BYTES], form[-DIGEST_BYTES:]
    if len(content) < _HEAD.size or hashlib.sha256(content).digest() != found:
        raise Unreadable("this is no hotlist: its digest is wrong")
    magic, issuer, version, range_count, outside_count = _HEAD.unpack_from(content)
    marks_at = _HEAD.size + range_count * _RANGE.size
    if magic != MAGIC or range_count > RANGES_MAX or outside_count > OUTSIDE_MAX or len(content) < marks_at:
        raise Unreadable("this is no hotlist")
    ranges = tuple(
        IssuedRange(first, cards) for first, cards in _RANGE.iter_unpack(content[_HEAD.size : marks_at])
    )
    outside_at = marks_at + sum(issued.size for issued in ranges)
    reasons_at = outside_at + outside_count * _NUMBER_BYTES
    if len(content) != reasons_at + outside_count:
        raise Unreadable("this is no hotlist: its length is wrong")
    outside = _swapped(array("Q", content[outside_at:reasons_at]))
    hotlist = Hotlist.of_marks(
        issuer, version, ranges, content[marks_at:outside_at], outside, content[reasons_at:]
    )
    _check(hotlist)
    return hotlist


def _parts(hotlist: Hotlist) -> tuple[bytes, ...]:
    head = _HEAD.pack(MAGIC, hotlist.issuer, hotlist.version, len(hotlist.ranges), len(hotlist.outside))
    ranges = b"".join(_RANGE.pack(each.first, each.cards) for each in hotlist.ranges)
    return head, ranges, hotlist.marks, _swapped(hotlist.outside[:]).tobytes(), hotlist.outside_marks


def _check(hotlist: Hotlist) -> None:
    """Raise Unreadable unless this is how we would write the same list."""
    if hotlist.outside_marks.translate(None, _GOOD_OUTSIDE):
        raise Unreadable("a hotlist with a reason that is none")
    end = 0
    for issued in hotlist.ranges:
        end += issued.size
        if issued.cards % 2 and hotlist.marks[end - 1] >> 4:
            raise Unreadable("a hotlist with a card behind the end of its range")
    if any(before >= after for before, after in pairwise(hotlist.outside)):
        raise Unreadable("a hotlist whose table is not in order")
    if any(hotlist.covers(number) for number in hotlist.outside):
        raise Unreadable("a hotlist with a card of a range outside of it")


def _swapped(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
