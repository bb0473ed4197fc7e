"""`campus parameters`: how terminals work: limits, meals, prices, hours; docs/limits.md has them all."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from campus_node.cli.arguments import Directory, Limit, OperatorName, Why, parse_instant, required_text
from campus_node.cli.parameters_view import names_report, version_report, versions_report
from campus_node.cli.register import command, group
from campus_node.cli.report import Report
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

_CHANGING: Final = "--operator alice --reason 'new term' -C north"
Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=VALUE...", help="For example day_max_fen=20000 or class_3_served=no."),
]
DefaultNames = Annotated[
    list[str] | None, typer.Option("--default", metavar="NAME", help="Has its default again; repeatable.")
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "parameters", "How terminals work: limits, meals, prices.", "campus parameters list")
    command(sub, "list", list_parameters, "campus parameters list -C north --json")
    command(
        sub,
        "show",
        show,
        "campus parameters show -C north",
        "campus parameters show 7 -C north",
        "campus parameters show --versions -C north",
    )
    command(
        sub,
        "set",
        set_parameters,
        f"campus parameters set day_max_fen=20000 meal_1_payments_max_count=1 {_CHANGING}",
        f"campus parameters set --default day_max_fen --at 2026-09-01T00:00:00+08:00 {_CHANGING}",
    )


def list_parameters(directory: Directory = Path()) -> Report:
    """List all parameters: what was given for each, its default, and which values are good."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.notices import parameters

    with opened(directory) as office, reading(office.db) as connection:
        newest = parameters.versions(connection, 1)
    return names_report(newest[0].content if newest else {})


def show(
    version: Annotated[int, typer.Argument(metavar="[VERSION]", min=0, help="Else the newest one.")] = 0,
    versions: Annotated[bool, typer.Option("--versions", help="Show which versions there were.")] = False,
    limit: Limit = 20,
    directory: Directory = Path(),
) -> Report:
    """Show what a version says and what it changed, or which versions there were."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.notices import parameters

    with opened(directory) as office, reading(office.db) as connection:
        found = parameters.versions(connection, limit)
        if versions or not (found or version):
            return versions_report(found)
        known = parameters.version(connection, version) if version else found[0]
        before = parameters.version(connection, known.version - 1) if known.version > 1 else None
        return version_report(known, before, office.clock.unix_ms())


def set_parameters(
    operator: OperatorName,
    reason: Why,
    assignments: Assignments = None,
    defaults: DefaultNames = None,
    at: Annotated[
        str, typer.Option("--at", metavar="ISO8601", help="From when it holds, with time zone; else at once.")
    ] = "",
    directory: Directory = Path(),
) -> Report:
    """Change parameters of all terminals. All of it is taken or, if any value is wrong, nothing."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.notices import parameters
    from campus_node.notices.desk import NoticeDesk
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import Roster

    why = required_text(reason, "--reason")
    wanted = _wanted(assignments or [], defaults or [])
    effective = parse_instant(at) if at else 0
    with opened(directory) as office:
        Roster(office.db, office.clock).require(operator, Permission.PARAMETERS_WRITE, office.campus_scope)
        desk = NoticeDesk.of(office.place.path, office.db, office.clock)
        number = desk.change_parameters(office.actor(operator), wanted, effective, why)
        with reading(office.db) as connection:
            known = parameters.version(connection, number)
            before = parameters.version(connection, number - 1) if number > 1 else None
        return version_report(known, before, office.clock.unix_ms())


def _wanted(assignments: list[str], defaults: list[str]) -> Mapping[str, str | None]:
    """Return what is to change. Raise WrongUsage, which tells every mistake."""
    from campus_node.spending.parameter_values import all_of, mistakes_in, stem_of
    from campus_node.spending.parameters import all_parameters

    known = [each.name for each in all_parameters()]
    given = [text.partition("=") for text in assignments]
    mistakes = [
        Sentence("{text} is no NAME=VALUE", text=name) for name, sign, _ in given if not sign or not name
    ]
    for name in [*(name for name, sign, _ in given if sign and name), *defaults]:
        if stem_of(name) is None:
            near = difflib.get_close_matches(name, known, 1)
            mistakes.append(
                Sentence("{name} is no parameter; did you mean {near}?", name=name, near=near[0])
                if near
                else Sentence("{name} is no parameter: see campus parameters list", name=name)
            )
    mistakes += mistakes_in((name, value) for name, sign, value in given if sign)
    twice = {name for name, _, _ in given if name in defaults}
    mistakes += [Sentence("{name} stands there twice", name=name) for name in sorted(twice)]
    if mistakes:
        raise WrongUsage(all_of(mistakes))
    if not given and not defaults:
        raise WrongUsage(Sentence("nothing is to change: write NAME=VALUE, or --default NAME"))
    return {name: value for name, _, value in given} | dict.fromkeys(defaults)
