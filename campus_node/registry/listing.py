"""Which cards stand in the hotlist, and why (rules of the field, 29). Pure."""

from typing import Final

from campus_node.registry.cards import Card, CardFlag
from campuscard.v1 import terminal_pb2 as wire

# The gravest first: who reads the list acts on the first reason that holds.
_REASONS: Final = (
    (CardFlag.CLOSED, wire.HOTLIST_REASON_CLOSED),
    (CardFlag.REPLACED, wire.HOTLIST_REASON_REPLACED),
    (CardFlag.FROZEN, wire.HOTLIST_REASON_FROZEN),
    (CardFlag.LOST, wire.HOTLIST_REASON_LOST),
)


def hotlist_reason(card: Card) -> wire.HotlistReason.ValueType | None:
    """Return why a card is listed, None if it is not: a broken or locked card refuses by itself."""
    flags = {each.flag for each in card.flags}
    if CardFlag.EXPIRED in flags:  # it leaves the list: no terminal takes it any more
        return None
    return next((reason for flag, reason in _REASONS if flag in flags), None)
