"""`campus database`."""

from pathlib import Path

import typer

from campus_node.cli.arguments import Directory
from campus_node.cli.register import command, group
from campus_node.cli.report import Report
from campus_node.wording import Sentence
from federation.errors import Misconfigured


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "database", "The schema of a campus's database.", "campus database upgrade -C north")
    command(sub, "upgrade", upgrade, "campus database upgrade -C north")


def upgrade(directory: Directory = Path()) -> Report:
    """Bring the database to the schema of this release; the node must be stopped, and a backup made."""
    from campus_node.campus_directory import CampusDirectory
    from campus_node.database import migrate

    place = CampusDirectory(directory)
    url = place.database_url(place.settings())
    if place.is_running():
        raise Misconfigured(
            Sentence("the node of {directory} is running: stop it first", directory=place.path)
        )
    before = migrate.current(url)
    migrate.upgrade(url)
    content = {"before": before, "after": migrate.head()}
    if before == migrate.head():
        return Report(
            content, [Sentence("The database has the schema of this release, {head}.", head=before)]
        )
    return Report(
        content,
        [
            Sentence(
                "The schema was {before} and is now {after}.",
                before=before or Sentence("empty"),
                after=migrate.head(),
            )
        ],
    )
