"""`campus audit`."""

from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli.arguments import Directory, Limit, shown_instant
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "audit", "Who did what, when and why.", "campus audit list -C north")
    command(
        sub,
        "list",
        list_entries,
        "campus audit list -C north",
        "campus audit list --subject bob -C north --json",
    )
    command(sub, "verify", verify, "campus audit verify -C north")


def list_entries(
    subject: Annotated[
        str, typer.Option("--subject", metavar="TEXT", help="Only what was done to this.")
    ] = "",
    before_seq: Annotated[
        int | None,
        typer.Option("--before-seq", metavar="SEQ", min=1, help="Only rows before this one: the next page."),
    ] = None,
    limit: Limit = 100,
    directory: Directory = Path(),
) -> Report:
    """List the audit trail, newest first."""
    from campus_node.cli.office import opened
    from campus_node.operators.audit import entries

    with opened(directory) as office:
        found = entries(office.db, subject=subject or None, before_seq=before_seq, limit=limit)
    rows = [
        [str(e.seq), shown_instant(e.at_unix_ms), e.operator, e.place, e.action, e.subject, e.why]
        for e in found
    ]
    content = {
        "entries": [
            {
                "seq": e.seq,
                "at": shown_instant(e.at_unix_ms),
                "operator": e.operator,
                "place": e.place,
                "action": e.action,
                "subject": e.subject,
                "why": e.why,
                "before": e.before,
                "after": e.after,
            }
            for e in found
        ]
    }
    columns = columns_of(
        "seq", "at, UTC", "operator", "place", "action", "subject", "why", right={"seq"}, spare={"place"}
    )
    return Report(content, [Table(columns, rows, Sentence("The audit trail is empty."))])


def verify(directory: Directory = Path()) -> Report:
    """Recompute the chain of the audit trail; fails if an entry was changed, added or removed."""
    from campus_node.cli.office import opened
    from campus_node.operators.audit import verify as verify_trail

    with opened(directory) as office:
        head = verify_trail(office.db)
    told = Sentence("The audit trail is whole: {count} entries.", count=head.seq)
    return Report({"entries": head.seq, "last_hash": head.chain_hash.hex().upper()}, [told])
