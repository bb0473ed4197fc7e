"""`campus record`: what came in from terminals, what is kept apart, missing, or in the backup."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli import commands_record_money
from campus_node.cli.arguments import Directory, Limit, shown_instant
from campus_node.cli.record_words import OUTCOMES, REASONS
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.records.queries import KeptRecord


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "record", "Records of terminals, as they came in.", "campus record show till-7 -C north")
    command(
        sub,
        "show",
        show,
        "campus record show till-7 -C north",
        "campus record show 0123456789ABCDEF0123456789ABCDEF --from 100 -C north --json",
    )
    command(sub, "quarantine", quarantine, "campus record quarantine -C north --json")
    command(sub, "gaps", gaps, "campus record gaps -C north --json")
    command(
        sub,
        "grey",
        commands_record_money.grey,
        "campus record grey -C north",
        "campus record grey --all -C north --json",
    )
    command(sub, "purse", commands_record_money.purse, "campus record purse 00000001000000000042 -C north")
    command(sub, "counters", commands_record_money.counters, "campus record counters -C north --json")
    command(
        sub,
        "decide",
        commands_record_money.decide,
        "campus record decide 0123456789ABCDEF0123456789ABCDEF 7 --payer risk --operator alice "
        "--reason 'nobody can know' -C north",
    )
    command(
        sub,
        "covered",
        covered,
        "campus record covered -C north",
        "campus record covered --begin --operator alice -C north",
        "campus record covered --done --operator alice -C north",
    )


def show(
    what: Annotated[
        str, typer.Argument(metavar="TERMINAL|JOURNAL", help="A terminal's name, or a journal's 32 digits.")
    ],
    first: Annotated[
        int, typer.Option("--from", metavar="N", min=1, help="Number in the journal to begin with.")
    ] = 1,
    limit: Limit = 100,
    directory: Directory = Path(),
) -> Report:
    """Show the records of a terminal, newest first, or of one journal, in their order."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.records.queries import of_journal, of_terminal
    from campus_node.registry.terminals import by_name

    with opened(directory) as office, reading(office.db) as connection:
        if re.fullmatch(r"[0-9A-Fa-f]{32}", what):
            found = of_journal(connection, bytes.fromhex(what), first, limit)
        else:
            if first != 1:
                raise WrongUsage(Sentence("--from goes with a journal: 32 hexadecimal digits"))
            found = of_terminal(connection, by_name(connection, what).terminal_id, limit)
    return _report(found, Sentence("No record is here."))


def quarantine(limit: Limit = 100, directory: Directory = Path()) -> Report:
    """List records that are kept apart, and contents that contradict others."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.records.queries import contradictions, quarantined

    with opened(directory) as office, reading(office.db) as connection:
        apart, contrary = quarantined(connection, limit), contradictions(connection, limit)
    report = _report(apart, Sentence("No record is kept apart."))
    rows = [
        [
            each.terminal_id.hex().upper(),
            each.journal_id.hex().upper(),
            str(each.seq),
            each.gateway,
            shown_instant(each.received_at_unix_ms),
        ]
        for each in contrary
    ]
    columns = columns_of("terminal", "journal", "number", "gateway", "received, UTC", right={"number"})
    content = dict(report.content) | {
        "conflicts": [
            {
                "terminal_id": each.terminal_id.hex().upper(),
                "journal_id": each.journal_id.hex().upper(),
                "seq": each.seq,
                "gateway": each.gateway,
                "received_at": shown_instant(each.received_at_unix_ms),
                "body": each.body.hex().upper(),
            }
            for each in contrary
        ]
    }
    table = Table(columns, rows, Sentence("No content contradicts another."))
    return Report(content, [*report.shown, Sentence("Contents that contradict others:"), table])


def gaps(limit: Limit = 100, directory: Directory = Path()) -> Report:
    """List the numbers that are missing in journals; they are asked for again by themselves."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.records.gaps import missing

    with opened(directory) as office, reading(office.db) as connection:
        found = missing(connection, limit)
    rows = [
        [
            each.terminal_id.hex().upper(),
            each.journal_id.hex().upper(),
            str(each.first_seq),
            str(each.through_seq),
            shown_instant(each.since_unix_ms),
        ]
        for each in found
    ]
    columns = columns_of("terminal", "journal", "from", "to", "since, UTC", right={"from", "to"})
    content = {
        "gaps": [
            {
                "terminal_id": each.terminal_id.hex().upper(),
                "journal_id": each.journal_id.hex().upper(),
                "gateway": each.gateway,
                "first_seq": each.first_seq,
                "through_seq": each.through_seq,
                "since": shown_instant(each.since_unix_ms),
            }
            for each in found
        ],
        "missing": sum(each.through_seq - each.first_seq + 1 for each in found),
    }
    return Report(content, [Table(columns, rows, Sentence("No record is missing."))], holds=not found)


def covered(
    begin: Annotated[
        bool, typer.Option("--begin", help="A backup begins now: remember what has come in.")
    ] = False,
    done: Annotated[
        bool,
        typer.Option("--done", help="That backup is made and safe: gateways may overwrite what it holds."),
    ] = False,
    operator: Annotated[
        str, typer.Option("--operator", metavar="NAME", help="Who says so; goes into the audit trail.")
    ] = "",
    directory: Directory = Path(),
) -> Report:
    """Show how far each gateway's records are in the backup; before and after a backup, say so."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.records import spools
    from campus_node.records.queries import progress

    if begin and done:
        raise WrongUsage(Sentence("--begin comes before the backup, --done after it: not both at once"))
    if (begin or done) and not operator:
        raise WrongUsage(Sentence("{name} is missing", name="--operator"))
    with opened(directory) as office:
        if begin or done:
            with auditing(office.db, office.clock) as change:
                scope = office.campus_scope
                require_permission(change.connection, operator, Permission.RECORD_COVER, scope)
                count = (spools.begin_backup if begin else spools.end_backup)(change.connection)
                action = "record.backup_begins" if begin else "record.backup_done"
                change.record(office.actor(operator), action, "spools", "backup", after={"spools": count})
        with reading(office.db) as connection:
            found = progress(connection)
        by_backup = office.settings.records.covered_by == "backup"
    rows = [
        [
            each.gateway,
            each.spool_id.hex().upper(),
            str(each.committed_through),
            str(each.covered_through if by_backup else each.committed_through),
            shown_instant(each.last_seen_at_unix_ms),
        ]
        for each in found
    ]
    columns = columns_of(
        "gateway", "spool", "committed", "covered", "last seen, UTC", right={"committed", "covered"}
    )
    content = {
        "covered_by": "backup" if by_backup else "commit",
        "spools": [
            {
                "gateway": each.gateway,
                "spool_id": each.spool_id.hex().upper(),
                "committed_through": each.committed_through,
                "covered_through": each.covered_through if by_backup else each.committed_through,
                "last_seen_at": shown_instant(each.last_seen_at_unix_ms),
            }
            for each in found
        ],
    }
    shown: list[Sentence | Table | str] = [Table(columns, rows, Sentence("No gateway was here yet."))]
    if not by_backup:
        shown.append(Sentence("What is committed counts as covered: records.covered_by is commit."))
    return Report(content, shown)


def _report(found: "list[KeptRecord]", empty: Sentence) -> Report:
    rows: list[list[str | Sentence]] = [
        [
            each.terminal_id.hex().upper(),
            each.journal_id.hex().upper(),
            str(each.seq),
            OUTCOMES[each.outcome.name],
            REASONS[each.reason] if each.reason else "",
            each.gateway,
            shown_instant(each.received_at_unix_ms),
        ]
        for each in found
    ]
    content = {
        "records": [
            {
                "terminal_id": each.terminal_id.hex().upper(),
                "journal_id": each.journal_id.hex().upper(),
                "seq": each.seq,
                "outcome": each.outcome.name.lower(),
                "reason": each.reason,
                "origin": _origin(each.origin),
                "gateway": each.gateway,
                "taken_at": shown_instant(each.taken_at_unix_ms),
                "received_at": shown_instant(each.received_at_unix_ms),
                "body": each.body.hex().upper(),
            }
            for each in found
        ]
    }
    columns = columns_of(
        "terminal", "journal", "number", "state", "reason", "gateway", "received, UTC",
        right={"number"}, spare={"gateway", "reason"},
    )  # fmt: skip
    return Report(content, [Table(columns, rows, empty)])


def _origin(number: int) -> str:
    from campus_node.cli.arguments import name_of
    from federation.transfer import Origin

    return name_of(Origin, number)
