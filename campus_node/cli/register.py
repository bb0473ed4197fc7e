"""How a room's commands join the tree: one call a command; its docstring is its help, examples follow."""

from collections.abc import Callable

import typer

from campus_node.cli.help_page import Command, Group


def group(app: typer.Typer, name: str, told: str, *examples: str) -> typer.Typer:
    """Add a group of commands and return it."""
    sub = typer.Typer(name=name, cls=Group, help=told, epilog="\n".join(examples), no_args_is_help=False)
    app.add_typer(sub)
    return sub


def command(app: typer.Typer, name: str, run: Callable[..., object], *examples: str) -> None:
    """Add a command: a function that returns a Report or an exit code."""
    assert examples, f"{name} needs an example"
    app.command(name, cls=Command, epilog="\n".join(examples))(run)
