"""The issuer's side of its hotlist: the next version, by what ought to be listed today. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from federation.hotlist import Hotlist, IssuedRange, Reason

NEVER: Final = 99991231


@dataclass(frozen=True, slots=True)
class Listing:
    """A card that its issuer wants to be refused.

    Args:
        number: its ASN as a number.
        reason: why.
        expires: the last day on which the card itself is good, yyyymmdd: after it the entry leaves the list,
            because every terminal refuses the card for its date.
    """

    number: int
    reason: Reason
    expires: int = NEVER


def next_version(
    hotlist: Hotlist,
    listings: Iterable[Listing],
    today: int,
    ranges: tuple[IssuedRange, ...] | None = None,
) -> Hotlist | None:
    """Return the version after this one that lists exactly these cards; None if this one does already.

    Args:
        listings: all that ought to be listed, expired ones too. A card that stands there twice has the reason
            that came last.
        today: yyyymmdd.
        ranges: of issued numbers from now on; None = as before.
    """
    wanted = {each.number: each.reason for each in listings if each.expires >= today}
    present = dict(hotlist.entries())
    added = {number: why for number, why in wanted.items() if present.get(number) is not why}
    removed = present.keys() - wanted.keys()
    if not added and not removed and ranges in {None, hotlist.ranges}:
        return None
    return hotlist.changed(hotlist.version + 1, added, removed, ranges)
