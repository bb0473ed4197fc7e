"""`campus node`."""

from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli.register import command, group


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "node", "The server of a campus.", "campus node run north")
    command(
        sub, "run", run_node, "campus node run north", "CAMPUS_GRPC__LISTEN=127.0.0.1:0 campus node run north"
    )


def run_node(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The campus's directory.")] = Path(),
) -> int:
    """Run the node of a campus until TERM or Ctrl-C; it answers what is under way and stops.

    The ports it bound stand in run/ports.json once it is ready.
    """
    from campus_node.node import run

    return run(directory)
