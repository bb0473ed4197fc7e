"""`campus keys upgrade`: a card or a PSAM on a reader gets its new keys."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.card_arguments import ReaderText, TraceFile
from campus_node.cli.key_options import Module, Place, opened_store, rotation_book
from campus_node.cli.register import command
from campus_node.cli.report import Report
from campus_node.cli.secrets_typed import PassphraseDescriptors, PassphraseFiles
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.keys.key_set import CampusKeys
    from campus_node.keys.rotation import RotationBook
    from campus_node.purse.channel import CardChannel
    from campus_node.purse.profile import CardProfile, PsamProfile


def add_to(sub: typer.Typer) -> None:
    """Add the command to the group."""
    command(
        sub,
        "upgrade",
        upgrade,
        "campus keys upgrade --reader R --profile new-keys.toml -k keys",
        "campus keys upgrade --reader R --profile new-keys.toml --keep-old -k keys",
        "campus keys upgrade --reader R --profile psam.toml -k keys",
    )


def upgrade(
    context: typer.Context,
    profile: Annotated[
        str,
        typer.Option("--profile", metavar="FILE", help="Of a card or a PSAM; its keys are those to come to."),
    ],
    place: Place,
    reader: ReaderText = "",
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Write the new keys and leave the old ones beside them.")
    ] = False,
    book: Annotated[
        Path | None,
        typer.Option(
            "--book", metavar="DIR", help="Where rotation.sqlite lies; else the key store's directory."
        ),
    ] = None,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
    trace: TraceFile = None,
) -> Report:
    """Bring a card or PSAM to its new keys: write them, delete the old ones, note it. If torn: repeat."""
    from campus_node.cli.card_arguments import SOFT
    from campus_node.cli.card_desk import Desk
    from campus_node.cli.card_terms import profile_path
    from campus_node.keys.opening import is_token
    from campus_node.purse.profile import CardProfile, read_profile
    from federation.errors import Misconfigured

    if book is None and is_token(place):
        raise Misconfigured(Sentence("where is the book of a store on a token? give --book DIR"))
    noted = rotation_book(book or Path(place))
    target = read_profile(profile_path(profile), allow_test_keys=reader.startswith(SOFT))
    store = opened_store(context, place, module, files, descriptors)
    with Desk(context.obj, trace) as desk:
        if isinstance(target, CardProfile):
            channel = desk.channel(reader, "--reader", "card")
            return _upgrade_card(channel, target, store, noted, delete=not keep_old)
        return _upgrade_psam(desk.channel(reader, "--reader", "sam"), target, store, delete=not keep_old)


def _upgrade_card(
    channel: "CardChannel", target: "CardProfile", store: "CampusKeys", book: "RotationBook", *, delete: bool
) -> Report:
    """Renew the application's keys, then the master file's; the profile's own ASN does not count."""
    from campus_node.keys.operations import KeyOperations
    from campus_node.keys.rotation import upgrade_card
    from campus_node.purse.apdu import demand
    from campus_node.purse.commands import read_binary, select_name
    from campus_node.purse.files import PUBLIC_BYTES, PUBLIC_SFI, PublicFile
    from campus_node.purse.key_writing import key_list
    from campus_node.purse.personalise import Outcome, Personaliser
    from federation.clock import SystemClock
    from federation.errors import Misconfigured

    demand(channel, select_name(target.aid))
    public = PublicFile.parse(demand(channel, read_binary(PUBLIC_SFI, 0, PUBLIC_BYTES)))
    if public.issuer != store.issuer:
        raise Misconfigured(Sentence("this card is of issuer {issuer}", issuer=public.issuer.hex().upper()))
    keys = KeyOperations(store)
    commands = upgrade_card(channel, public.asn, target.keys, keys, store.issuer, delete=delete)
    book.note(public.asn, key_list(channel), SystemClock())
    made = Personaliser(keys, store.issuer, None).make_card(channel, replace(target, asn=public.asn))
    commands += made.outcome is Outcome.MADE
    return _told("asn", public.asn, commands)


def _upgrade_psam(
    channel: "CardChannel", target: "PsamProfile", store: "CampusKeys", *, delete: bool
) -> Report:
    """Renew a PSAM's keys; the profile's own serial number and terminal id do not count."""
    from campus_node.keys.operations import KeyOperations
    from campus_node.purse.personalise import Outcome, Personaliser
    from campus_node.purse.psam import Psam

    sam = Psam(channel)
    channel.power_on()
    own = replace(target, serial=sam.serial().serial, terminal_id=sam.terminal_id())
    made = Personaliser(KeyOperations(store), store.issuer, None).make_psam(channel, own, delete_old=delete)
    return _told("serial", made.serial, int(made.outcome is Outcome.MADE))


def _told(name: str, serial: bytes, changes: int) -> Report:
    number = serial.hex().upper()
    if changes:
        told = Sentence("{serial} has its new keys.", serial=number)
    else:
        told = Sentence("{serial} had them all: nothing was changed.", serial=number)
    return Report({name: number, "changes": changes}, [told])
