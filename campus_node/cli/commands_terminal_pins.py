"""`campus terminal pins`: the keys that terminals of this campus pin, as their settings want them."""

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from campus_node.cli.arguments import Directory
from campus_node.cli.register import command
from campus_node.cli.report import Report
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

_OWN: Final = "own_issuer"
IssuerTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--issuer", metavar="HEX", help="Whose hotlist this campus signs: 16 digits; else the own_issuer set."
    ),
]


def add_to(sub: typer.Typer) -> None:
    """Add the command to `campus terminal`."""
    command(
        sub,
        "pins",
        pins,
        "campus terminal pins -C north",
        "campus terminal pins --issuer 4355434100000001 -C north --json",
    )


def pins(issuer: IssuerTexts = None, directory: Directory = Path()) -> Report:
    """Show the keys that terminals pin, as the [trust] section of a terminal.toml. They are public."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.firmware.keys import believed_keys
    from campus_node.notices import parameters
    from campus_node.notices.desk import NoticeDesk

    for text in issuer or []:
        if not re.fullmatch(r"[0-9A-Fa-f]{16}", text):
            raise WrongUsage(Sentence("--issuer {text} is no issuer: 16 hexadecimal digits", text=text))
    with opened(directory) as office:
        desk = NoticeDesk.of(office.place.path, office.db, office.clock)
        believed = believed_keys(office.place.path / "pki")
        with reading(office.db) as connection:
            newest = parameters.versions(connection, 1)
    own = newest[0].content.get(_OWN, "") if newest else ""
    issuers = sorted({each.upper() for each in issuer or [own] if each})
    hotlist_key = desk.hotlist_public_key.hex().upper()
    content = {
        "notice_keys": [desk.public_key.hex().upper()],
        "hotlist_keys": [f"{each}:{hotlist_key}" for each in issuers],
        "firmware_keys": sorted(each.public_bytes_raw().hex().upper() for each in believed.values()),
    }
    shown: list[Sentence | str] = ["[trust]"]
    shown += [f'{name} = "{",".join(keys)}"' for name, keys in content.items()]
    if not issuers:
        shown.append(Sentence("# Whose hotlist this campus signs is not known here: say --issuer."))
    if not content["firmware_keys"]:
        shown.append(Sentence("# No firmware is believed here: see campus firmware key --help."))
    return Report(content, list(shown))
