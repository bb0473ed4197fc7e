"""A card that lies on the reader, opened for a command; and how what it says is shown."""

from dataclasses import dataclass
from typing import Final

from campus_node.cli.card_desk import Desk
from campus_node.cli.card_terms import CardTerms, card_terms
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import (
    Purse,
    TransactionType,
    get_balance,
    parse_balance,
    read_binary,
    read_record,
)
from campus_node.purse.errors import AccessDenied, CardRefused, NotFoundInCard
from campus_node.purse.files import (
    HOLDER_BYTES,
    HOLDER_SFI,
    LOG_BYTES,
    LOG_RECORDS_MIN,
    LOG_SFI,
    HolderFile,
    LogRecord,
    PublicFile,
)
from campus_node.purse.presenting import present
from campus_node.wording import Sentence
from federation.errors import Refused

_NO_SUCH_FILE: Final = 0x6A82
_TYPES: Final = {
    TransactionType.ED_LOAD: Sentence("deposit load"),
    TransactionType.EP_LOAD: Sentence("purse load"),
    TransactionType.UNLOAD: Sentence("unload"),
    TransactionType.CASH: Sentence("cash withdrawal"),
    TransactionType.ED_PURCHASE: Sentence("deposit purchase"),
    TransactionType.EP_PURCHASE: Sentence("purse purchase"),
    TransactionType.OVERDRAFT: Sentence("overdraft limit"),
    TransactionType.CAPP: Sentence("CAPP purchase"),
}


class NoPurse(Refused):
    """This card has no purse application of the name that was looked for."""


@dataclass(frozen=True, slots=True)
class OpenCard:
    """A card whose purse application is selected.

    Args:
        channel: to the card.
        terms: how this card is driven.
        public: file 0015.
    """

    channel: CardChannel
    terms: CardTerms
    public: PublicFile


def open_card(desk: Desk, reader: str, profile: str) -> OpenCard:
    """Wait for a card, select its purse and read what is public.

    Raises:
        NoCard: none came.
        NoPurse: it has no such application.
        NotFoundInCard: its application is blocked.
        CardRefused, CardLeft, ReaderLost: see demand.
    """
    terms = card_terms(profile, reader)
    channel = desk.channel(reader, "--reader", "card")
    try:
        return OpenCard(channel, terms, present(channel, terms.layout))
    except NotFoundInCard as error:
        if error.sw != _NO_SUCH_FILE:
            raise
        aid = terms.layout.aid.hex().upper()
        raise NoPurse(
            Sentence(
                "the card has no application {aid}: describe it with --profile, or make it one of ours",
                aid=aid,
            )
        ) from error


def read_holder(card: OpenCard) -> HolderFile | None:
    """Return file 0016; None if the card has none or does not show it."""
    try:
        return HolderFile.parse(demand(card.channel, read_binary(HOLDER_SFI, 0, HOLDER_BYTES)))
    except (NotFoundInCard, AccessDenied):
        return None


def read_balances(card: OpenCard) -> dict[Purse, int | None]:
    """Return the balance of every purse that the card has, in fen; None = it wants the PIN first."""
    found: dict[Purse, int | None] = {}
    for purse in (Purse.EP, Purse.ED):
        try:
            found[purse] = parse_balance(demand(card.channel, get_balance(purse)))
        except AccessDenied:
            found[purse] = None
        except CardRefused as refusal:
            if not isinstance(refusal, NotFoundInCard):
                raise
    return found


def read_log(card: OpenCard) -> list[LogRecord]:
    """Return the records of file 0018, newest first."""
    found: list[LogRecord] = []
    for number in range(1, LOG_RECORDS_MIN + 1):
        try:
            record = LogRecord.parse(demand(card.channel, read_record(LOG_SFI, number, LOG_BYTES)))
        except NotFoundInCard:
            break  # fewer were written
        if record is not None:
            found.append(record)
    return found


def purse_word(purse: Purse) -> str:
    """Return ep or ed."""
    return purse.name.lower()


def type_word(transaction_type: int) -> str | Sentence:
    """Return what people call a type of transaction; its byte where we have no word."""
    try:
        return _TYPES[TransactionType(transaction_type)]
    except ValueError:
        return f"{transaction_type:02X}"


def date_text(date: bytes) -> str:
    """Return a BCD date of the card as YYYY-MM-DD, whatever digits it has."""
    digits = date.hex().upper()
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def moment_text(made_at: bytes) -> str:
    """Return 7 bytes BCD of a terminal's clock as YYYY-MM-DDThh:mm:ss, whatever digits they have."""
    digits = made_at.hex().upper()
    return f"{date_text(made_at[:4])}T{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
