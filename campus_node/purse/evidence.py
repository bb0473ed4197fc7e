"""What a card shows about a movement whose answer was lost, and what follows from it. Pure."""

from dataclasses import dataclass

from campus_node.purse.answers import Proof
from campus_node.purse.files import LogRecord
from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.sam_session import Check


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the same card answered.

    Args:
        proof: of GET TRANSACTION PROVE for the counter after INIT's; None = it gives none.
        denied: it says that it has none (9406), rather than nothing of use.
        check: the PSAM's word on the proof's MAC2.
        log: the card's own log, newest first, where the PSAM is unable; None = it cannot be read.
        balance_fen, seq: the purse's balance and counter now, without proof; None = it does not tell.
    """

    proof: Proof | None = None
    denied: bool = False
    check: Check = Check.UNABLE
    log: tuple[LogRecord, ...] | None = None
    balance_fen: int | None = None
    seq: int | None = None


def judge(movement: Movement, evidence: Evidence) -> tuple[State, Reason]:
    """Return what has become of a purchase: DONE, VOID, or GREY where the card does not settle it.

    A proof whose MAC2 nobody here can check may be that of another purchase with the same counter, made
    elsewhere after this one was torn before it was written. The card's log then tells which terminal it was.
    """
    if evidence.proof is None:
        return _without_proof(movement, evidence)
    if evidence.check is Check.RIGHT:
        return State.DONE, Reason.NONE
    if evidence.check is Check.WRONG:
        return State.GREY, Reason.MAC_WRONG
    if evidence.log is None:
        return State.GREY, Reason.UNPROVED
    if any(is_of(movement, record) for record in evidence.log):
        return State.DONE, Reason.NONE
    return State.GREY, Reason.DISPUTED


def is_of(movement: Movement, record: LogRecord) -> bool:
    """Tell whether a record of the card's log is about this movement, with the counter before or after."""
    return (
        record.seq in {movement.card_seq, movement.card_seq + 1}
        and record.amount_fen == movement.amount_fen
        and record.transaction_type == movement.transaction_type
        and record.terminal_id == movement.terminal_id
        and record.made_at == movement.made_at
    )


def _without_proof(movement: Movement, evidence: Evidence) -> tuple[State, Reason]:
    if evidence.balance_fen is None or evidence.seq is None:
        return State.GREY, Reason.CARD_REFUSES
    if (evidence.balance_fen, evidence.seq) == (movement.balance_before_fen, movement.card_seq):
        return State.VOID, Reason.NOT_WRITTEN
    return State.GREY, Reason.DISPUTED if evidence.denied else Reason.CARD_REFUSES
