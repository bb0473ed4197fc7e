"""What follows from rulings: marks on records, grey purchases kept or closed, what came before a movement."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from campus_node.purse.journal_entries import Movement
from campus_node.records import assessment, grey, movement_rows
from campus_node.records.assessment import RecordKey, Ruling, Till
from campus_node.records.grey import GreyState
from campus_node.records.movement_rows import Mark
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome


def marks(rulings: Sequence[Ruling]) -> list[Mark]:
    """Return what is said of each record."""
    return [
        (
            int(ruling.outcome),
            None if ruling.why is None else ruling.why.value,
            ruling.read.waiting.journal_id,
            ruling.read.waiting.seq,
        )
        for ruling in rulings
    ]


def follow(connection: Connection, rulings: Sequence[Ruling], now_unix_ms: int) -> None:
    """Keep grey purchases, and let the newest entry of a movement speak for those before it."""
    here = {ruling.read.waiting.key for ruling in rulings}
    ended: dict[RecordKey, GreyState] = {}
    earlier: set[RecordKey] = set()
    for ruling in rulings:
        each, movement = ruling.read, ruling.read.movement
        if movement is None or ruling.why is Why.STEP:
            continue
        if ruling.outcome is Outcome.PENDING and ruling.why is not Why.GREY:
            continue
        earlier.add(each.opened)
        if ruling.why is Why.GREY:
            grey.add(connection, each.opened, each.waiting.key, movement, now_unix_ms)
        elif ruling.outcome is Outcome.ACCEPTED:
            ended[each.opened] = GreyState.VOID if ruling.why is Why.VOID else GreyState.PROVEN
    step = int(Outcome.ACCEPTED), Why.STEP.value
    movement_rows.mark(connection, [(*step, *key) for key in earlier - here])
    if not grey.cards_with_open(connection):
        return
    for found in grey.at_opening(connection, ended):
        grey.close(connection, found.opened, ended[found.opened], now_unix_ms)
        if found.record not in here:
            movement_rows.mark(connection, [(*step, *found.record)])


def evidence(connection: Connection, asns: Collection[bytes]) -> list[Ruling]:
    """Return what evidence decides of the open grey purchases of these cards."""
    rulings = []
    for each in grey.open_of(connection, asns):
        state = grey.judge(each, *grey.neighbours(connection, each))
        if state is GreyState.OPEN:
            continue
        read = assessment.read(movement_rows.record(connection, each.record))
        if read.movement is None:
            continue
        if state is GreyState.VOID:
            rulings.append(Ruling(read, Outcome.ACCEPTED, Why.VOID))
        elif read.movement.amount_fen <= assessment.SANE_LIMIT_FEN:
            claim = assessment.claim_of(read, read.movement, proven=True)
            rulings.append(Ruling(read, Outcome.ACCEPTED, Why.PROVEN, claim))
    return rulings


def may_be_booked(ruling: Ruling, tills: Mapping[bytes, Till]) -> bool:
    """Tell whether a ruling can be carried out: nothing is to be posted, or its merchant can be paid."""
    till = tills.get(movement_of(ruling).terminal_id)
    return ruling.claim is None or (till is not None and till.merchant_is_open)


def movement_of(ruling: Ruling) -> Movement:
    """Return the movement of a ruling that is about one."""
    assert ruling.read.movement is not None, "the caller has looked"
    return ruling.read.movement


def without_lost(rulings: Sequence[Ruling], lost: Collection[RecordKey]) -> list[Ruling]:
    """Hold what the ledger knows otherwise; what repeats it is looked at again, by itself."""
    taken = {ruling.claim.identity for ruling in rulings if ruling.claim and ruling.claim.record in lost}
    kept = []
    for ruling in rulings:
        if ruling.claim is not None and ruling.claim.record in lost:
            kept.append(ruling._replace(outcome=Outcome.CONFLICT, why=Why.CLONE, claim=None))
        elif ruling.read.movement is None or assessment.identity_of(ruling.read.movement) not in taken:
            kept.append(ruling)
    return kept
