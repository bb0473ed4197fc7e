"""`campus card pin`: shown, changed, unblocked, set anew. A PIN is never an argument."""

from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli.card_arguments import (
    PinFile,
    ProfileText,
    ReaderText,
    TraceFile,
    TraceFull,
    WaitS,
    read_new_pin,
)
from campus_node.cli.card_desk import Desk
from campus_node.cli.card_key_options import StoreAt
from campus_node.cli.card_terms import pin_of
from campus_node.cli.card_view import OpenCard, open_card
from campus_node.cli.key_options import Module, Place
from campus_node.cli.register import command, group
from campus_node.cli.report import Report
from campus_node.cli.secrets_typed import PassphraseFiles
from campus_node.purse.apdu import demand
from campus_node.purse.commands import change_pin, reload_pin, verify_pin
from campus_node.wording import Sentence

NewPinFile = Annotated[
    Path | None,
    typer.Option("--new-pin-file", metavar="FILE", help="The new PIN on the first line; else asked for."),
]


def add_to(sub: typer.Typer) -> None:
    """Add the group to the group."""
    pin = group(sub, "pin", "The PIN of a card.", "campus card pin verify --reader R --pin-file pin")
    command(pin, "verify", verify, "campus card pin verify --reader R --pin-file pin")
    command(pin, "change", change, "campus card pin change --reader R --pin-file old --new-pin-file new")
    command(
        pin,
        "unblock",
        unblock,
        "campus card pin unblock --reader R --key-store keys",
        "campus card pin unblock --reader soft:card-sm4,state=my.card --new-pin-file pin",
    )
    command(pin, "reload", reload, "campus card pin reload --reader R --key-store keys --new-pin-file pin")


def verify(
    context: typer.Context,
    reader: ReaderText = "",
    profile: ProfileText = "",
    pin_file: PinFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Show the PIN to the card; a wrong one costs a try."""
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        pin = pin_of(card.terms, pin_file, desk.language)
        demand(card.channel, verify_pin(card.terms.layout.pin_key, pin.digits))
    return _report(card, Sentence("The PIN is right."))


def change(
    context: typer.Context,
    reader: ReaderText = "",
    profile: ProfileText = "",
    pin_file: PinFile = None,
    new_pin_file: NewPinFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Change the PIN, by its holder, who knows the old one."""
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        old = pin_of(card.terms, pin_file, desk.language)
        new = read_new_pin(new_pin_file, desk.language)
        demand(card.channel, change_pin(card.terms.layout.pin_key, old.digits, new))
    return _report(card, Sentence("The PIN is changed."))


def unblock(
    context: typer.Context,
    reader: ReaderText = "",
    profile: ProfileText = "",
    key_store: Place = "",
    pkcs11_module: Module = None,
    passphrase_file: PassphraseFiles = None,
    new_pin_file: NewPinFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Unblock a PIN that was wrong too often; it becomes the one that is given here, with all its tries.

    Make sure first whose card it is. The PIN travels enciphered under the card's own key.
    """
    from campus_node.cli.card_issuer import card_keys
    from campus_node.keys.hierarchy import Usage
    from campus_node.keys.messaging import StoredMessagingKey
    from campus_node.purse.secure_messaging import PIN_UNBLOCK_P1_P2, pin_unblock, send

    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        store = StoreAt(key_store, pkcs11_module, passphrase_file)
        keys = card_keys(card.channel, card.public, card.terms, store, desk.language)
        new = read_new_pin(new_pin_file, desk.language)
        _, name = keys.choose(Usage.PIN_UNBLOCK, PIN_UNBLOCK_P1_P2[1])
        key = StoredMessagingKey(keys.store, name, keys.factors)
        send(card.channel, pin_unblock(new), key, encrypt=True)
    return _report(card, Sentence("The PIN is unblocked."))


def reload(
    context: typer.Context,
    reader: ReaderText = "",
    profile: ProfileText = "",
    key_store: Place = "",
    pkcs11_module: Module = None,
    passphrase_file: PassphraseFiles = None,
    new_pin_file: NewPinFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Set a new PIN by the issuer, without the old one. Make sure first whose card it is.

    The new PIN goes to the card in clear, with a MAC: do it at a desk whose reader nobody else reaches.
    """
    from campus_node.cli.card_issuer import card_keys
    from campus_node.keys.hierarchy import Usage

    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        store = StoreAt(key_store, pkcs11_module, passphrase_file)
        keys = card_keys(card.channel, card.public, card.terms, store, desk.language)
        new = read_new_pin(new_pin_file, desk.language)
        index, name = keys.choose(Usage.PIN_RELOAD)
        mac = keys.store.pin_mac(name, keys.factors, new)
        demand(card.channel, reload_pin(index, new, mac))
    return _report(card, Sentence("The PIN is set anew."))


def _report(card: OpenCard, told: Sentence) -> Report:
    return Report({"asn": card.public.asn.hex().upper(), "done": True}, [told])
