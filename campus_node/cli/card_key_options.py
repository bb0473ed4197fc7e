"""How `campus card` and `campus psam` are told where keys are; apart from their use: help stays quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

ProfileToMake = Annotated[
    str, typer.Option("--profile", metavar="FILE", help="What it becomes; its keys come from the key store.")
]
TransportText = Annotated[
    str,
    typer.Option(
        "--transport", metavar="NAME", help="Key of the blank ones in the store; else the only transport key."
    ),
]
Diversified = Annotated[
    bool,
    typer.Option("--transport-diversified", help="The maker diversified the transport key by the serial."),
]


@dataclass(frozen=True, slots=True)
class StoreAt:
    """Where a key store is, and what opens it.

    Args:
        place: a directory, or pkcs11:LABEL; "" = none was named.
        module: the token's library.
        passphrases: files with the passphrase or the token's PIN; None = ask.
    """

    place: str
    module: Path | None
    passphrases: list[Path] | None
