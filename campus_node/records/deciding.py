"""What two people decide about a record: who pays for it (rules of the field, 12, 17, 42).

One asks, another approves, and the node posts what was approved, under the id of the approval. The record is
marked when that is in the ledger; a crash in between is made good at the next look around.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import sqlalchemy
from sqlalchemy import Connection, select

from campus_node.database.connect import reading, writing
from campus_node.ledger.chart import Kind
from campus_node.ledger.tables import accounts
from campus_node.operators.approvals import Approvals
from campus_node.operators.requests import ApprovalRequest, State
from campus_node.purse.journal_entries import Movement
from campus_node.records import assessment, grey, movement_rows
from campus_node.records.assessment import Read, RecordKey
from campus_node.records.grey import GreyState
from campus_node.records.moments import TerminalTime
from campus_node.records.movement_rows import Accepted, KnownBy
from campus_node.records.posting import purse_account
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome
from campus_node.registry.terminals import known
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import NotFound, Refused

ATTEMPTS_MAX: Final = 9  # requests about one record that were refused or lapsed
_HELD: Final = (Why.AMOUNT_HELD, Why.DECIDED_BEFORE)
_OVER: Final = frozenset({State.REFUSED, State.EXPIRED, State.FAILED})


class Payer(StrEnum):
    """Who pays for a sale."""

    HOLDER = "holder"  # it happened: from the purse
    RISK = "risk"  # in the holder's favour: at the cost of the acquirer's risk account


def request_of(
    connection: Connection, key: RecordKey, payer: Payer, risk_account: int
) -> Mapping[str, object]:
    """Return what two people would agree on, as the payload of a transfer.

    Raises:
        NotFound: there is no such record.
        Refused: there is nothing to decide about it, or an account is not open.
    """
    movement = _undecided(connection, key)
    till = known(connection, [movement.terminal_id]).get(movement.terminal_id)
    if till is None:
        raise Refused(Sentence("its terminal is not registered: nobody can be paid"))
    if payer is Payer.HOLDER and grey.find(connection, key) is not None:
        raise Refused(Sentence("a grey sale is decided in the holder's favour: --payer risk"))
    debit = purse_account(movement.asn) if payer is Payer.HOLDER else risk_account
    kind = Kind.ADJUSTMENT if payer is Payer.HOLDER else Kind.LOSS
    for account in (debit, till.merchant_account):
        if (
            connection.execute(select(accounts.c.account).where(accounts.c.account == account)).first()
            is None
        ):
            raise Refused(Sentence("account {account} is not open", account=account))
    return {  # as `campus_node.serving.approved` checks it when the transfer is posted
        "kind": kind.name,
        "debit": debit,
        "credit": till.merchant_account,
        "amount_fen": movement.amount_fen,
    }


def free_name(approvals: Approvals, connection: Connection, key: RecordKey) -> str:
    """Return the id of the request about a record: the one that is under way, or a new one."""
    for name in _names(connection, key):
        try:
            if approvals.get(name).state not in _OVER:
                return name
        except NotFound:
            return name
    raise Refused(Sentence("this record was decided against too often"))


def carry_through(db: sqlalchemy.Engine, clock: Clock, time: TerminalTime, limit: int = 1_000) -> int:
    """Mark every record about which what was approved is in the ledger; return how many.

    Raises:
        Unavailable: repeat.
    """
    approvals = Approvals(db, clock)
    done = 0
    with reading(db) as connection:
        found = [(key, _executed(approvals, connection, key)) for key in _waiting(connection, limit)]
    for key, request in found:
        if request is None:
            continue
        with writing(db) as connection:
            _mark(connection, key, request, time, clock.unix_ms())
        done += 1
    return done


def _mark(
    connection: Connection, key: RecordKey, request: ApprovalRequest, time: TerminalTime, now_unix_ms: int
) -> None:
    each = assessment.read(movement_rows.record(connection, key))
    movement = each.movement
    assert movement is not None, "only movements are decided"
    found = grey.find(connection, key)
    if found is not None and found.state is GreyState.OPEN:
        grey.close(connection, found.opened, GreyState.DECIDED, now_unix_ms)
    elif request.payload["kind"] == Kind.ADJUSTMENT.name:
        taken = movement_rows.by_identity(connection, [assessment.identity_of(movement)])
        if not taken:
            movement_rows.add(connection, [_accepted(each, movement, request, time)], now_unix_ms)
    movement_rows.mark(connection, [(int(Outcome.ACCEPTED), Why.DECIDED.value, *key)])


def _accepted(each: Read, movement: Movement, request: ApprovalRequest, time: TerminalTime) -> Accepted:
    made_at_unix_ms = time.unix_ms(movement.made_at)
    seq = int(str((request.result or {}).get("seq", 0)))
    merchant = int(str(request.payload["credit"]))
    return Accepted(
        movement, each.waiting.key, made_at_unix_ms, time.meal(made_at_unix_ms), KnownBy.PEOPLE,
        each.waiting.origin, merchant, seq,
    )  # fmt: skip


def _undecided(connection: Connection, key: RecordKey) -> Movement:
    waiting = movement_rows.waits_for(connection, key)
    if waiting is None:
        raise NotFound(Sentence("there is no record {seq} in this journal", seq=key[1]))
    movement = assessment.read(movement_rows.record(connection, key)).movement
    outcome, why = waiting
    held = outcome is Outcome.PENDING and why in {*(each.value for each in _HELD), Why.GREY.value}
    if movement is None or not held:
        raise Refused(Sentence("there is nothing to decide about record {seq}", seq=key[1]))
    return movement


def _waiting(connection: Connection, limit: int) -> list[RecordKey]:
    held = movement_rows.pending_for(connection, [*(why.value for why in _HELD), Why.GREY.value], limit)
    return sorted(held)


def _executed(approvals: Approvals, connection: Connection, key: RecordKey) -> ApprovalRequest | None:
    for name in _names(connection, key):
        try:
            request = approvals.get(name)
        except NotFound:
            return None
        if request.state is State.EXECUTED:
            return request
    return None


def _names(connection: Connection, key: RecordKey) -> list[str]:
    """A grey sale by its first entry; any other by its identity, so that two copies are decided as one."""
    found = grey.find(connection, key)
    if found is not None:
        name = f"grey-{found.opened[0].hex()}-{found.opened[1]}"
    else:
        movement = assessment.read(movement_rows.record(connection, key)).movement
        assert movement is not None, "only movements are decided"
        asn, purse, line, counter = assessment.identity_of(movement)
        name = f"sale-{asn.hex()}-{int(purse)}{line}-{counter}"
    return [f"{name}-{attempt}" for attempt in range(1, ATTEMPTS_MAX + 1)]
