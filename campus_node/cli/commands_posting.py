"""`campus ledger post` and `open`: through the running node, in an operator's name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.arguments import (
    AccountText,
    Directory,
    OperatorName,
    Why,
    parse_account,
    parse_kind,
    parse_transfer_id,
    required_text,
    shown_account,
    shown_yuan,
    word_of,
)
from campus_node.cli.report import Report
from campus_node.wording import Sentence
from federation.errors import Unavailable

if TYPE_CHECKING:
    from campus_node.cli.office import Office
    from campus_node.ledger.client import PostAnswer
    from campus_node.ledger.client_messages import Transfer


def post(
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="load, unload, purchase, fee, adjustment …")
    ],
    debit: Annotated[str, typer.Option("--debit", metavar="ACCOUNT", help="The account that gives.")],
    credit: Annotated[str, typer.Option("--credit", metavar="ACCOUNT", help="The account that gets.")],
    amount_fen: Annotated[
        int, typer.Option("--amount-fen", metavar="FEN", min=1, help="Amount, 1/100 yuan.")
    ],
    operator: OperatorName,
    reason: Why,
    transfer_id: Annotated[
        str,
        typer.Option("--id", metavar="HEX", help="Id of an earlier attempt, to repeat it; moves money once."),
    ] = "",
    directory: Directory = Path(),
) -> Report:
    """Post one transfer by hand. Kinds that create money become a request that a second operator approves."""
    from campus_node.cli.office import opened
    from campus_node.ledger.chart import NEEDS_APPROVAL
    from campus_node.ledger.client import Transfer
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from federation.ids import TransferIds
    from federation.transfer import Verb

    wanted, giver, getter = parse_kind(kind), parse_account(debit), parse_account(credit)
    known_id = parse_transfer_id(transfer_id) if transfer_id else None
    why = required_text(reason, "--reason")
    with opened(directory) as office:
        chosen_id = known_id or TransferIds(office.clock).next()
        if wanted in NEEDS_APPROVAL:
            return _ask_approval(
                office,
                chosen_id,
                Transfer(chosen_id, Verb.POST, wanted, giver, getter, amount_fen),
                operator,
                why,
            )
        transfer = Transfer(chosen_id, Verb.POST, wanted, giver, getter, amount_fen, office.clock.unix_ms())
        office.place.ports()  # before the trail says that it was tried
        with auditing(office.db, office.clock) as change:
            require_permission(change.connection, operator, Permission.LEDGER_POST, office.campus_scope)
            change.record(
                office.actor(operator),
                "ledger.post",
                chosen_id.hex().upper(),
                why,
                after={"kind": wanted.name, "debit": giver, "credit": getter, "amount_fen": amount_fen},
            )
        with office.client() as client:
            try:
                answer = client.post(transfer)
            except Unavailable as error:
                raise Unavailable(
                    Sentence(
                        "{reason}. Nobody knows yet whether it was posted: repeat the same command "
                        "with --id {id}",
                        reason=error,
                        id=chosen_id.hex().upper(),
                    )
                ) from error
    return posted_report(transfer, answer)


def open_account(
    account: AccountText,
    holder: Annotated[str, typer.Option("--holder", metavar="TEXT", help="Whose it is.")],
    operator: OperatorName,
    reason: Why,
    floor_fen: Annotated[
        int | None,
        typer.Option("--floor-fen", metavar="FEN", help="How low requests may take it; else by its class."),
    ] = None,
    directory: Directory = Path(),
) -> Report:
    """Open an account; the same again changes nothing."""
    from campus_node.cli.office import opened
    from campus_node.ledger.client import Opening
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from federation.transfer import Refusal

    number = parse_account(account)
    whose, why = required_text(holder, "--holder"), required_text(reason, "--reason")
    with opened(directory) as office:
        office.place.ports()
        with auditing(office.db, office.clock) as change:
            require_permission(change.connection, operator, Permission.ACCOUNT_OPEN, office.campus_scope)
            wish = {"holder": whose, "floor_fen": floor_fen}
            change.record(office.actor(operator), "account.open", str(number), why, after=wish)
        with office.client() as client:
            (refusal,) = client.open_accounts([Opening(number, whose, floor_fen)])
    opened_now = refusal is Refusal.NONE
    content = {
        "account": number,
        "holder": whose,
        "open": opened_now,
        "refusal": None if opened_now else refusal.name,
    }
    if opened_now:
        return Report(
            content,
            [Sentence("{account} is open for {holder}.", account=shown_account(number), holder=whose)],
        )
    told = Sentence(
        "{account} was not opened: {refusal}", account=shown_account(number), refusal=_explained(refusal.name)
    )
    return Report(content, [told], holds=False)


def posted_report(transfer: "Transfer", answer: "PostAnswer") -> Report:
    """Return what became of a transfer."""
    content = {
        "posted": answer.done,
        "transfer_id": transfer.transfer_id.hex().upper(),
        "seq": answer.seq,
        "refusal": None if answer.done else answer.refusal_name,
        "short_fen": answer.short_fen,
        "amount_fen": transfer.amount_fen,
    }
    if answer.done:
        told = Sentence(
            "Posted as row {seq}: {yuan} yuan from {debit} to {credit}.",
            seq=answer.seq,
            yuan=shown_yuan(transfer.amount_fen),
            debit=shown_account(transfer.debit),
            credit=shown_account(transfer.credit),
        )
        return Report(content, [told])
    shown = [Sentence("Not posted: {refusal}", refusal=_explained(answer.refusal_name))]
    if answer.short_fen:
        shown.append(Sentence("{yuan} yuan are missing.", yuan=shown_yuan(answer.short_fen)))
    return Report(content, shown, holds=False)


def _ask_approval(
    office: "Office", chosen_id: bytes, transfer: "Transfer", operator: str, why: str
) -> Report:
    from campus_node.ledger.chart import Kind as TransferKind
    from campus_node.operators.approvals import Approvals
    from campus_node.operators.requests import Kind
    from campus_node.serving.approved import approval_payload

    wanted = TransferKind(transfer.kind)
    payload = approval_payload(wanted, transfer.debit, transfer.credit, transfer.amount_fen)
    request = chosen_id.hex()
    asked = Approvals(office.db, office.clock).request(
        office.actor(operator), request, Kind.TRANSFER, office.campus_scope, payload, why
    )
    content = {"posted": False, "approval": asked.request, "state": asked.state.value}
    return Report(
        content,
        [
            Sentence("{kind} needs two people: nothing is posted yet.", kind=word_of(wanted)),
            Sentence(
                "A second operator approves it: campus approval approve {id} --operator NAME",
                id=asked.request,
            ),
        ],
    )


_REFUSALS = {
    "TRANSFER_CONFLICT": Sentence("this number or id already names something else"),
    "MALFORMED": Sentence("a field is outside its range"),
    "AMOUNT_NOT_POSITIVE": Sentence("the amount must be positive"),
    "AMOUNT_TOO_LARGE": Sentence("no amount is that large"),
    "AMOUNT_HELD": Sentence("the amount is beyond the sane limit of its kind: a person must decide"),
    "UNKNOWN_ACCOUNT": Sentence("one of the accounts was never opened"),
    "SAME_ACCOUNT": Sentence("debit and credit are the same account"),
    "WRONG_ACCOUNTS": Sentence("this kind of transfer does not go between these classes of account"),
    "INSUFFICIENT_FUNDS": Sentence("the balance is too small"),
}


def _explained(name: str) -> Sentence:
    told = _REFUSALS.get(name)
    return Sentence("{name} ({told})", name=name, told=told) if told else Sentence("{name}", name=name)
