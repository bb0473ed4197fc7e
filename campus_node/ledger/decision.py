"""Deciding a whole batch in memory, as if its items came one by one. Pure.

The engine fetches what a batch speaks of, calls `decide`, and writes what comes back in one durable commit.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from campus_node.ledger.books import Draft, Key, begun, follow, target_of
from campus_node.ledger.rows import Row, encode, request_hash
from campus_node.ledger.rules import Ruling, is_malformed, rule
from federation.transfer import Answer, Refusal, Request, Verb

_EXPIRE: Final = int(Verb.EXPIRE)
_RESERVE: Final = int(Verb.RESERVE)
_POST: Final = int(Verb.POST)
_new: Final = tuple.__new__  # builds a NamedTuple in half the time that its own constructor takes
_CONFLICT: Final = Answer(Refusal.TRANSFER_CONFLICT, 0, 0, 0)
_MALFORMED: Final = Answer(Refusal.MALFORMED, 0, 0, 0)
UNDECIDABLE: Final = Answer(Refusal.UNDECIDABLE, 0, 0, 0)

Known = tuple[bytes, Answer]  # request hash and first answer of an id


class OutboxItem(NamedTuple):
    """Something that must be told because of a row, at least once, with exactly one effect."""

    message: str
    topic: str
    body: str  # JSON


class Position(NamedTuple):
    """Where in the journal and when a batch is written."""

    incarnation: int
    last_seq: int
    now_unix_ms: int
    business_date: int


class Decision(NamedTuple):
    """The answers, and what must be written before anybody hears them."""

    answers: list[Answer]  # one a request, in order
    rows: list[Row]
    encoded: bytes
    outbox: list[OutboxItem]
    fresh: dict[Key, Known]  # what a repeat of each row will be answered
    undecided: list[tuple[Request, Exception]]  # refused because deciding them failed: our fault


def decide(
    requests: Sequence[Request],
    expiring: Sequence[Request],
    known: Mapping[Key, Known],
    draft: Draft,
    at: Position,
) -> Decision:
    """Answer every request in order.

    Args:
        requests: as asked, in the order in which they came.
        expiring: the ledger's own requests for reservations whose time is over; they come first.
        known: hash and answer of every id of the batch that is in the journal.
        draft: the books; changed as the batch goes.
        at: where the batch is written.
    """
    fresh: dict[Key, Known] = {}
    targets = {(r.target_originator, r.target_id) for r in requests if r.target_id}
    answers: list[Answer] = []
    rows: list[Row] = []
    encoded: list[bytes] = []
    outbox: list[OutboxItem] = []
    undecided: list[tuple[Request, Exception]] = []

    own = len(expiring)
    for request in (*expiring, *requests):
        try:
            if own:
                own -= 1
            elif is_malformed(request):  # a caller's EXPIRE is
                answers.append(_MALFORMED)
                continue
            digest = request_hash(request)
            key = request[:2]
            first = fresh.get(key) or (known.get(key) if known else None)
            if first is not None:
                answers.append(first[1] if first[0] == digest else _CONFLICT)
                continue
            ruling = rule(request, draft, at.now_unix_ms)
            row = _row(request, ruling, digest, at, at.last_seq + 1 + len(rows))
            packed = encode(row)
        except Exception as error:  # refuses this item alone; the others go on
            undecided.append((request, error))
            answers.append(UNDECIDABLE)
            continue

        if not ruling.refusal and (ruling.posted_fen or ruling.reserved_fen):
            sunk_fen = draft.move(ruling.debit, ruling.credit, ruling.posted_fen, ruling.reserved_fen)
            if sunk_fen > 0:
                outbox.append(_overdrawn(row, sunk_fen))
        elif ruling.refusal == Refusal.AMOUNT_HELD:
            outbox.append(_held(row))
        if targets or row.verb != _POST:
            _keep_state(row, draft, targets)
        answer = _new(Answer, (row.refusal, row.seq, row.short_fen, ruling.expires_at_unix_ms))
        fresh[key] = digest, answer
        answers.append(answer)
        rows.append(row)
        encoded.append(packed)

    return Decision(answers[len(expiring) :], rows, b"".join(encoded), outbox, fresh, undecided)


def answer_of(row: Row) -> Answer:
    """Return the answer that a row of the journal stands for."""
    return Answer(row.refusal, row.seq, row.short_fen, row.expires_at_unix_ms or 0)


def _row(request: Request, ruling: Ruling, digest: bytes, at: Position, seq: int) -> Row:
    (
        originator, transfer_id, verb, fact, _, _, _, amount_fen, _,
        target_originator, target_id, made_at, _, origin, window_id,
    ) = request  # fmt: skip
    refusal, kind, debit, credit, posted_fen, reserved_fen, short_fen, expires_at = ruling
    return _new(Row, (
        seq, at.incarnation, originator, transfer_id, verb, fact, kind, origin, debit, credit,
        amount_fen, posted_fen, reserved_fen, target_originator if target_id else None, target_id or None,
        window_id or None, at.business_date, at.now_unix_ms, made_at, expires_at or None, digest,
        refusal, short_fen,
    ))  # fmt: skip


def _keep_state(row: Row, draft: Draft, targets: set[Key]) -> None:
    """Remember what a transfer became, if anything in this batch or later may ask without a look-up."""
    key = row.originator, row.transfer_id
    if row.verb == _RESERVE or key in targets:
        draft.states[key] = begun(row)
    target = target_of(row)
    if target is not None:
        state = follow(draft.state(target), row)
        if state is not None:
            draft.states[target] = state


def _overdrawn(row: Row, sunk_fen: int) -> OutboxItem:
    return _alarm("account.overdrawn_by_fact", f"account/{row.debit}", row, {"sunk_fen": sunk_fen})


def _held(row: Row) -> OutboxItem:
    return _alarm(
        "transfer.amount_held", f"transfer/{row.seq}", row, {"debit": row.debit, "credit": row.credit}
    )


def _alarm(name: str, subject: str, row: Row, more: dict[str, int]) -> OutboxItem:
    evidence = {"seq": row.seq, "amount_fen": row.amount_fen, "business_date": row.business_date, **more}
    body = {
        "name": name,
        "severity": "warning",
        "subject": subject,
        "evidence": evidence,
        "dedupe_key": f"{name}:{subject}",
    }
    message = f"alarm:{name}:{row.incarnation}:{row.seq}"
    return OutboxItem(message, "alarm", json.dumps(body, sort_keys=True))
