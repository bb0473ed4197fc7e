"""Transfers that two people must agree on: the proof that they did, checked against what is asked now.

Whoever carries an approval out begins it with `Approvals.execute`, which fixes its transfer id, then asks the
ledger for exactly what was approved, under that id, naming the approval. So it is posted once.
"""

from collections.abc import Mapping
from typing import Final

import sqlalchemy

from campus_node.ledger.chart import Kind
from campus_node.operators.approvals import Approvals
from campus_node.operators.canonical import canonical_json, content_hash
from campus_node.operators.requests import Kind as RequestKind
from campus_node.operators.requests import State
from campuscard.v1 import ledger_pb2 as pb
from federation.clock import Clock
from federation.errors import NotFound, NotPermitted
from federation.transfer import Verb

_BEGUN: Final = frozenset({State.EXECUTING, State.EXECUTED})


def approval_payload(kind: Kind, debit: int, credit: int, amount_fen: int) -> Mapping[str, object]:
    """Return what two people agree on: the payload of a request of the kind TRANSFER."""
    return {"kind": kind.name, "debit": debit, "credit": credit, "amount_fen": amount_fen}


def require_approval(db: sqlalchemy.Engine, clock: Clock, approval: str, transfer: pb.Transfer) -> None:
    """Return if two people agreed on exactly this transfer, and it is being carried out.

    Args:
        db: where approvals are kept.
        clock: wall time.
        approval: id of the request that was approved.
        transfer: what is asked now.

    Raises:
        NotPermitted: no such approval, not approved, not begun, or for another transfer.
        StoreDown: the database does not answer.
    """
    try:
        asked = Approvals(db, clock).get(approval)
    except NotFound as error:
        raise NotPermitted(f"approval {approval[:64]!r} does not exist: request it first") from error
    if asked.kind is not RequestKind.TRANSFER or asked.state not in _BEGUN:
        raise NotPermitted(f"approval {approval} is {asked.state}: it must be approved and begun")
    if int(transfer.verb) != Verb.POST or transfer.transfer_id != asked.transfer_id:
        raise NotPermitted(f"approval {approval} is for one POST under the transfer id it was begun with")
    payload = approval_payload(Kind(transfer.kind), transfer.debit, transfer.credit, transfer.amount_fen)
    if content_hash(canonical_json(payload)) != asked.payload_hash:
        raise NotPermitted(f"approval {approval} is for another transfer: kind, accounts or amount differ")
