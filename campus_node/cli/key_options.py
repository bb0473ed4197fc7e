"""What the commands of `campus keys` share: where the store is, how it is opened, how keys are shown."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli.arguments import shown_instant
from campus_node.cli.report import Table, columns_of
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.cli.language import Language
    from campus_node.cli.secrets_typed import Passphrases
    from campus_node.keys.key_set import CampusKeys
    from campus_node.keys.rotation import RotationBook
    from campus_node.keys.store import KeyEntry

BOOK_FILE: Final = "rotation.sqlite"
STORE_SECRET: Final = Sentence("Passphrase of the key store, or PIN of the token")
NEW_STORE_SECRET: Final = Sentence("New passphrase of the key store, or PIN of the token")
Place = Annotated[
    str,
    typer.Option(
        "--key-store",
        "-k",
        metavar="DIR",
        envvar="CAMPUS_KEY_STORE",
        help="The key store's directory, or pkcs11:LABEL for a token.",
    ),
]
Module = Annotated[
    Path | None,
    typer.Option(
        "--pkcs11-module",
        metavar="FILE",
        envvar="CAMPUS_PKCS11_MODULE",
        help="The token's PKCS#11 library.",
    ),
]
VersionOption = Annotated[int, typer.Option("--version", metavar="N", min=1, max=254, help="Of the key.")]


class AlgorithmWord(StrEnum):
    """An algorithm, as on the command line."""

    TDES = "3des"
    SM4 = "sm4"


AlgorithmOption = Annotated[AlgorithmWord, typer.Option("--algorithm", metavar="NAME", help="3des or sm4.")]

_PLACES: Final[dict[str, Sentence]] = {
    "file": Sentence("in the sealed file"),
    "token": Sentence("in the token"),
    "enveloped": Sentence("under a key of the token"),
}


def opened_store(
    context: typer.Context,
    place: str,
    module: Path | None,
    files: list[Path] | None,
    descriptors: list[int] | None,
) -> "CampusKeys":
    """Open the store that a command works on, with a passphrase that is asked for or given."""
    from campus_node.keys.opening import open_store

    typed = passphrases(context, files, descriptors)
    said = typed.next(STORE_SECRET)
    return open_store(place, module, said)


def passphrases(
    context: typer.Context, files: list[Path] | None, descriptors: list[int] | None
) -> "Passphrases":
    """Return where the passphrases of this command come from."""
    from campus_node.cli.secrets_typed import Passphrases

    return Passphrases(files, descriptors, language_of(context))


def language_of(context: typer.Context) -> "Language":
    """Return what this command speaks."""
    from campus_node.cli.everywhere import Everywhere

    everywhere = context.find_root().obj
    assert isinstance(everywhere, Everywhere), "the entry point gives one"
    return everywhere.language


def told(entry: "KeyEntry") -> dict[str, object]:
    """Return what JSON says of a key: never the key."""
    return {
        "name": str(entry.name),
        "check_value": entry.check_value.hex().upper(),
        "foreign": entry.foreign,
        "place": entry.place,
        "created_at": shown_instant(entry.created_at_unix_ms),
    }


def key_table(entries: "list[KeyEntry]") -> Table:
    """Return what people see of keys."""
    use: dict[bool, Sentence | str] = {True: Sentence("PSAMs only"), False: ""}
    rows: list[list[str | Sentence]] = [
        [
            str(entry.name),
            entry.check_value.hex().upper(),
            use[entry.foreign],
            _PLACES[entry.place],
            shown_instant(entry.created_at_unix_ms),
        ]
        for entry in entries
    ]
    columns = columns_of("key", "check value", "use", "kept", "since, UTC", spare={"since, UTC", "kept"})
    return Table(columns, rows)


def rotation_book(directory: Path) -> "RotationBook":
    """Open the book of what cards were seen with; raise NotFound where there is no such directory."""
    from campus_node.keys.rotation import RotationBook
    from federation.errors import NotFound

    if not directory.is_dir():
        raise NotFound(Sentence("there is no directory {path}", path=directory))
    return RotationBook(directory / BOOK_FILE)
