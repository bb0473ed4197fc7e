"""Which alarms a batch of assessed records raises. Pure; docs/records.md lists the names (B7)."""

from collections.abc import Iterable
from typing import Final

from campus_node.records.assessment import COUNTER_ALARM, Ruling
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome, Quarantine
from campus_node.watch.alarms import Alarm, Severity

CLONED: Final = "two movements under one counter, both with right MACs"  # why a card was frozen
_OF_CARD: Final[dict[Why | Quarantine | None, tuple[str, Severity]]] = {
    Why.CLONE: ("purse.clone", Severity.CRITICAL),
    Why.TERMINAL_SEQ: ("purse.terminal_seq_taken", Severity.CRITICAL),
    Why.AMOUNT_HELD: ("purse.amount_held", Severity.SERIOUS),
    Why.DECIDED_BEFORE: ("purse.proven_after_decision", Severity.SERIOUS),
}
_OF_TERMINAL: Final[dict[Why | Quarantine | None, tuple[str, Severity]]] = {
    Why.MAC2_WRONG: ("purse.mac_wrong", Severity.SERIOUS),
    Why.TAC_WRONG: ("purse.mac_wrong", Severity.SERIOUS),
    Why.BOTH_WRONG: ("purse.mac_wrong", Severity.SERIOUS),
    Why.PSAM_REVOKED: ("purse.psam_revoked", Severity.SERIOUS),
    Why.KEY_MISSING: ("purse.key_missing", Severity.WARNING),
    Why.MERCHANT_MISSING: ("purse.merchant_missing", Severity.SERIOUS),
    Why.FAILED: ("record.not_assessed", Severity.SERIOUS),
    Quarantine.UNKNOWN_TERMINAL: ("record.unknown_terminal", Severity.SERIOUS),
    Quarantine.RETIRED_TERMINAL: ("record.retired_terminal", Severity.SERIOUS),
    Quarantine.REVOKED_TERMINAL: ("record.revoked_terminal", Severity.CRITICAL),
    Quarantine.UNREADABLE: ("record.unreadable", Severity.WARNING),
}


def masked(asn: bytes) -> str:
    """Return a card as alarms name it: the end of its number only."""
    return f"card/…{asn.hex().upper()[-6:]}"


def alarms_of(rulings: Iterable[Ruling]) -> list[Alarm]:
    """Return what people must be told, one alarm for each thing and subject, in one order for all writers."""
    found: dict[str, Alarm] = {}
    for ruling in rulings:
        for alarm in _alarms(ruling):
            found.setdefault(alarm.key, alarm)
    return [found[key] for key in sorted(found)]


def _alarms(ruling: Ruling) -> Iterable[Alarm]:
    each, movement = ruling.read, ruling.read.movement
    evidence: dict[str, object] = {
        "journal": each.waiting.journal_id.hex().upper(),
        "seq": each.waiting.seq,
        "why": ruling.why.value if ruling.why is not None else "",
    }
    if ruling.against is not None:
        evidence |= {"other_journal": ruling.against.record[0].hex().upper()}
        evidence |= {"other_seq": ruling.against.record[1]}
    if movement is None:
        if ruling.why in _OF_TERMINAL:
            name, severity = _OF_TERMINAL[ruling.why]
            yield Alarm(name, severity, f"journal/{evidence['journal']}", evidence)
        return
    evidence |= {"counter": movement.card_seq, "amount_fen": movement.amount_fen}
    if ruling.why in _OF_CARD:
        name, severity = _OF_CARD[ruling.why]
        subject = masked(movement.asn)
        yield Alarm(name, severity, subject, evidence, f"{name}:{movement.asn.hex()}")
    elif ruling.why in _OF_TERMINAL:
        name, severity = _OF_TERMINAL[ruling.why]
        yield Alarm(name, severity, f"terminal/{movement.terminal_id.hex().upper()}", evidence)
    if ruling.outcome is Outcome.ACCEPTED and movement.card_seq >= COUNTER_ALARM:
        name = "purse.counter_near_end"
        key = f"{name}:{movement.asn.hex()}"
        yield Alarm(name, Severity.WARNING, masked(movement.asn), evidence, key)
