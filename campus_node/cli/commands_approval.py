"""`campus approval`: what one operator asked for and a second decides."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.arguments import Directory, Limit, OperatorName, shown_account, shown_instant, shown_yuan
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence
from federation.errors import NotFound, Refused

if TYPE_CHECKING:
    from campus_node.ledger.client import Transfer
    from campus_node.operators.approvals import Approvals
    from campus_node.operators.requests import ApprovalRequest

RequestId = Annotated[str, typer.Argument(metavar="ID", help="As campus approval list shows it.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Goes into the audit trail.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "approval", "What takes two people.", "campus approval list -C north")
    command(
        sub,
        "list",
        list_requests,
        "campus approval list -C north",
        "campus approval list --all -C north --json",
    )
    command(sub, "approve", approve, "campus approval approve 0199A0 --operator carol -C north")
    command(
        sub,
        "refuse",
        refuse,
        "campus approval refuse 0199A0 --operator carol --note 'wrong account' -C north",
    )


def list_requests(
    everything: Annotated[
        bool, typer.Option("--all", help="Those that were decided or carried out as well.")
    ] = False,
    limit: Limit = 100,
    directory: Directory = Path(),
) -> Report:
    """List what waits for a second person, oldest first."""
    from campus_node.cli.office import opened
    from campus_node.operators.approvals import Approvals
    from campus_node.operators.requests import State

    waiting = (State.REQUESTED, State.APPROVED, State.EXECUTING)
    with opened(directory) as office:
        found = Approvals(office.db, office.clock).find(*(State if everything else waiting), limit=limit)
    rows: list[list[str | Sentence]] = [
        [
            each.request,
            each.state.value,
            each.requested_by,
            shown_instant(each.requested_at_unix_ms),
            *_transfer_cells(each),
            each.reason,
        ]
        for each in found
    ]
    columns = columns_of(
        "id",
        "state",
        "asked by",
        "asked at, UTC",
        "kind",
        "debit",
        "credit",
        "yuan",
        "reason",
        right={"yuan"},
        spare={"asked at, UTC", "reason"},
    )
    table = Table(columns, rows, Sentence("Nothing waits for approval."))
    return Report({"approvals": [_as_json(each) for each in found]}, [table])


def approve(
    request: RequestId, operator: OperatorName, note: Note = "", directory: Directory = Path()
) -> Report:
    """Agree to what another operator asked for, and have the node post it; the node must be running."""
    from campus_node.cli.commands_posting import posted_report
    from campus_node.cli.office import opened
    from campus_node.ledger.client import PostAnswer
    from campus_node.operators.approvals import Approvals
    from campus_node.operators.requests import State
    from federation.errors import TransferRefused
    from federation.transfer import Refusal

    with opened(directory) as office:
        approvals = Approvals(office.db, office.clock)
        asked = approvals.get(_whole(approvals, request))
        actor = office.actor(operator)
        office.place.ports()  # nothing is approved that cannot be carried out now
        if asked.state is State.REQUESTED:
            asked = approvals.approve(actor, asked.request, asked.payload_hash, note)
        answers: list[PostAnswer] = []

        def act(begun: "ApprovalRequest") -> dict[str, object]:
            answer = client.post(_transfer_of(begun), approval=begun.request)
            answers.append(answer)
            if not answer.done:
                raise TransferRefused(answer.refusal_name, answer.short_fen)
            return {"seq": answer.seq}

        with office.client() as client:
            try:
                ended = approvals.execute(actor, asked.request, act)
            except TransferRefused:
                ended = approvals.get(asked.request)
    transfer = _transfer_of(ended)
    result = ended.result or {}
    answer = answers[-1] if answers else PostAnswer(Refusal.NONE, int(str(result.get("seq", 0))), 0, 0)
    report = posted_report(transfer, answer)
    return Report({**report.content, "approval": _as_json(ended)}, report.shown, report.holds)


def refuse(request: RequestId, operator: OperatorName, note: Note, directory: Directory = Path()) -> Report:
    """Say no to what another operator asked for."""
    from campus_node.cli.office import opened
    from campus_node.operators.approvals import Approvals

    with opened(directory) as office:
        approvals = Approvals(office.db, office.clock)
        refused = approvals.refuse(office.actor(operator), _whole(approvals, request), note)
    return Report(
        {"approval": _as_json(refused)}, [Sentence("{id} is refused; nothing is posted.", id=refused.request)]
    )


def _whole(approvals: "Approvals", typed: str) -> str:
    """Return the id that somebody typed the beginning of."""
    from campus_node.operators.approvals import LISTED_MAX
    from campus_node.operators.requests import State

    typed = typed.lower()
    known = [each.request for each in approvals.find(*State, limit=LISTED_MAX)]
    if typed in known:
        return typed
    fitting = [request for request in known if request.startswith(typed)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NotFound(Sentence("there is no request {id}; see: campus approval list --all", id=typed))
    raise Refused(
        Sentence("{id} begins the id of {count} requests: write more of it", id=typed, count=len(fitting))
    )


def _transfer_of(asked: "ApprovalRequest") -> "Transfer":
    from campus_node.ledger.chart import Kind
    from campus_node.ledger.client import Transfer
    from federation.transfer import Verb

    payload = asked.payload
    return Transfer(
        asked.transfer_id or b"",
        Verb.POST,
        Kind[str(payload["kind"])],
        int(str(payload["debit"])),
        int(str(payload["credit"])),
        int(str(payload["amount_fen"])),
        asked.requested_at_unix_ms,  # the same in every attempt: a repeat is the same request
    )


def _transfer_cells(asked: "ApprovalRequest") -> list[str]:
    transfer = _transfer_of(asked)
    return [
        str(asked.payload["kind"]).lower().replace("_", "-"),
        shown_account(transfer.debit),
        shown_account(transfer.credit),
        shown_yuan(transfer.amount_fen),
    ]


def _as_json(asked: "ApprovalRequest") -> dict[str, object]:
    return {
        "id": asked.request,
        "kind": asked.kind.value,
        "scope": str(asked.scope),
        "payload": dict(asked.payload),
        "reason": asked.reason,
        "state": asked.state.value,
        "requested_by": asked.requested_by,
        "requested_at": shown_instant(asked.requested_at_unix_ms),
        "expires_at": shown_instant(asked.expires_at_unix_ms),
        "decided_by": asked.decided_by,
        "decision_note": asked.decision_note,
        "transfer_id": asked.transfer_id.hex().upper() if asked.transfer_id else None,
        "result": dict(asked.result) if asked.result else None,
    }
