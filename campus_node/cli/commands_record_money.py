"""`campus record grey|purse|counters|decide`: what nobody knows yet, what cards hold, what people decide."""

import re
from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli.arguments import (
    Directory,
    Limit,
    OperatorName,
    Why,
    parse_account,
    required_text,
    shown_account,
    shown_instant,
    shown_yuan,
)
from campus_node.cli.record_words import GREY
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

_JOURNAL = re.compile(r"[0-9A-Fa-f]{32}")
_ASN = re.compile(r"\d{20}")


def grey(
    everything: Annotated[bool, typer.Option("--all", help="Those that are closed as well.")] = False,
    limit: Limit = 100,
    directory: Directory = Path(),
) -> Report:
    """List sales of which nobody knows yet whether they happened, oldest first; they are in no sum."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.records.grey import GreyState, listed

    with opened(directory) as office, reading(office.db) as connection:
        found = listed(connection, limit, everything=everything)
    rows: list[list[str | Sentence]] = [
        [
            each.asn.hex().upper(),
            str(each.counter),
            shown_yuan(each.amount_fen),
            each.terminal_id.hex().upper(),
            each.record[0].hex().upper(),
            str(each.record[1]),
            GREY[each.state.value],
            shown_instant(each.since_unix_ms),
        ]
        for each in found
    ]
    columns = columns_of(
        "card", "counter", "yuan", "terminal", "journal", "number", "state", "since, UTC",
        right={"counter", "yuan", "number"}, spare={"since, UTC"},
    )  # fmt: skip
    content = {
        "grey": [
            {
                "asn": each.asn.hex().upper(),
                "purse": each.purse,
                "counter": each.counter,
                "amount_fen": each.amount_fen,
                "terminal_id": each.terminal_id.hex().upper(),
                "journal_id": each.record[0].hex().upper(),
                "seq": each.record[1],
                "state": each.state.value,
                "why": each.why,
                "since": shown_instant(each.since_unix_ms),
            }
            for each in found
        ],
        "open_fen": sum(each.amount_fen for each in found if each.state is GreyState.OPEN),
    }
    return Report(content, [Table(columns, rows, Sentence("No sale is grey."))])


def purse(
    asn: Annotated[str, typer.Argument(metavar="ASN", help="The card's number: 20 digits.")],
    deposit: Annotated[bool, typer.Option("--deposit", help="The deposit instead of the purse.")] = False,
    directory: Directory = Path(),
) -> Report:
    """Show what a card's purse holds by its verified records, and whether its last record says the same."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.purse.commands import Purse
    from campus_node.records.projection import of_card

    if not _ASN.fullmatch(asn):
        raise WrongUsage(Sentence("{text} is no card number: 20 digits", text=asn))
    with opened(directory) as office, reading(office.db) as connection:
        found = of_card(connection, bytes.fromhex(asn), Purse.ED if deposit else Purse.EP)
    if found is None:
        content: dict[str, object] = {"asn": asn, "movements": 0}
        return Report(content, [Sentence("No sale of this card is in the books.")])
    content = {
        "asn": asn,
        "movements": found.movements,
        "first_counter": found.first_counter,
        "last_counter": found.last_counter,
        "missing": [{"first": first, "through": through} for first, through in found.missing],
        "projected_fen": found.projected_fen,
        "last_fen": found.last_fen,
        "grey": found.grey,
    }
    shown: list[Sentence | Table | str] = [
        Sentence(
            "{count} sales, counters {first} to {last}: {yuan} yuan by the records, {said} by the card.",
            count=found.movements,
            first=found.first_counter,
            last=found.last_counter,
            yuan=shown_yuan(found.projected_fen),
            said=shown_yuan(found.last_fen),
        )
    ]
    if found.missing:
        shown.append(Sentence("Counters are missing: records are still on their way, or lost."))
    if found.grey:
        shown.append(Sentence("{count} more are grey.", count=found.grey))
    return Report(content, shown, holds=bool(found.missing) or found.projected_fen == found.last_fen)


def counters(limit: Limit = 100, directory: Directory = Path()) -> Report:
    """List counters of cards that are missing between others; it reads all sales."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.records.projection import counter_gaps

    with opened(directory) as office, reading(office.db) as connection:
        found = counter_gaps(connection, limit)
    rows = [[each.asn.hex().upper(), str(each.first), str(each.through)] for each in found]
    columns = columns_of("card", "from", "to", right={"from", "to"})
    content = {
        "gaps": [
            {
                "asn": each.asn.hex().upper(),
                "purse": each.purse,
                "online": bool(each.line),
                "first_counter": each.first,
                "through_counter": each.through,
            }
            for each in found
        ]
    }
    return Report(content, [Table(columns, rows, Sentence("No counter is missing."))], holds=not found)


def decide(
    journal: Annotated[str, typer.Argument(metavar="JOURNAL", help="The journal's 32 digits.")],
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The record's number in it.")],
    payer: Annotated[
        str, typer.Option("--payer", metavar="WHO", help="holder: it happened. risk: in the holder's favour.")
    ],
    operator: OperatorName,
    reason: Why,
    risk: Annotated[
        str, typer.Option("--risk", metavar="ACCOUNT", help="The account that bears the loss.")
    ] = "risk/1",
    directory: Directory = Path(),
) -> Report:
    """Ask for a decision about a sale that is held or grey; a second operator approves it."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.operators.approvals import Approvals
    from campus_node.operators.requests import Kind
    from campus_node.records.deciding import Payer, free_name, request_of

    if not _JOURNAL.fullmatch(journal):
        raise WrongUsage(Sentence("a journal is 32 hexadecimal digits"))
    if payer not in set(Payer):
        raise WrongUsage(Sentence("--payer is holder or risk"))
    key, why = (bytes.fromhex(journal), number), required_text(reason, "--reason")
    loss = parse_account(risk)
    with opened(directory) as office:
        approvals = Approvals(office.db, office.clock)
        with reading(office.db) as connection:
            payload = request_of(connection, key, Payer(payer), loss)
            name = free_name(approvals, connection, key)
        asked = approvals.request(
            office.actor(operator), name, Kind.TRANSFER, office.campus_scope, payload, why
        )
    content = {"approval": asked.request, "state": asked.state.value, "payload": dict(asked.payload)}
    return Report(
        content,
        [
            Sentence(
                "{yuan} yuan from {debit} to {credit}: nothing is posted yet.",
                yuan=shown_yuan(int(str(payload["amount_fen"]))),
                debit=shown_account(int(str(payload["debit"]))),
                credit=shown_account(int(str(payload["credit"]))),
            ),
            Sentence(
                "A second operator approves it: campus approval approve {id} --operator NAME",
                id=asked.request,
            ),
        ],
    )
