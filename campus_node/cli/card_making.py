"""Makes blank cards and PSAMs ours, and tells what was made."""

from typing import TYPE_CHECKING

from campus_node.cli.card_arguments import SOFT
from campus_node.cli.card_desk import Desk
from campus_node.cli.card_issuer import open_store
from campus_node.cli.card_key_options import StoreAt
from campus_node.cli.card_terms import profile_path
from campus_node.cli.report import Report, Table, columns_of
from campus_node.keys.hierarchy import KeyName, Usage, parse_key_name
from campus_node.wording import Sentence
from federation.errors import Misconfigured

if TYPE_CHECKING:
    from campus_node.keys.store import KeyStore
    from campus_node.purse.personalise import Personalised, Personaliser


def make_card(
    desk: Desk,
    reader: str,
    store: StoreAt,
    profile: str,
    transport: str,
    *,
    diversified: bool,
) -> Report:
    """Personalise the card on a reader.

    Raises:
        Misconfigured: the profile is none of a card, or has public test keys and the reader is a real one, or
            the transport key is not clear.
        NotOurs, KeyUnknown, CardRefused, CardLeft, ReaderLost: see Personaliser.make_card.
    """
    from campus_node.purse.profile import read_card_profile

    wanted = read_card_profile(profile_path(profile), allow_test_keys=reader.startswith(SOFT))
    personaliser = _personaliser(desk, store, transport, diversified=diversified)
    channel = desk.channel(reader, "--reader", "card")
    return _report("asn", personaliser.make_card(channel, wanted))


def make_psam(
    desk: Desk,
    reader: str,
    store: StoreAt,
    profile: str,
    transport: str,
    *,
    diversified: bool,
) -> Report:
    """Personalise the PSAM on a reader; see `make_card`."""
    from campus_node.purse.profile import read_psam_profile

    wanted = read_psam_profile(profile_path(profile), allow_test_keys=reader.startswith(SOFT))
    personaliser = _personaliser(desk, store, transport, diversified=diversified)
    channel = desk.channel(reader, "--reader", "sam")
    return _report("serial", personaliser.make_psam(channel, wanted))


def _personaliser(desk: Desk, where: StoreAt, transport: str, *, diversified: bool) -> "Personaliser":
    from campus_node.purse.personalise import Personaliser

    store, issuer = open_store(where, desk.language)
    name = parse_key_name(transport) if transport else _only_transport(store)
    return Personaliser(store, issuer, name, transport_diversified=diversified)


def _only_transport(store: "KeyStore") -> KeyName:
    names = [entry.name for entry in store.entries() if entry.name.usage is Usage.TRANSPORT]
    if len(names) != 1:
        raise Misconfigured(
            Sentence(
                "the store has {count} transport keys: name that of the blank ones with --transport NAME",
                count=len(names),
            )
        )
    return names[0]


def _report(serial: str, made: "Personalised") -> Report:
    from campus_node.purse.personalise import Outcome

    number = made.serial.hex().upper()
    content = {
        serial: number,
        "outcome": made.outcome.name.lower(),
        "keys": [{"name": name, "kcv": kcv.hex().upper()} for name, kcv in made.keys],
    }
    if made.outcome is Outcome.MADE:
        told = Sentence("{serial} is personalised.", serial=number)
    else:
        told = Sentence("{serial} was complete: nothing was changed.", serial=number)
    rows = [[name, kcv.hex().upper()] for name, kcv in made.keys]
    return Report(content, [told, Table(columns_of("key", "check value"), rows)])
