"""What a till reads from a card before it decides anything: whose it is, its class, what it remembers."""

from dataclasses import dataclass
from typing import Final

from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import read_binary, read_record
from campus_node.purse.errors import AnswerUnreadable, CardRefused
from campus_node.purse.files import HOLDER_BYTES, HOLDER_SFI, HolderFile, PublicFile
from campus_node.purse.presenting import CardLayout, present
from campus_node.spending import card_record, rides
from campus_node.spending.card_record import Spent
from campus_node.spending.moments import is_date

SPENDING_RECORD: Final = 1  # their places in file 0017 of our cards; each is known by its id
RIDE_RECORD: Final = 2
NO_CLASS: Final = 0  # of a card that has no file 0016, or does not show it


@dataclass(frozen=True, slots=True)
class Seen:
    """A card, as it was read.

    Args:
        public: its file 0015.
        card_class: 0 to 255, the card type of its file 0016.
        spent: what it remembers of its spending; None = nothing.
        ride: under way; None = none is.
        takes_rides: whether it can remember one.
    """

    public: PublicFile
    card_class: int
    spent: Spent | None
    ride: rides.Ride | None = None
    takes_rides: bool = False

    @property
    def asn(self) -> bytes:
        return self.public.asn

    @property
    def issuer(self) -> bytes:
        return self.public.issuer

    @property
    def starts(self) -> int:
        """The first day on which it is good, yyyymmdd; 0 = not stated."""
        return _day(self.public.starts)

    @property
    def expires(self) -> int:
        """The last day, yyyymmdd; 0 = not stated."""
        return _day(self.public.expires)


def look(card: CardChannel, layout: CardLayout, *, with_ride: bool = False) -> Seen:
    """Read the card that lies there; it is changed in nothing.

    Raises:
        CardRefused: it is no purse, or blocked.
        CardLeft, ReaderLost: no answer.
    """
    public = present(card, layout)
    spent = card_record.read(_record(card, card_record.SFI, SPENDING_RECORD))
    seen = Seen(public, _class_of(card), spent)
    if not with_ride:
        return seen
    record = _record(card, rides.SFI, RIDE_RECORD)
    if record is None or spent is None:
        return seen
    try:
        ride = rides.read(record)
    except AnswerUnreadable:
        return seen
    return Seen(public, seen.card_class, spent, ride, takes_rides=True)


def _class_of(card: CardChannel) -> int:
    try:
        return HolderFile.parse(demand(card, read_binary(HOLDER_SFI, 0, HOLDER_BYTES))).card_type
    except (CardRefused, AnswerUnreadable):
        return NO_CLASS


def _record(card: CardChannel, sfi: int, number: int) -> bytes | None:
    try:
        return demand(card, read_record(sfi, number))
    except CardRefused:
        return None


def _day(bcd: bytes) -> int:
    """Return a card's date as yyyymmdd; 0 if it is none, which says nothing."""
    text = bcd.hex()
    return int(text) if text.isdecimal() and is_date(int(text)) else 0
