"""All commands of `campus`, put together."""

from typing import Any, Final

import typer

from campus_node.cli import (
    commands_alarm,
    commands_approval,
    commands_audit,
    commands_card,
    commands_database,
    commands_device,
    commands_firmware,
    commands_gateway,
    commands_init,
    commands_keys,
    commands_ledger,
    commands_line,
    commands_node,
    commands_operator,
    commands_parameters,
    commands_pki,
    commands_psam,
    commands_record,
    commands_rig,
    commands_rig_cards,
    commands_terminal,
)
from campus_node.cli.help_page import Group

# As the help page lists them: first what one does first.
ORDER: Final = (
    "init",
    "node",
    "ledger",
    "operator",
    "approval",
    "terminal",
    "gateway",
    "line",
    "device",
    "firmware",
    "parameters",
    "record",
    "alarm",
    "audit",
    "pki",
    "card",
    "psam",
    "keys",
    "database",
    "rig",
    "demo",
    "bench",
)


def command_tree() -> Any:
    """Return the root command; typer keeps its class in a private module."""
    app = typer.Typer(
        name="campus",
        cls=Group,
        add_completion=False,
        no_args_is_help=False,
        help="""Runs and operates one campus of a federated campus-card system.

        Every campus is a directory; see: campus init --help
        """,
        epilog="campus init north --campus north\ncampus node run north\ncampus ledger check -C north --json",
    )
    for room in (
        commands_init,
        commands_node,
        commands_ledger,
        commands_gateway,
        commands_line,
        commands_pki,
        commands_operator,
        commands_approval,
        commands_device,
        commands_firmware,
        commands_parameters,
        commands_alarm,
        commands_audit,
        commands_card,
        commands_psam,
        commands_terminal,
        commands_record,
        commands_keys,
        commands_database,
        commands_rig,
        commands_rig_cards,
    ):
        room.add_to(app)
    root: Any = typer.main.get_command(app)
    root.commands = {name: root.commands[name] for name in ORDER}
    return root
