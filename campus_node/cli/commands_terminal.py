"""`campus terminal`: which terminals there are, where they hang and whether they take part."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli import commands_terminal_pins, commands_terminal_run
from campus_node.cli.arguments import (
    Directory,
    OperatorName,
    Why,
    parse_account,
    required_text,
    shown_account,
)
from campus_node.cli.key_options import AlgorithmWord
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.registry.terminals import Terminal, TerminalState

_CHANGING: Final = "--operator alice --reason 'new till' -C north"
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The terminal: 1 to 63 of a-z, 0-9 and hyphen, or its number.")
]
NumberText = Annotated[
    str, typer.Option("--number", metavar="HEX", help="Its number: 12 hexadecimal digits, as in its PSAM.")
]
PsamText = Annotated[
    str, typer.Option("--psam", metavar="HEX", help="Serial number of its PSAM: 20 hexadecimal digits.")
]
GatewayName = Annotated[str, typer.Option("--gateway", metavar="NAME", help="The gateway that serves it.")]
MerchantText = Annotated[
    str,
    typer.Option("--merchant", metavar="ACCOUNT", help="Who is paid by it, such as merchant-payable/1."),
]
_WORDS: Final[dict[str, Sentence]] = {
    "active": Sentence("active"),
    "isolated": Sentence("isolated"),
    "retired": Sentence("retired"),
    "revoked": Sentence("revoked"),
}


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "terminal", "The tills and readers of a campus.", "campus terminal list -C north")
    command(
        sub,
        "register",
        register,
        "campus terminal register till-7 --number 000000000007 --psam 00000000000000000007 "
        f"--gateway canteen --merchant merchant-payable/1 --line can0 --address 7 {_CHANGING}",
    )
    command(sub, "list", list_terminals, "campus terminal list -C north --gateway canteen --json")
    command(sub, "isolate", isolate, f"campus terminal isolate till-7 {_CHANGING}")
    command(sub, "admit", admit, f"campus terminal admit till-7 {_CHANGING}")
    command(sub, "retire", retire, f"campus terminal retire till-7 {_CHANGING}")
    command(sub, "revoke", revoke, f"campus terminal revoke till-7 {_CHANGING}")
    commands_terminal_run.add_to(sub)
    commands_terminal_pins.add_to(sub)


def register(
    name: Name,
    number: NumberText,
    psam: PsamText,
    gateway: GatewayName,
    merchant: MerchantText,
    operator: OperatorName,
    reason: Why,
    model: Annotated[str, typer.Option("--model", metavar="TEXT", help="Its model, for firmware.")] = "",
    line: Annotated[
        str, typer.Option("--line", metavar="LINE", help="Its line as planned; else wherever it turns up.")
    ] = "",
    address: Annotated[
        int, typer.Option("--address", metavar="N", min=0, max=254, help="Its address there; 0 = any.")
    ] = 0,
    ring: Annotated[
        int, typer.Option("--ring", metavar="N", min=0, max=99, help="Of firmware; 0 gets it first.")
    ] = 1,
    key_version: Annotated[
        int, typer.Option("--key-version", metavar="N", min=1, max=254, help="Of its PSAM's session key.")
    ] = 1,
    algorithm: Annotated[
        AlgorithmWord, typer.Option("--algorithm", metavar="NAME", help="Of its PSAM's session key.")
    ] = AlgorithmWord.SM4,
    directory: Directory = Path(),
) -> Report:
    """Register a terminal, and its PSAM if that is new. Its gateway gets the session key at once."""
    from campus_node.cli.office import opened
    from campus_node.keys.hierarchy import algorithm_named
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.registry import terminals

    why = required_text(reason, "--reason")
    key = terminals.PsamKey(version=key_version, algorithm=algorithm_named(algorithm.value))
    terminal = terminals.Terminal(
        _hex(number, "--number", 6), name, model, _hex(psam, "--psam", 10), key, gateway,
        parse_account(merchant), line, address, ring,
    )  # fmt: skip
    with opened(directory) as office, auditing(office.db, office.clock) as change:
        require_permission(change.connection, operator, Permission.TERMINAL_WRITE, office.campus_scope)
        terminals.register(change.connection, terminal, change.now_unix_ms)
        change.record(
            office.actor(operator), "terminal.register", f"terminal/{name}", why, after=_told(terminal)
        )
    return Report(_told(terminal), [Sentence("Terminal {name} is registered.", name=name)])


def list_terminals(
    gateway: Annotated[str, typer.Option("--gateway", metavar="NAME", help="Only those it serves.")] = "",
    directory: Directory = Path(),
) -> Report:
    """List the terminals."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.registry.terminals import all_terminals

    with opened(directory) as office, reading(office.db) as connection:
        found = all_terminals(connection, gateway)
    rows: list[list[str | Sentence]] = [
        [
            each.name,
            each.terminal_id.hex().upper(),
            each.gateway,
            f"{each.line}/{each.address}" if each.address else each.line,
            _WORDS[each.state.value],
            each.model,
            str(each.ring),
            shown_account(each.merchant_account),
            each.psam_serial.hex().upper(),
        ]
        for each in found
    ]
    columns = columns_of(
        "name", "number", "gateway", "place", "state", "model", "ring", "merchant", "PSAM",
        right={"ring"}, spare={"model", "ring", "merchant", "PSAM"},
    )  # fmt: skip
    empty = Sentence("No terminal is registered.")
    return Report({"terminals": [_told(each) for each in found]}, [Table(columns, rows, empty)])


def isolate(name: Name, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Keep a terminal off its line. What it had recorded is taken; it can be let on again."""
    from campus_node.registry.terminals import TerminalState

    return _set_state(directory, name, TerminalState.ISOLATED, operator, reason)


def admit(name: Name, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Let an isolated terminal on its line again."""
    from campus_node.registry.terminals import TerminalState

    return _set_state(directory, name, TerminalState.ACTIVE, operator, reason)


def retire(name: Name, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Take a terminal out of service for good. Records that still come from it go to quarantine."""
    from campus_node.registry.terminals import TerminalState

    return _set_state(directory, name, TerminalState.RETIRED, operator, reason)


def revoke(
    name: Name,
    operator: OperatorName,
    reason: Why,
    last_good: Annotated[
        int | None,
        typer.Option("--last-good", metavar="N", min=0, help="Its PSAM's last number before it was lost."),
    ] = None,
    directory: Directory = Path(),
) -> Report:
    """End a terminal that was stolen or betrayed: its session ends at once, its records go to quarantine."""
    from campus_node.registry.terminals import TerminalState

    return _set_state(directory, name, TerminalState.REVOKED, operator, reason, last_good)


def _set_state(
    directory: Path,
    name: str,
    state: "TerminalState",
    operator: str,
    reason: str,
    last_good: int | None = None,
) -> Report:
    from campus_node.cli.office import opened
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.records.movement_rows import release_revoked
    from campus_node.registry.terminals import by_name, note_last_good, set_state

    why = required_text(reason, "--reason")
    with opened(directory) as office, auditing(office.db, office.clock) as change:
        require_permission(change.connection, operator, Permission.TERMINAL_WRITE, office.campus_scope)
        before = by_name(change.connection, name)
        after = set_state(change.connection, before, state, change.now_unix_ms)
        if last_good is not None:
            note_last_good(change.connection, after, last_good)
            release_revoked(change.connection, after.terminal_id)
        if after != before or last_good is not None:
            change.record(
                office.actor(operator),
                f"terminal.{state.value}",
                f"terminal/{before.name}",
                why,
                before={"state": before.state.value},
                after={"state": after.state.value, "last_good_terminal_seq": last_good},
            )
    told = Sentence("Terminal {name} is {state} now.", name=after.name, state=_WORDS[state.value])
    if after == before:
        told = Sentence("Terminal {name} was {state} before.", name=after.name, state=_WORDS[state.value])
    return Report(_told(after) | {"changed": after != before}, [told])


def _told(terminal: "Terminal") -> dict[str, object]:
    from campus_node.keys.hierarchy import algorithm_word

    key = terminal.psam_key
    return {
        "name": terminal.name,
        "terminal_id": terminal.terminal_id.hex().upper(),
        "model": terminal.model,
        "psam_serial": terminal.psam_serial.hex().upper(),
        "key_usage": f"{key.usage:02X}",
        "key_version": key.version,
        "key_algorithm": algorithm_word(key.algorithm),
        "gateway": terminal.gateway,
        "line": terminal.line,
        "address": terminal.address,
        "ring": terminal.ring,
        "merchant_account": terminal.merchant_account,
        "state": terminal.state.value,
    }


def _hex(text: str, option: str, length: int) -> bytes:
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * length}}}", text):
        raise WrongUsage(
            Sentence("{option} {text}: write {digits} hexadecimal digits", option=option, text=text,
                     digits=2 * length)
        )  # fmt: skip
    return bytes.fromhex(text)
