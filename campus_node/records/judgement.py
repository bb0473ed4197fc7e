"""What becomes of each record of a message, before anything is written. Pure: the rows are arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from campus_node.purse.journal_entries import is_beginning, opened_by
from campus_node.records.reasons import Why
from campus_node.records.spooled import (
    BODY_BYTES_MAX,
    RECORDS_MAX,
    SEQ_MAX,
    Outcome,
    Quarantine,
    Spooled,
)
from campus_node.registry.terminals import TerminalState
from campus_node.wording import Sentence
from federation.errors import Unreadable

Key = tuple[bytes, int]  # journal, number
_APART = {
    TerminalState.RETIRED: Quarantine.RETIRED_TERMINAL,
    TerminalState.REVOKED: Quarantine.REVOKED_TERMINAL,
}


class Kept(NamedTuple):
    """What is remembered of a record that is here already."""

    terminal_id: bytes
    body: bytes
    outcome: int


class Sender(NamedTuple):
    """What the registry says of a terminal.

    Args:
        good_to_a_number: it is revoked, and up to which number its PSAM is good is known: each record is
            judged by its own.
    """

    state: TerminalState
    gateway: str
    good_to_a_number: bool = False


class New(NamedTuple):
    """A record that comes for the first time."""

    record: Spooled
    outcome: Outcome
    reason: Quarantine | Why | None


@dataclass(slots=True)
class Judged:
    """What a message leads to.

    Args:
        outcomes: one for each record, in their order.
        new: to be kept, by key.
        conflicts: other contents for a number that is taken.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    new: dict[Key, New] = field(default_factory=dict)
    conflicts: dict[tuple[bytes, int, bytes], Spooled] = field(default_factory=dict)


def require_message(records: Sequence[Spooled], spool_id: bytes) -> None:
    """Return if a message can be taken; raise Unreadable."""
    if not 0 < len(records) <= RECORDS_MAX:
        raise Unreadable(
            Sentence("a message has 1 to {most} records, not {given}", most=RECORDS_MAX, given=len(records))
        )
    first = records[0].position
    for place, record in enumerate(records):
        if record.position != first + place or not 1 <= record.position <= SEQ_MAX:
            raise Unreadable(Sentence("positions of a spool follow one another, from 1"))
        lengths = len(spool_id), len(record.terminal_id), len(record.journal_id)
        if lengths != (16, 6, 16) or len(record.body) > BODY_BYTES_MAX:
            raise Unreadable(
                Sentence("a field of record {position} has a wrong length", position=record.position)
            )
        if not 1 <= record.seq <= SEQ_MAX or not 0 <= record.taken_at_unix_ms <= SEQ_MAX:
            raise Unreadable(
                Sentence("a number of record {position} is out of range", position=record.position)
            )


def judge(records: Sequence[Spooled], kept: Mapping[Key, Kept], senders: Mapping[bytes, Sender]) -> Judged:
    """Decide every record, in order, as if they came one by one.

    Args:
        records: of one message.
        kept: what is here already of their keys.
        senders: what the registry knows of their terminals.
    """
    judged = Judged()
    ended = _ended(records)
    for record in records:
        key = record.journal_id, record.seq
        there = kept.get(key)
        if there is not None:
            same = there.body == record.body and there.terminal_id == record.terminal_id
            outcome = Outcome(there.outcome) if same else Outcome.CONFLICT
        elif key in judged.new:
            before = judged.new[key]
            same = before.record.body == record.body and before.record.terminal_id == record.terminal_id
            outcome = before.outcome if same else Outcome.CONFLICT
        else:
            quarantine = _quarantine(record, senders)
            outcome = Outcome.PENDING if quarantine is None else Outcome.QUARANTINED
            new = New(record, outcome, quarantine)
            if quarantine is None and (record.terminal_id, *key) in ended and is_beginning(record.body):
                outcome = Outcome.ACCEPTED
                new = New(record, outcome, Why.STEP)
            judged.new[key] = new
            same = True
        if not same:
            judged.conflicts[(*key, digest_of(record))] = record
        judged.outcomes.append(outcome)
    return judged


def _ended(records: Sequence[Spooled]) -> set[tuple[bytes, bytes, int]]:
    """Return the first entries of movements whose end is in the same message: terminal, journal, number."""
    return {
        (record.terminal_id, record.journal_id, opened)
        for record in records
        if (opened := opened_by(record.body)) and opened < record.seq
    }


def digest_of(record: Spooled) -> bytes:
    """Return what tells one content from another: SHA-256 of terminal and body, 32 bytes."""
    return sha256(record.terminal_id + record.body).digest()


def _quarantine(record: Spooled, senders: Mapping[bytes, Sender]) -> Quarantine | None:
    sender = senders.get(record.terminal_id)
    if sender is None:
        return Quarantine.UNKNOWN_TERMINAL
    apart = _APART.get(sender.state)
    if apart is not None and not sender.good_to_a_number:
        return apart
    return None if record.body else Quarantine.UNREADABLE
