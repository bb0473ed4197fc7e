"""`campus alarm`."""

from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli.arguments import Directory, Limit, OperatorName, required_text, shown_instant
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "alarm", "What needs somebody's attention.", "campus alarm list -C north")
    command(sub, "list", list_alarms, "campus alarm list -C north", "campus alarm list --all -C north --json")
    command(
        sub,
        "acknowledge",
        acknowledge,
        "campus alarm acknowledge 7 --operator bob --note 'on my way' -C north",
    )


def list_alarms(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones as well.")] = False,
    limit: Limit = 100,
    directory: Directory = Path(),
) -> Report:
    """List open alarms, newest first."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.watch.store import AlarmFilter, find

    with opened(directory) as office, reading(office.db) as connection:
        found = find(connection, AlarmFilter(closed=None if everything else False), limit=limit)
    rows: list[list[str | Sentence]] = [
        [
            str(each.number),
            each.alarm.severity.name.lower(),
            each.alarm.name,
            each.alarm.subject,
            str(each.occurrences),
            shown_instant(each.last_seen_at_unix_ms),
            each.acknowledged_by or "",
        ]
        for each in found
    ]
    content = {
        "alarms": [
            {
                "number": each.number,
                "severity": each.alarm.severity.name.lower(),
                "name": each.alarm.name,
                "subject": each.alarm.subject,
                "evidence": dict(each.alarm.evidence),
                "occurrences": each.occurrences,
                "first_seen_at": shown_instant(each.first_seen_at_unix_ms),
                "last_seen_at": shown_instant(each.last_seen_at_unix_ms),
                "acknowledged_by": each.acknowledged_by,
                "acknowledged_note": each.acknowledged_note,
                "open": each.closed_at_unix_ms is None,
            }
            for each in found
        ]
    }
    columns = columns_of(
        "number",
        "severity",
        "name",
        "subject",
        "times",
        "last seen, UTC",
        "acknowledged by",
        right={"number", "times"},
        spare={"times", "acknowledged by"},
    )
    return Report(content, [Table(columns, rows, Sentence("No alarm is open."))])


def acknowledge(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As campus alarm list shows it.")],
    operator: OperatorName,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Goes into the audit trail.")],
    directory: Directory = Path(),
) -> Report:
    """Say that somebody has seen an alarm and acts."""
    from campus_node.cli.office import opened
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.watch import store

    told = required_text(note, "--note")
    with opened(directory) as office, auditing(office.db, office.clock) as change:
        require_permission(change.connection, operator, Permission.ALARM_ACKNOWLEDGE, office.campus_scope)
        done = store.acknowledge(change.connection, number, operator, told, change.now_unix_ms)
        if done:
            change.record(office.actor(operator), "alarm.acknowledge", str(number), told)
    content = {"number": number, "acknowledged": done}
    if done:
        return Report(content, [Sentence("Alarm {number} is acknowledged.", number=number)])
    told_no = Sentence(
        "Alarm {number} was acknowledged before, or is closed: nothing was changed.", number=number
    )
    return Report(content, [told_no], holds=False)
