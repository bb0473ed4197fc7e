"""The first step of every flow: select the purse application, and learn whose card this is."""

from dataclasses import dataclass, field

from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import read_binary, select_name, verify_pin
from campus_node.purse.errors import CardRefused
from campus_node.purse.files import PUBLIC_BYTES, PUBLIC_SFI, Fci, PublicFile
from campus_node.wording import Sentence
from federation.errors import Refused

AID: bytes = bytes.fromhex("A00000000386980701")


class OtherCard(Refused):
    """Another card lies there than the one that is asked for. Nothing was done to it."""


@dataclass(frozen=True, slots=True)
class CardLayout:
    """Where a card keeps what the flows need; the defaults are our own cards'.

    Args:
        aid: the purse application's name.
        purchase_key, load_key, unload_key: indexes of the keys, as INIT names them.
        pin_key: index of the PIN.
    """

    aid: bytes = AID
    purchase_key: int = 1
    load_key: int = 1
    unload_key: int = 1
    pin_key: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN on its way to the card; its repr shows nothing.

    Args:
        digits: 2 to 6 bytes BCD.
    """

    digits: bytes = field(repr=False)


def present(card: CardChannel, layout: CardLayout) -> PublicFile:
    """Select the purse and return file 0015: from the answer to SELECT if the card puts it there, else read.

    Raises:
        NotFoundInCard: the card has no such application, or it is blocked.
        CardLeft, ReaderLost: no answer; nothing has happened.
    """
    fci = Fci.parse(demand(card, select_name(layout.aid)))
    if fci.public is not None:
        return fci.public
    return PublicFile.parse(demand(card, read_binary(PUBLIC_SFI, 0, PUBLIC_BYTES)))


def present_again(card: CardChannel, layout: CardLayout, asn: bytes) -> None:
    """Reset the card, select the purse and make sure that it is the card with this serial number.

    Args:
        asn: 10 bytes.

    Raises:
        OtherCard: it is not; or it has no such application, or that is blocked, so that nobody can tell.
        CardLeft, ReaderLost: no answer.
    """
    card.power_on()
    try:
        known = present(card, layout).asn
    except CardRefused as refusal:
        raise OtherCard(
            Sentence("this card does not say which one it is: present the same card")
        ) from refusal
    if known != asn:
        raise OtherCard(Sentence("this is another card: present the same card"))


def show_pin(card: CardChannel, layout: CardLayout, pin: Pin | None) -> None:
    """Show the PIN to the card, if there is one to show.

    Raises:
        PinWrong, PinBlocked: the card says no.
    """
    if pin is not None:
        demand(card, verify_pin(layout.pin_key, pin.digits))
