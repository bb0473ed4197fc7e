"""`campus ledger`: reading and proving the books. Moving money: commands_posting.py."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.arguments import (
    AccountText,
    Directory,
    Limit,
    OperatorName,
    Why,
    name_of,
    parse_account,
    parse_instant,
    required_text,
    shown_account,
    shown_instant,
    shown_yuan,
)
from campus_node.cli.commands_posting import open_account, post
from campus_node.cli.register import command, group
from campus_node.cli.report import Column, Report, Table
from campus_node.wording import Sentence
from federation.errors import Misconfigured

if TYPE_CHECKING:
    from campus_node.ledger.proof import Difference, Progress


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "ledger", "The books: read, post, prove.", "campus ledger check -C north")
    command(
        sub,
        "balance",
        balance,
        "campus ledger balance online/20260001 -C north",
        "campus ledger balance bank/1 --as-of 2026-09-01T00:00:00+08:00 -C north --json",
    )
    command(
        sub,
        "statement",
        statement,
        "campus ledger statement online/20260001 -C north",
        "campus ledger statement online/20260001 --before-seq 512 --limit 20 -C north",
    )
    command(
        sub,
        "open",
        open_account,
        "campus ledger open online/20260001 --holder 'Li Lei' --operator bob --reason enrolment -C north",
    )
    command(
        sub,
        "post",
        post,
        "campus ledger post --kind load --debit bank/1 --credit online/20260001 --amount-fen 5000 "
        "--operator bob --reason 'paid at the counter' -C north",
    )
    command(sub, "check", check, "campus ledger check -C north", "campus ledger check -C north --json")
    command(sub, "verify-chain", verify, "campus ledger verify-chain -C north")
    command(
        sub, "rebuild", rebuild, "campus ledger rebuild --operator alice --reason 'check found 2' -C north"
    )


def balance(
    account: AccountText,
    as_of: Annotated[
        str,
        typer.Option("--as-of", metavar="INSTANT", help="At an earlier time, ISO 8601 with its time zone."),
    ] = "",
    directory: Directory = Path(),
) -> Report:
    """Tell the balance of an account, now or as of an earlier time."""
    from campus_node.cli.office import opened
    from campus_node.ledger.chart import FLOOR_NONE
    from campus_node.ledger.history import balance_as_of

    number = parse_account(account)
    instant = parse_instant(as_of) if as_of else None
    with opened(directory) as office:
        found = balance_as_of(office.db, number, instant)
    now = found.balance
    content = {
        "account": number,
        "holder": found.holder,
        "posted_fen": now.posted_fen,
        "reserved_fen": now.reserved_fen,
        "available_fen": now.available_fen,
        "floor_fen": now.floor_fen,
        "overdrawn_fen": now.overdrawn_fen,
        "last_seq": found.last_seq,
    }
    rows: list[tuple[Sentence, str | Sentence]] = [
        (Sentence("account"), shown_account(number)),
        (Sentence("holder"), found.holder),
        (Sentence("posted, yuan"), shown_yuan(now.posted_fen)),
        (Sentence("reserved, yuan"), shown_yuan(now.reserved_fen)),
        (Sentence("available, yuan"), shown_yuan(now.available_fen)),
        (
            Sentence("floor, yuan"),
            Sentence("none") if now.floor_fen == FLOOR_NONE else shown_yuan(now.floor_fen),
        ),
        (Sentence("overdrawn, yuan"), shown_yuan(now.overdrawn_fen)),
        (Sentence("counts rows up to"), str(found.last_seq)),
    ]
    return Report(content, [Table([Column(Sentence("field")), Column(Sentence("value"), "right")], rows)])


def statement(
    account: AccountText,
    limit: Limit = 50,
    before_seq: Annotated[
        int | None,
        typer.Option("--before-seq", metavar="SEQ", min=1, help="Only rows before this one: the next page."),
    ] = None,
    directory: Directory = Path(),
) -> Report:
    """List what moved on an account, newest first."""
    from campus_node.cli.office import opened
    from campus_node.ledger.chart import Kind
    from campus_node.ledger.history import statement as read_statement
    from federation.transfer import Origin, Verb

    number = parse_account(account)
    with opened(directory) as office:
        page = read_statement(office.db, number, before_seq, limit)
    content = {
        "account": number,
        "lines": [
            {
                "seq": line.seq,
                "transfer_id": line.transfer_id.hex().upper(),
                "originator": line.originator,
                "verb": name_of(Verb, line.verb),
                "kind": name_of(Kind, line.kind),
                "origin": name_of(Origin, line.origin),
                "fact": line.fact,
                "posted_fen": line.posted_fen,
                "reserved_fen": line.reserved_fen,
                "counterpart": line.counterpart,
                "business_date": line.business_date,
                "recorded_at": shown_instant(line.recorded_at_unix_ms),
                "made_at": shown_instant(line.made_at_unix_ms),
            }
            for line in page.lines
        ],
        "next_before_seq": page.next_before_seq,
    }
    rows = [
        [
            str(line.seq),
            shown_instant(line.recorded_at_unix_ms),
            name_of(Verb, line.verb),
            name_of(Kind, line.kind),
            shown_account(line.counterpart),
            shown_yuan(line.posted_fen),
            shown_yuan(line.reserved_fen),
            line.originator,
        ]
        for line in page.lines
    ]
    columns = [
        Column(Sentence("seq"), "right"),
        Column(Sentence("recorded, UTC")),
        Column(Sentence("verb"), spare=True),
        Column(Sentence("kind")),
        Column(Sentence("other account")),
        Column(Sentence("posted, yuan"), "right"),
        Column(Sentence("reserved, yuan"), "right", spare=True),
        Column(Sentence("originator"), spare=True),
    ]
    shown: list[Sentence | Table | str] = [
        Table(columns, rows, Sentence("Nothing has moved on this account."))
    ]
    if page.next_before_seq is not None:
        shown.append(Sentence("There is more: --before-seq {seq}", seq=page.next_before_seq))
    return Report(content, shown)


def check(directory: Directory = Path()) -> Report:
    """Compare every balance with the journal and the sum of all accounts with zero; fails if they differ."""
    from campus_node.cli.office import opened
    from campus_node.ledger.proof import check as find_differences

    with opened(directory) as office:
        differences = find_differences(office.db)
    content = {"balanced": not differences, "differences": _as_json(differences)}
    if not differences:
        return Report(content, [Sentence("The books are balanced: every balance follows from the journal.")])
    told = Sentence(
        "{count} differences. Keep a copy of the database as evidence; campus ledger verify-chain tells "
        "whether the journal itself is whole.",
        count=len(differences),
    )
    return Report(content, [told, _differences_table(differences)], holds=False)


def verify(directory: Directory = Path()) -> Report:
    """Recompute the hash chain over the whole journal. Fails if a row was changed, added or removed."""
    from campus_node.cli.office import opened
    from campus_node.ledger.proof import verify_chain

    with opened(directory) as office, _progress() as progress:
        found = verify_chain(office.db, progress)
    content = {
        "whole": found.broken_at_seq is None,
        "batches": found.batches,
        "rows": found.rows,
        "broken_at_seq": found.broken_at_seq,
        "last_hash": found.last_hash.hex().upper(),
    }
    if found.broken_at_seq is None:
        told = Sentence(
            "The chain is whole: {rows} rows in {batches} batches.", rows=found.rows, batches=found.batches
        )
        return Report(content, [told, Sentence("Last hash: {hash}", hash=found.last_hash.hex().upper())])
    told = Sentence(
        "The journal was changed in or after the batch that begins at seq {seq}. Stop the node, keep this "
        "database as evidence, and restore the last backup whose chain is whole.",
        seq=found.broken_at_seq,
    )
    return Report(content, [told], holds=False)


def rebuild(operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Write every balance anew from the journal; the node must be stopped."""
    from campus_node.cli.office import opened
    from campus_node.cli.writer_lease import writer_lease
    from campus_node.ledger.proof import rebuild as write_balances
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import Roster

    why = required_text(reason, "--reason")
    with opened(directory) as office:
        if office.place.is_running():
            raise Misconfigured(
                Sentence("the node of {directory} is running: stop it first", directory=office.place.path)
            )
        Roster(office.db, office.clock).require(operator, Permission.OPERATOR_WRITE, office.campus_scope)
        actor = office.actor(operator)
        with writer_lease(office):
            with auditing(office.db, office.clock) as change:
                change.record(actor, "ledger.rebuild", office.settings.campus.name, why)
            wrong = write_balances(office.db)
    content = {"corrected": _as_json(wrong)}
    if not wrong:
        return Report(
            content, [Sentence("Every balance followed from the journal already: nothing was changed.")]
        )
    return Report(
        content, [Sentence("{count} balances were corrected:", count=len(wrong)), _differences_table(wrong)]
    )


def _as_json(differences: "list[Difference]") -> list[dict[str, object]]:
    return [
        {"what": each.what, "subject": each.subject, "expected": each.expected, "found": each.found}
        for each in differences
    ]


def _differences_table(differences: "list[Difference]") -> Table:
    columns = [
        Column(Sentence("what")),
        Column(Sentence("where")),
        Column(Sentence("by the journal"), "right"),
        Column(Sentence("found"), "right"),
    ]
    return Table(columns, [[d.what, d.subject, str(d.expected), str(d.found)] for d in differences])


@contextmanager
def _progress() -> "Iterator[Progress | None]":
    """Give what draws a bar on a terminal; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)
