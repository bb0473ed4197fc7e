"""Hotlists in the database: each issuer's newest one, and its changes, for deltas (A15; rules 29, 32)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, update

from campus_node.lines.messages import ISSUER_BYTES
from campus_node.notices.tables import hotlist_changes, hotlist_entries, hotlists
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Refused, Unreadable
from federation.hotlist import NUMBER_MAX, OUTSIDE_MAX, Hotlist, Reason, number_of
from federation.hotlist_delta import sign

CHANGED_MAX: Final = 10_000  # cards in one change
VERSIONS_KEPT: Final = 1_000  # deltas reach back so far; who is further behind gets everything
REASONS: Final = frozenset(wire.HotlistReason.values())


@dataclass(frozen=True, slots=True)
class HotlistChange:
    """What changes in one issuer's hotlist.

    Args:
        issuer: 8 bytes.
        listed: cards to refuse, 10 bytes BCD each, with the reason (`HotlistReason`).
        removed: cards that are refused no more, for example because they expired.

    Raises:
        Refused: a card's number is none, more than CHANGED_MAX cards, a reason unknown, or a card on both
            sides.
    """

    issuer: bytes
    listed: Mapping[bytes, int] = field(default_factory=dict)
    removed: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        fits = (
            len(self.issuer) == ISSUER_BYTES
            and all(_is_card(asn) for asn in (*self.listed, *self.removed))
            and len(self.listed) + len(self.removed) <= CHANGED_MAX
            and REASONS.issuperset(self.listed.values())
            and self.removed.isdisjoint(self.listed)
        )
        if not fits:
            raise Refused(Sentence("a change of a hotlist that cannot be used"))


class HotlistFull(Refused):
    """No terminal could hold so many cards: OUTSIDE_MAX are listed already."""


def versions(connection: Connection) -> dict[bytes, int]:
    """Return the version of each issuer's hotlist."""
    return {row.issuer: row.version for row in connection.execute(select(hotlists))}


def change(connection: Connection, wanted: HotlistChange) -> tuple[int, int]:
    """Apply a change and return the versions before and after; equal if everything was so already."""
    known = connection.execute(select(hotlists).where(hotlists.c.issuer == wanted.issuer)).first()
    before: int = known.version if known else 0
    now = _entries(connection, wanted.issuer)
    new: dict[bytes, int | None] = {
        asn: reason for asn, reason in wanted.listed.items() if now.get(asn) != reason
    }
    new |= dict.fromkeys(wanted.removed & now.keys())
    if not new:
        return before, before
    if len(now.keys() | {asn for asn in new if new[asn] is not None}) > OUTSIDE_MAX:
        raise HotlistFull(Sentence("a hotlist holds {most} cards, no more", most=OUTSIDE_MAX))
    after = before + 1
    if known is None:
        connection.execute(insert(hotlists).values(issuer=wanted.issuer, version=after, floor=0))
    else:
        _forget_old(connection, wanted.issuer, max(known.floor, after - VERSIONS_KEPT))
        row = hotlists.c.issuer == wanted.issuer
        floor = max(known.floor, after - VERSIONS_KEPT)
        connection.execute(update(hotlists).where(row).values(version=after, floor=floor))
    of_issuer = hotlist_entries.c.issuer == wanted.issuer
    connection.execute(delete(hotlist_entries).where(of_issuer, hotlist_entries.c.asn.in_(new)))
    listed = [
        {"issuer": wanted.issuer, "asn": asn, "reason": new[asn]} for asn in new if new[asn] is not None
    ]
    if listed:
        connection.execute(insert(hotlist_entries), listed)
    changed = [{"issuer": wanted.issuer, "version": after, "asn": asn, "reason": new[asn]} for asn in new]
    connection.execute(insert(hotlist_changes), changed)
    return before, after


def delta(
    connection: Connection, key: Ed25519PrivateKey, issuer: bytes, from_version: int
) -> wire.HotlistDelta | None:
    """Return what leads from a version to the newest one, signed; None if it is the newest already.

    Who is behind what is remembered, or ahead of what we have (it was told more than a restored database
    knows), gets everything anew: from_version is 0 then.
    """
    known = connection.execute(select(hotlists).where(hotlists.c.issuer == issuer)).first()
    if known is None or from_version == known.version:
        return None
    entries = _entries(connection, issuer)
    result = wire.HotlistDelta(issuer=issuer, to_version=known.version)
    listed = {number_of(asn): Reason(reason) for asn, reason in entries.items()}
    result.signature = sign(Hotlist(issuer, known.version, (), listed), key).signature
    if not max(known.floor, 1) <= from_version < known.version:
        for asn, reason in sorted(entries.items()):
            result.added.add(asn=asn, reason=wire.HotlistReason.ValueType(reason))
        return result
    result.from_version = from_version
    query = (
        select(hotlist_changes.c.asn, hotlist_changes.c.reason)
        .where(hotlist_changes.c.issuer == issuer, hotlist_changes.c.version > from_version)
        .order_by(hotlist_changes.c.version)
    )
    last = {row.asn: row.reason for row in connection.execute(query)}
    for asn, reason in sorted(last.items()):
        if reason is None:
            result.removed.append(asn)
        else:
            result.added.add(asn=asn, reason=wire.HotlistReason.ValueType(reason))
    return result


def _entries(connection: Connection, issuer: bytes) -> dict[bytes, int]:
    query = select(hotlist_entries.c.asn, hotlist_entries.c.reason).where(hotlist_entries.c.issuer == issuer)
    return {row.asn: row.reason for row in connection.execute(query)}


def _is_card(asn: bytes) -> bool:
    try:
        return number_of(asn) <= NUMBER_MAX
    except Unreadable:
        return False


def _forget_old(connection: Connection, issuer: bytes, floor: int) -> None:
    connection.execute(
        delete(hotlist_changes).where(hotlist_changes.c.issuer == issuer, hotlist_changes.c.version <= floor)
    )
