"""`campus psam`: the security module of a terminal, looked at and personalised."""

import re
from typing import Annotated, Final

import typer

from campus_node.cli.card_arguments import SamText, TraceFile, WaitS
from campus_node.cli.card_desk import Desk
from campus_node.cli.card_key_options import (
    Diversified,
    ProfileToMake,
    StoreAt,
    TransportText,
)
from campus_node.cli.key_options import Module, Place
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.secrets_typed import PassphraseFiles
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

PsamReader = Annotated[
    str,
    typer.Option(
        "--reader", metavar="NAME", envvar="CAMPUS_SAM_READER", help="Reader with the PSAM; or soft:PROFILE."
    ),
]
IssuerText = Annotated[
    str, typer.Option("--issuer", metavar="HEX", help="An issuer id: tell whether its cards are admitted.")
]
_ISSUER: Final = re.compile(r"[0-9A-Fa-f]{16}")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app,
        "psam",
        "The security module in a terminal: look, personalise.",
        "campus psam info --sam soft:psam",
    )
    command(
        sub,
        "info",
        show_psam,
        "campus psam info --sam soft:psam",
        "campus psam info --reader 'Virtual PCD 00 01' --json",
    )
    command(
        sub,
        "personalise",
        personalise,
        "campus psam personalise --reader S --key-store keys --profile psam.toml",
    )


def show_psam(
    context: typer.Context,
    reader: PsamReader = "",
    sam: SamText = "",
    issuer: IssuerText = "",
    trace: TraceFile = None,
    wait_s: WaitS = 10,
) -> Report:
    """Show what a PSAM says of itself: serial number, terminal number, and with --issuer whom it admits."""
    from campus_node.purse.errors import CardRefused, NotFoundInCard
    from campus_node.purse.key_writing import key_list
    from campus_node.purse.psam import Psam

    wanted = parse_issuer(issuer) if issuer else None
    with Desk(context.obj, trace, wait_s=wait_s) as desk:
        psam = Psam(desk.channel(*_named(reader, sam), "sam"))
        serial, terminal_id = psam.serial(), psam.terminal_id()
        admitted, rows = None, []
        if wanted is not None:
            try:
                psam.select_issuer(wanted)
                admitted = True
            except NotFoundInCard:
                admitted = False
        if admitted:
            try:
                rows = key_list(psam.channel)
            except CardRefused:
                rows = []  # a PSAM made by others need not tell
    content: dict[str, object] = {
        "serial": serial.serial.hex().upper(),
        "version": f"{serial.version:02X}",
        "sm4": serial.does_sm4,
        "terminal_id": terminal_id.hex().upper(),
    }
    shown: list[Sentence | Table | str] = []
    if admitted is not None:
        content |= {"issuer": issuer.upper(), "admitted": admitted}
        content["keys"] = [
            {"usage": f"{r.usage_byte:02X}", "version": r.version, "algorithm": f"{r.algorithm_byte:02X}"}
            for r in rows
        ]
        told = Sentence("It admits cards of {issuer}.", issuer=issuer.upper())
        refused = Sentence("It has no key for cards of {issuer}.", issuer=issuer.upper())
        shown.append(told if admitted else refused)
    table: list[list[str | Sentence]] = [
        [Sentence("serial number"), serial.serial.hex().upper()],
        [Sentence("version"), f"{serial.version:02X}"],
        [Sentence("can do SM4"), Sentence("yes") if serial.does_sm4 else Sentence("no")],
        [Sentence("terminal"), terminal_id.hex().upper()],
    ]
    keys = Table(
        columns_of("usage", "version", "algorithm"),
        [[f"{r.usage_byte:02X}", str(r.version), f"{r.algorithm_byte:02X}"] for r in rows],
    )
    return Report(
        content,
        [Table(columns_of("field", "value"), table), *shown, *([keys] if rows else [])],
        holds=admitted is not False,
    )


def personalise(
    context: typer.Context,
    profile: ProfileToMake,
    key_store: Place = "",
    pkcs11_module: Module = None,
    reader: PsamReader = "",
    passphrase_file: PassphraseFiles = None,
    transport: TransportText = "",
    transport_diversified: Diversified = False,
    trace: TraceFile = None,
    wait_s: WaitS = 10,
) -> Report:
    """Make a blank PSAM one of ours, or give ours what its profile has more: a new issuer, a new key version.

    Purchase keys of other issuers come from the key store too, where they lie as foreign ones.
    """
    from campus_node.cli.card_making import make_psam

    with Desk(context.obj, trace, wait_s=wait_s) as desk:
        return make_psam(
            desk,
            reader,
            StoreAt(key_store, pkcs11_module, passphrase_file),
            profile,
            transport,
            diversified=transport_diversified,
        )


def parse_issuer(text: str) -> bytes:
    """Return an issuer id, 8 bytes; raise WrongUsage."""
    if not _ISSUER.fullmatch(text):
        raise WrongUsage(Sentence("--issuer {text} is no issuer: 16 hexadecimal digits", text=text))
    return bytes.fromhex(text)


def _named(reader: str, sam: str) -> tuple[str, str]:
    if bool(reader) == bool(sam):
        raise WrongUsage(Sentence("name the PSAM: --reader NAME, or --sam soft:PROFILE"))
    return (reader, "--reader") if reader else (sam, "--sam")
