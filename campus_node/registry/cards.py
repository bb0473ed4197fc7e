"""Cards: whose they are, and what is the matter with them. Works inside the caller's transaction.

Lost, frozen, broken, locked, replaced, closed and expired are independent flags, each with the instant from
which it holds (rules of the field, 29). A flag that is over stays in the table with its end.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, insert, select, update

from campus_node.registry.tables import card_flags, cards
from campus_node.registry.terminals import AlreadyRegistered, changed
from campus_node.wording import Sentence
from federation.errors import NotFound, Refused

CARDS: Final = "cards"
ASN_BYTES: Final = 10
ISSUER_BYTES: Final = 8


class CardFlag(StrEnum):
    """What may be the matter with a card."""

    LOST = "lost"
    FROZEN = "frozen"
    BROKEN = "broken"
    LOCKED = "locked"
    REPLACED = "replaced"
    CLOSED = "closed"
    EXPIRED = "expired"


BLOCKING: Final = frozenset(CardFlag) - {CardFlag.BROKEN}  # a broken card's account still pays
LISTED: Final = frozenset({CardFlag.LOST, CardFlag.FROZEN, CardFlag.REPLACED, CardFlag.CLOSED})
FINAL: Final = frozenset({CardFlag.REPLACED, CardFlag.CLOSED})  # a replaced card stays dead even when found


@dataclass(frozen=True, slots=True)
class FlagSet:
    """A flag that is set on a card: from when it holds, and why."""

    flag: CardFlag
    effective_at_unix_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Card:
    """One card.

    Args:
        asn: 10 bytes BCD.
        issuer: 8 bytes as in file 0015.
        account: the online account that it pays from; an account number.
        flags: those that are set, also ones that hold only from a later instant on.
    """

    asn: bytes
    issuer: bytes
    account: int
    flags: tuple[FlagSet, ...] = ()

    def blocked_by(self, now_unix_ms: int) -> CardFlag | None:
        """Return the flag for which it may not pay at an instant, None if it may."""
        for each in self.flags:
            if each.flag in BLOCKING and each.effective_at_unix_ms <= now_unix_ms:
                return each.flag
        return None


def register(connection: Connection, card: Card, now_unix_ms: int) -> None:
    """Add a card.

    Raises:
        AlreadyRegistered: it is there.
        Refused: a number has the wrong length.
    """
    _require_asn(card.asn)
    if len(card.issuer) != ISSUER_BYTES:
        raise Refused(Sentence("an issuer id has 8 bytes: group code 4, campus number 4"))
    if find(connection, [card.asn]):
        raise AlreadyRegistered(Sentence("card {asn} is registered already", asn=card.asn.hex().upper()))
    values = {"asn": card.asn, "issuer": card.issuer, "account": card.account}
    connection.execute(insert(cards).values(**values, registered_at_unix_ms=now_unix_ms))
    changed(connection, CARDS)


def set_flag(connection: Connection, asn: bytes, flag: FlagSet, now_unix_ms: int) -> bool:
    """Set a flag. False = it was set before; an earlier effective time is taken over, a later one is not.

    Raises:
        NotFound: there is no such card.
    """
    card = of_asn(connection, asn)
    there = next((each for each in card.flags if each.flag is flag.flag), None)
    if there is not None:
        if flag.effective_at_unix_ms < there.effective_at_unix_ms:
            connection.execute(
                update(card_flags)
                .where(_open(asn, flag.flag))
                .values(effective_at_unix_ms=flag.effective_at_unix_ms)
            )
            changed(connection, CARDS)
        return False
    connection.execute(
        insert(card_flags).values(
            asn=asn,
            flag=flag.flag.value,
            set_at_unix_ms=now_unix_ms,
            effective_at_unix_ms=flag.effective_at_unix_ms,
            reason=flag.reason,
        )
    )
    changed(connection, CARDS)
    return True


def end_flag(connection: Connection, asn: bytes, flag: CardFlag, now_unix_ms: int) -> bool:
    """End a flag. False = it was not set.

    Raises:
        NotFound: there is no such card.
        Refused: the flag is final: a replaced or closed card stays dead even when found.
    """
    card = of_asn(connection, asn)
    if flag in FINAL:
        raise Refused(Sentence("a card that is {flag} stays so", flag=flag.value))
    ended = connection.execute(
        update(card_flags).where(_open(asn, flag)).values(ended_at_unix_ms=now_unix_ms)
    )
    if ended.rowcount == 0:
        assert flag not in {each.flag for each in card.flags}
        return False
    changed(connection, CARDS)
    return True


def of_asn(connection: Connection, asn: bytes) -> Card:
    """Return a card; raise NotFound, or Refused where the number has the wrong length."""
    _require_asn(asn)
    found = find(connection, [asn])
    if asn not in found:
        raise NotFound(Sentence("card {asn} is not registered", asn=asn.hex().upper()))
    return found[asn]


def find(connection: Connection, asns: Collection[bytes]) -> Mapping[bytes, Card]:
    """Return those of these cards that are registered, with the flags that are set."""
    wanted = sorted(set(asns))
    open_flags = card_flags.c.ended_at_unix_ms.is_(None)
    query = (
        select(cards, card_flags.c.flag, card_flags.c.effective_at_unix_ms, card_flags.c.reason)
        .select_from(cards.outerjoin(card_flags, (cards.c.asn == card_flags.c.asn) & open_flags))
        .where(cards.c.asn.in_(wanted))
        .order_by(cards.c.asn, card_flags.c.effective_at_unix_ms, card_flags.c.flag)
    )
    found: dict[bytes, Card] = {}
    for row in connection.execute(query):
        asn = bytes(row.asn)
        before = found[asn].flags if asn in found else ()
        own = (FlagSet(CardFlag(row.flag), row.effective_at_unix_ms, row.reason),) if row.flag else ()
        found[asn] = Card(asn, bytes(row.issuer), row.account, before + own)
    return found


def flagged(connection: Connection, flag: CardFlag, reason: str) -> list[bytes]:
    """Return the cards on which a flag is set for exactly this reason."""
    that = (card_flags.c.flag == flag.value) & (card_flags.c.reason == reason)
    query = select(card_flags.c.asn).where(that & card_flags.c.ended_at_unix_ms.is_(None))
    return sorted(bytes(asn) for asn in connection.execute(query).scalars())


def _open(asn: bytes, flag: CardFlag) -> ColumnElement[bool]:
    that = (card_flags.c.asn == asn) & (card_flags.c.flag == flag.value)
    return that & card_flags.c.ended_at_unix_ms.is_(None)


def _require_asn(asn: bytes) -> None:
    if len(asn) != ASN_BYTES:
        raise Refused(Sentence("a card's number has 10 bytes"))
