"""`campus init`."""

from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli.register import command
from campus_node.cli.report import Report
from campus_node.wording import Sentence


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "init",
        init,
        "campus init north --campus north",
        "campus init north --campus north --number 12 --title-zh 北校区 --title-en 'North Campus'",
        "campus pki root scheme && campus init south --campus south --root scheme",
    )


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
    campus: Annotated[str, typer.Option("--campus", metavar="NAME", help="Name of the campus, a DNS label.")],
    number: Annotated[
        int | None,
        typer.Option(
            "--number",
            metavar="N",
            min=1,
            max=9999,
            help="Number of the campus; else the next free one of its root.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", metavar="PKI_DIR", help="A root shared with other campuses; else it gets its own."
        ),
    ] = None,
    title_zh: Annotated[
        str, typer.Option("--title-zh", metavar="TEXT", help="Chinese name, for people.")
    ] = "",
    title_en: Annotated[
        str, typer.Option("--title-en", metavar="TEXT", help="English name, for people.")
    ] = "",
    domain: Annotated[
        str,
        typer.Option("--domain", metavar="DOMAIN", help="DNS domain of its machines; else NAME.campus.test."),
    ] = "",
    database: Annotated[
        str, typer.Option("--database", metavar="URL", help="postgresql://…; else SQLite in the directory.")
    ] = "",
) -> Report:
    """Make a new campus in a directory: settings, certificates, an empty ledger.

    All of it is made or nothing; a directory that is not empty is left alone.
    """
    from campus_node.campus_directory import CampusDirectory, NewCampus
    from federation.clock import SystemClock

    place = CampusDirectory(directory)
    new = NewCampus(campus, number, root, title_zh, title_en, domain, database)
    settings = place.create(new, SystemClock().unix_ms())
    shown: list[Sentence | str] = [
        Sentence(
            "Campus {name}, number {number}, is ready in {directory}.",
            name=settings.campus.name,
            number=settings.campus.number,
            directory=place.path,
        ),
        "",
        Sentence("Next:"),
        Sentence("  enrol its administrator:  campus operator add NAME -C {directory}", directory=directory),
        Sentence("  start its node:           campus node run {directory}", directory=directory),
        Sentence("  see its certificates:     campus pki show -C {directory}", directory=directory),
    ]
    if root is None:
        shown.append(
            Sentence(
                "Move {path} to a place that is offline: whoever has it can make campuses.",
                path=place.path / "pki" / "root" / "root.key",
            )
        )
    content = {
        "directory": str(place.path),
        "campus": settings.campus.name,
        "number": settings.campus.number,
        "domain": settings.domain,
        "node": f"campuscard://{settings.campus.name}/node/1",
    }
    return Report(content, shown)
