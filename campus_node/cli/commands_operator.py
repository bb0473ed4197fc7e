"""`campus operator`: who works here and may do what."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.arguments import Directory, Why, required_text, shown_instant
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.operators.audit import Actor
    from campus_node.operators.permissions import Grant
    from campus_node.operators.roster import Roster

Name = Annotated[str, typer.Argument(metavar="NAME", help="The operator: 1 to 63 of a-z, 0-9 and hyphen.")]
Administrator = Annotated[
    str,
    typer.Option(
        "--operator", metavar="NAME", help="The administrator who does it; goes into the audit trail."
    ),
]
ScopeText = Annotated[
    str,
    typer.Option("--scope", metavar="SCOPE", help="CAMPUS[/DEPARTMENT[/MERCHANT]]; else the whole campus."),
]


class RoleName(StrEnum):
    """What somebody is employed for, as on the command line."""

    CASHIER = "cashier"
    CARD_OFFICE = "card-office"
    FINANCE = "finance"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


RoleArgument = Annotated[
    RoleName, typer.Argument(metavar="ROLE", help="cashier, card-office, finance, auditor or administrator.")
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "operator", "The people who work the system.", "campus operator list -C north")
    command(
        sub,
        "add",
        add,
        "campus operator add alice --name 'Han Meimei' -C north",
        "campus operator add bob --role card-office --operator alice --reason 'new colleague' -C north",
    )
    command(sub, "list", list_operators, "campus operator list -C north")
    command(
        sub, "grant", grant, "campus operator grant bob finance --operator alice --reason 'moved' -C north"
    )
    command(
        sub, "revoke", revoke, "campus operator revoke bob finance --operator alice --reason 'moved' -C north"
    )
    command(
        sub, "disable", disable, "campus operator disable bob --operator alice --reason 'left us' -C north"
    )


def add(
    name: Name,
    display_name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Full name, for people.")] = "",
    role: Annotated[
        RoleName | None,
        typer.Option(
            "--role", metavar="ROLE", help="cashier, card-office, finance, auditor or administrator."
        ),
    ] = None,
    operator: Administrator = "",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the audit trail.")
    ] = "",
    scope: ScopeText = "",
    directory: Directory = Path(),
) -> Report:
    """Enrol an operator. The first one of a campus becomes its administrator; later ones need --operator."""
    from campus_node.cli.office import opened, scope_named
    from campus_node.operators.permissions import Grant, Role
    from campus_node.operators.roster import Roster

    with opened(directory) as office:
        roster = Roster(office.db, office.clock)
        everybody = roster.all()
        where = scope_named(scope, office)
        actor = office.actor(operator)
        if not everybody:
            roster.enrol_first(name, display_name or name, office.campus_scope, actor.place)
            told = Sentence("{name} is the first administrator of {campus}.", name=name, campus=where)
            return Report({"operator": name, "roles": ["administrator"]}, [told])
        why = required_text(reason, "--reason")
        roster.enrol(actor, required_text(name, "NAME"), display_name or name, where, why)
        if role is not None:
            roster.grant(actor, name, Grant(Role[role.name], where), why)
    roles = [role.value] if role is not None else []
    shown = [Sentence("{name} is enrolled.", name=name)]
    if role is None:
        shown.append(Sentence("Give a role: campus operator grant {name} ROLE", name=name))
    return Report({"operator": name, "roles": roles}, shown)


def list_operators(directory: Directory = Path()) -> Report:
    """List the operators and their roles."""
    from campus_node.cli.office import opened
    from campus_node.operators.roster import Roster

    with opened(directory) as office:
        everybody = Roster(office.db, office.clock).all()
    rows: list[list[str | Sentence]] = [
        [
            each.operator,
            each.display_name,
            ", ".join(f"{grant.role.value.replace('_', '-')}@{grant.scope}" for grant in each.grants),
            shown_instant(each.enrolled_at_unix_ms),
            Sentence("enabled") if each.disabled_at_unix_ms is None else Sentence("disabled"),
        ]
        for each in everybody
    ]
    content = {
        "operators": [
            {
                "operator": each.operator,
                "display_name": each.display_name,
                "grants": [{"role": grant.role.value, "scope": str(grant.scope)} for grant in each.grants],
                "enrolled_at": shown_instant(each.enrolled_at_unix_ms),
                "enabled": each.disabled_at_unix_ms is None,
            }
            for each in everybody
        ]
    }
    columns = columns_of(
        "operator", "name", "roles", "enrolled, UTC", "state", spare={"name", "enrolled, UTC"}
    )
    return Report(
        content, [Table(columns, rows, Sentence("Nobody is enrolled yet: campus operator add NAME"))]
    )


def grant(
    name: Name,
    role: RoleArgument,
    operator: Administrator,
    reason: Why,
    scope: ScopeText = "",
    directory: Directory = Path(),
) -> Report:
    """Give an operator a role in a scope."""
    told = Sentence("{name} is {role} now.", name=name, role=role.value)
    return _change(
        name,
        role,
        scope,
        operator,
        reason,
        directory,
        told,
        lambda roster, a, held, why: roster.grant(a, name, held, why),
    )


def revoke(
    name: Name,
    role: RoleArgument,
    operator: Administrator,
    reason: Why,
    scope: ScopeText = "",
    directory: Directory = Path(),
) -> Report:
    """Take a role in a scope away from an operator."""
    told = Sentence("{name} is {role} no more.", name=name, role=role.value)
    return _change(
        name,
        role,
        scope,
        operator,
        reason,
        directory,
        told,
        lambda roster, a, held, why: roster.revoke(a, name, held, why),
    )


def disable(name: Name, operator: Administrator, reason: Why, directory: Directory = Path()) -> Report:
    """Let an operator do nothing any more; the name stays theirs for ever."""
    from campus_node.cli.office import opened
    from campus_node.operators.roster import Roster

    with opened(directory) as office:
        Roster(office.db, office.clock).disable(
            office.actor(operator), name, required_text(reason, "--reason")
        )
    return Report({"operator": name, "enabled": False}, [Sentence("{name} is disabled.", name=name)])


def _change(
    name: str,
    role: RoleName,
    scope: str,
    operator: str,
    reason: str,
    directory: Path,
    told: Sentence,
    change: "Callable[[Roster, Actor, Grant, str], None]",
) -> Report:
    from campus_node.cli.office import opened, scope_named
    from campus_node.operators.permissions import Grant, Role
    from campus_node.operators.roster import Roster

    why = required_text(reason, "--reason")
    with opened(directory) as office:
        held = Grant(Role[role.name], scope_named(scope, office))
        change(Roster(office.db, office.clock), office.actor(operator), held, why)
    return Report({"operator": name, "role": held.role.value, "scope": str(held.scope)}, [told])
