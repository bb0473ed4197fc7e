"""What becomes of each record that came in: accepted, pending, in conflict, kept apart or refused. Pure.

A movement's identity is (card, purse, offline or online, counter); (card, terminal, terminal's counter) is
unique as well. MAC2 and the TAC together prove a purchase; what they do not cover (balance, hotlist version)
decides nothing here (rules of the field, 4 to 17).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from campus_node.purse.journal_entries import CARD_MOVEMENT, Movement, State, decode, purchase_record
from campus_node.purse.verification import PurchaseRecord, Verdict
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome, Quarantine
from campus_node.registry.terminals import TerminalState
from federation.errors import Unreadable

OFFLINE: Final = 0
ONLINE: Final = 1
SANE_LIMIT_FEN: Final = 100_000  # rules of the field, 12
COUNTER_ALARM: Final = 60_000  # rules of the field, 10
DIGEST_BYTES: Final = 16

RecordKey = tuple[bytes, int]  # journal, number
Identity = tuple[bytes, int, int, int]  # asn, purse, line, counter
TerminalKey = tuple[bytes, bytes, int]  # asn, terminal, the terminal's counter


class Waiting(NamedTuple):
    """A record that nobody has looked at yet."""

    journal_id: bytes
    seq: int
    origin: int
    received_at_unix_ms: int
    body: bytes
    terminal_id: bytes = b""  # whose session brought it

    @property
    def key(self) -> RecordKey:
        return self.journal_id, self.seq


class Read(NamedTuple):
    """A record with what it says; None = it is no movement."""

    waiting: Waiting
    movement: Movement | None
    why: Why | Quarantine | None = None

    @property
    def opened(self) -> RecordKey:
        """The first entry of its movement."""
        seq = self.movement.opened_seq if self.movement is not None else 0
        return self.waiting.journal_id, seq or self.waiting.seq


class Till(NamedTuple):
    """What the registry says of a terminal.

    Args:
        state: whether it takes part.
        merchant_account: who is paid by it.
        merchant_is_open: whether the ledger has that account.
        last_good_seq: of its revoked PSAM; None = nobody has said.
    """

    state: TerminalState
    merchant_account: int
    merchant_is_open: bool
    last_good_seq: int | None


class Claim(NamedTuple):
    """What is known of a movement that has its identity."""

    identity: Identity
    terminal: TerminalKey
    digest: bytes
    record: RecordKey
    proven: bool  # by evidence, without a TAC


class Ruling(NamedTuple):
    """What becomes of one record."""

    read: Read
    outcome: Outcome
    why: Why | Quarantine | None = None
    claim: Claim | None = None  # to be posted and written down
    against: Claim | None = None  # the movement that it contradicts


@dataclass(slots=True)
class Known:
    """What the rules look up.

    Args:
        issuer: ours, 8 bytes; empty = there is no key store.
        tills: by number.
        by_identity, by_terminal: the movements that are in the books; grows with each that is accepted.
        decided: grey ones that two people have decided, by their first entry.
    """

    issuer: bytes = b""
    tills: Mapping[bytes, Till] = field(default_factory=dict)
    by_identity: dict[Identity, Claim] = field(default_factory=dict)
    by_terminal: dict[TerminalKey, Claim] = field(default_factory=dict)
    decided: frozenset[RecordKey] = frozenset()


def read(waiting: Waiting) -> Read:
    """Return what a record says."""
    if waiting.body[:1] != bytes((CARD_MOVEMENT,)):
        return Read(waiting, None, Why.KIND_UNKNOWN)
    try:
        movement = decode(waiting.body)
    except Unreadable:
        return Read(waiting, None, Quarantine.UNREADABLE)
    if movement is None or not movement.asn.hex().isdigit():
        return Read(waiting, None, Quarantine.UNREADABLE)
    return Read(waiting, movement)


def proof_of(each: Read, issuer: bytes) -> PurchaseRecord | None:
    """Return what of a record the issuer's keys can check; None = nothing."""
    movement = each.movement
    if movement is None or movement.online or movement.state is State.VOID or movement.issuer != issuer:
        return None
    if movement.mac2 is None or movement.tac is None:
        return None
    return purchase_record(movement)


def identity_of(movement: Movement) -> Identity:
    """Return the movement's identity."""
    return movement.asn, movement.purse, ONLINE if movement.online else OFFLINE, movement.card_seq


def terminal_key_of(movement: Movement) -> TerminalKey:
    """Return the movement's second identity."""
    return movement.asn, movement.terminal_id, movement.terminal_seq


def digest_of(movement: Movement) -> bytes:
    """Return what tells one movement from another: all that MAC2 and the TAC cover, and both; 16 bytes."""
    covered = b"".join(
        (
            movement.asn,
            movement.card_random,
            movement.terminal_id,
            movement.made_at,
            movement.mac2 or b"",
            movement.tac or b"",
            b"%d %d %d %d %d %d"
            % (
                movement.transaction_type,
                movement.purse,
                movement.amount_fen,
                movement.card_seq,
                movement.key_version,
                movement.terminal_seq,
            ),
        )
    )
    return sha256(covered).digest()[:DIGEST_BYTES]


def claim_of(each: Read, movement: Movement, *, proven: bool = False) -> Claim:
    """Return what a movement lays claim to."""
    return Claim(
        identity_of(movement), terminal_key_of(movement), digest_of(movement), each.waiting.key, proven
    )


def assess(records: Sequence[Read], verdicts: Mapping[RecordKey, Verdict], known: Known) -> list[Ruling]:
    """Decide every record, in order, as if they came one by one.

    Args:
        records: in the order in which they came in.
        verdicts: of MAC2 and TAC, for those that have both and whose keys are here.
        known: what is in the books; what is accepted here is added.
    """
    newest: dict[RecordKey, int] = {}
    for each in records:
        if each.movement is not None:
            newest[each.opened] = max(each.waiting.seq, newest.get(each.opened, 0))
    rulings = []
    for each in records:
        superseded = each.movement is not None and newest[each.opened] > each.waiting.seq
        ruling = _rule(each, verdicts, known, superseded=superseded)
        if ruling.claim is not None:
            known.by_identity[ruling.claim.identity] = ruling.claim
            known.by_terminal[ruling.claim.terminal] = ruling.claim
        rulings.append(ruling)
    return rulings


def _rule(each: Read, verdicts: Mapping[RecordKey, Verdict], known: Known, *, superseded: bool) -> Ruling:
    movement = each.movement
    if movement is None:
        apart = each.why is Quarantine.UNREADABLE
        return Ruling(each, Outcome.QUARANTINED if apart else Outcome.PENDING, each.why)
    stranger = _stranger(movement, known)
    if stranger is not None:
        return Ruling(each, *stranger)
    if movement.state is State.VOID:
        return Ruling(each, Outcome.ACCEPTED, Why.VOID)
    if superseded:
        return Ruling(each, Outcome.ACCEPTED, Why.STEP)
    if movement.online:
        return Ruling(each, Outcome.PENDING, Why.LOAD)
    if known.issuer and movement.issuer != known.issuer:
        return Ruling(each, Outcome.PENDING, Why.FOREIGN)
    if movement.mac2 is None or movement.tac is None:
        return _without_proof(each, movement, known)
    verdict = verdicts.get(each.waiting.key, Verdict.KEY_UNKNOWN)
    if verdict is Verdict.KEY_UNKNOWN:
        return Ruling(each, Outcome.PENDING, Why.KEY_MISSING)
    if verdict is not Verdict.GENUINE:
        return Ruling(each, Outcome.REFUSED, _WRONG[verdict])
    return _genuine(each, movement, known)


_WRONG: Final = {
    Verdict.MAC2_WRONG: Why.MAC2_WRONG,
    Verdict.TAC_WRONG: Why.TAC_WRONG,
    Verdict.BOTH_WRONG: Why.BOTH_WRONG,
}
_APART: Final = {
    TerminalState.RETIRED: Quarantine.RETIRED_TERMINAL,
    TerminalState.REVOKED: Quarantine.REVOKED_TERMINAL,
}


def _stranger(movement: Movement, known: Known) -> tuple[Outcome, Why | Quarantine] | None:
    """Return what becomes of a record whose terminal is not one of ours, or not any more."""
    till = known.tills.get(movement.terminal_id)
    if till is None:
        return Outcome.QUARANTINED, Quarantine.UNKNOWN_TERMINAL
    if till.last_good_seq is not None:
        late = movement.terminal_seq > till.last_good_seq
        return (Outcome.REFUSED, Why.PSAM_REVOKED) if late else None
    apart = _APART.get(till.state)
    return None if apart is None else (Outcome.QUARANTINED, apart)


def _without_proof(each: Read, movement: Movement, known: Known) -> Ruling:
    there = known.by_terminal.get(terminal_key_of(movement))
    if there is not None and there.identity == identity_of(movement):  # its end came before its beginning
        return Ruling(each, Outcome.ACCEPTED, Why.STEP)
    begun = movement.state in {State.SENT, State.ASKED}
    return Ruling(each, Outcome.PENDING, Why.BEGUN if begun else Why.GREY)


def _genuine(each: Read, movement: Movement, known: Known) -> Ruling:
    claim = claim_of(each, movement)
    there = known.by_identity.get(claim.identity)
    if there is not None:
        if there.digest == claim.digest or (there.proven and there.terminal == claim.terminal):
            return Ruling(each, Outcome.ACCEPTED, Why.REPEATED)
        return Ruling(each, Outcome.CONFLICT, Why.CLONE, against=there)
    there = known.by_terminal.get(claim.terminal)
    if there is not None:
        return Ruling(each, Outcome.CONFLICT, Why.TERMINAL_SEQ, against=there)
    if each.opened in known.decided:
        return Ruling(each, Outcome.PENDING, Why.DECIDED_BEFORE)
    if movement.amount_fen > SANE_LIMIT_FEN:
        return Ruling(each, Outcome.PENDING, Why.AMOUNT_HELD)
    if not known.tills[movement.terminal_id].merchant_is_open:
        return Ruling(each, Outcome.PENDING, Why.MERCHANT_MISSING)
    return Ruling(each, Outcome.ACCEPTED, None, claim)
