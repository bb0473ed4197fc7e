"""Movements of which nobody knows: what is awaited, and what the card says when it is back."""

from dataclasses import dataclass, replace
from typing import Final

from campus_node.purse import recovery
from campus_node.purse.channel import CardChannel
from campus_node.purse.issuer import LoadAuthority
from campus_node.purse.journal_entries import State
from campus_node.purse.movement_log import Recorded
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import Pin
from campus_node.terminal.pos import attempt
from campus_node.terminal.pos.counter import Counter
from campus_node.terminal.pos.due import NO_ANSWERS, Answers, Due

DOUBT_S: Final = recovery.WINDOW_S


@dataclass(frozen=True, slots=True)
class Doubt:
    """A sale or load of which nobody knows; its card is awaited.

    Args:
        recorded: in the journal.
        due: what it was for.
        answers: to its questions.
        until_s: how long the card is awaited; monotonic seconds.
        late: it is from before; nobody waits for its goods.
    """

    recorded: Recorded
    due: Due
    answers: Answers
    until_s: float
    late: bool = False

    @property
    def asn(self) -> bytes:
        return self.recorded.movement.asn


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of something that was open.

    Args:
        outcome: of it, or why the card could not be asked.
        awaited: it is what the till waits for.
        due: what it was for, as far as the journal tells.
    """

    outcome: Outcome | attempt.Stopped
    awaited: bool
    due: Due


def settle_all(
    counter: Counter,
    card: CardChannel,
    asn: bytes,
    doubt: Doubt | None,
    authority: LoadAuthority | None,
    pin: Pin | None,
) -> Settled | None:
    """Ask a card about all that is open of it, up to the first that is not void.

    Args:
        asn: the card's, 10 bytes.
        doubt: what the till waits for.
        authority: for loads; None = they stay open, and hold up no purchase.

    Returns:
        What became of the last one that was asked about; None = nothing was open.
    """
    settled = None
    for recorded in counter.log.awaiting(asn):
        if recorded.movement.online and authority is None:
            continue
        settled = _settle(counter, card, recorded, doubt, authority, pin)
        if not isinstance(settled.outcome, Outcome) or settled.outcome.state is not State.VOID:
            return settled
    return settled


def goes_on(settled: Settled, outcome: Outcome, doubt: Doubt | None, now_s: float) -> Doubt:
    """Return the doubt that goes on, because the card left once more while it was asked."""
    if doubt is None or not settled.awaited:
        return Doubt(outcome.recorded, settled.due, NO_ANSWERS, now_s + DOUBT_S, late=True)
    return replace(doubt, recorded=outcome.recorded)


def _settle(
    counter: Counter,
    card: CardChannel,
    recorded: Recorded,
    doubt: Doubt | None,
    authority: LoadAuthority | None,
    pin: Pin | None,
) -> Settled:
    awaited = doubt is not None and doubt.recorded.opened_seq == recorded.opened_seq
    due = Due.plain(recorded.movement.amount_fen)
    outcome = attempt.guarded(counter, lambda: counter.settle(recorded, card, authority=authority, pin=pin))
    return Settled(outcome, awaited, doubt.due if doubt is not None and awaited else due)
