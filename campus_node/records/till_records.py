"""What tills write beside movements: payments from accounts, listed cards that came, a PSAM's wrong tries.

A payment from an account was set aside in the ledger when its till asked. Its record takes it (approved) or
gives it back (given up), under an id that follows from the payment's own: so a repeat is the same (A15).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import sqlalchemy

from campus_node.database.connect import reading, writing
from campus_node.records import movement_rows
from campus_node.records.alarming import masked
from campus_node.records.assessment import Waiting
from campus_node.records.movement_rows import Mark
from campus_node.records.posting import ORIGINATOR, Books
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome, Quarantine
from campus_node.registry.terminals import Terminal, known
from campus_node.terminal.pos.journal_records import (
    ACCOUNT_PAYMENT,
    HOTLIST_HIT,
    PSAM_TRIES,
    AccountPayment,
    Hit,
    PaymentState,
    Record,
    Tries,
    decode,
)
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from federation.clock import Clock
from federation.errors import Unreadable
from federation.transfer import CURRENCY_CNY, TRANSFER_ID_BYTES, Answer, Refusal, Request, Verb

KINDS: Final = frozenset({HOTLIST_HIT, ACCOUNT_PAYMENT, PSAM_TRIES})
_ASKING: Final = frozenset({PaymentState.APPROVED, PaymentState.GIVEN_UP})


@dataclass(slots=True)
class _Work:
    """What a batch leads to."""

    marks: list[Mark] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    payments: list[tuple[Waiting, AccountPayment, Request]] = field(default_factory=list)

    def mark(self, waiting: Waiting, outcome: Outcome, why: Why | Quarantine | None) -> None:
        word = None if why is None else why.value
        self.marks.append((int(outcome), word, waiting.journal_id, waiting.seq))


def is_one(waiting: Waiting) -> bool:
    """Tell whether a record is of one of these kinds."""
    return waiting.body[:1] != b"" and waiting.body[0] in KINDS


def work(db: sqlalchemy.Engine, books: Books, clock: Clock, batch: Sequence[Waiting]) -> int:
    """Book and mark a batch of these records; return how many payments were taken or given back.

    Raises:
        Unavailable: repeat.
    """
    todo = _Work()
    with reading(db) as connection:
        tills = known(connection, {waiting.terminal_id for waiting in batch})
    for waiting in batch:
        _sort(waiting, tills, books, todo)
    answers = books.post([request for _, _, request in todo.payments])
    for (waiting, payment, _), answer in zip(todo.payments, answers, strict=True):
        _answered(waiting, payment, answer, todo)
    now_unix_ms = clock.unix_ms()
    with writing(db) as connection:
        movement_rows.mark(connection, todo.marks)
        for alarm in sorted(todo.alarms, key=lambda alarm: alarm.key):
            raise_alarm(connection, alarm, now_unix_ms)
    return len(todo.payments)


def _sort(waiting: Waiting, tills: Mapping[bytes, Terminal], books: Books, todo: _Work) -> None:
    till = tills.get(waiting.terminal_id)
    record = _read(waiting)
    if record is None:
        todo.mark(waiting, Outcome.QUARANTINED, Quarantine.UNREADABLE)
    elif till is None or record.terminal_id != till.terminal_id:  # another till's journal
        todo.mark(waiting, Outcome.QUARANTINED, Quarantine.UNKNOWN_TERMINAL)
    elif isinstance(record, AccountPayment):
        if record.state in _ASKING:
            todo.payments.append((waiting, record, _request(waiting, record, till, books)))
        else:
            todo.mark(waiting, Outcome.ACCEPTED, Why.STEP)
        return
    else:
        todo.mark(waiting, Outcome.ACCEPTED, Why.NOTED)
        todo.alarms.append(_alarm(record, till))
        return
    subject = f"terminal/{waiting.terminal_id.hex().upper()}"
    evidence = {"journal": waiting.journal_id.hex().upper(), "seq": waiting.seq}
    name = "record.unreadable" if record is None else "record.unknown_terminal"
    todo.alarms.append(Alarm(name, Severity.SERIOUS, subject, evidence))


def _read(waiting: Waiting) -> Record | None:
    try:
        return decode(waiting.body)
    except Unreadable:
        return None


def _request(waiting: Waiting, payment: AccountPayment, till: Terminal, books: Books) -> Request:
    taken = payment.state is PaymentState.APPROVED
    asked_by = books.number_of(till.originator_name)
    named = b"account payment" + asked_by.to_bytes(8) + payment.transfer_id + bytes((payment.state,))
    return Request(
        books.number_of(ORIGINATOR), sha256(named).digest()[:TRANSFER_ID_BYTES],
        Verb.CONFIRM if taken else Verb.REVERSE, taken, 0, 0, 0, payment.amount_fen if taken else 0,
        CURRENCY_CNY, asked_by, payment.transfer_id, payment.recorded_at_unix_ms, 0, waiting.origin, 0,
    )  # fmt: skip


def _answered(waiting: Waiting, payment: AccountPayment, answer: Answer, todo: _Work) -> None:
    if payment.state is PaymentState.GIVEN_UP:
        if answer.refusal != Refusal.ALREADY_CONFIRMED:
            todo.mark(waiting, Outcome.ACCEPTED, Why.VOID)
            return
    elif answer.refusal == Refusal.NONE:
        todo.mark(waiting, Outcome.ACCEPTED, None)
        return
    todo.mark(waiting, Outcome.REFUSED, Why.PAYMENT_REFUSED)
    evidence = {
        "refusal": Refusal(answer.refusal).name,
        "transfer_id": payment.transfer_id.hex().upper(),
        "amount_fen": payment.amount_fen,
    }
    subject = f"terminal/{payment.terminal_id.hex().upper()}"
    key = f"account.payment_refused:{evidence['transfer_id']}"
    todo.alarms.append(Alarm("account.payment_refused", Severity.SERIOUS, subject, evidence, key))


def _alarm(record: Hit | Tries, till: Terminal) -> Alarm:
    subject = f"terminal/{till.terminal_id.hex().upper()}"
    if isinstance(record, Tries):
        return Alarm("terminal.psam_tries", Severity.WARNING, subject, {"wrong": record.wrong})
    evidence = {"terminal": till.name, "amount_fen": record.amount_fen, "reason": record.reason}
    evidence |= {"hotlist_version": record.hotlist_version}
    key = f"card.listed_presented:{record.asn.hex()}"
    return Alarm("card.listed_presented", Severity.NOTICE, masked(record.asn), evidence, key)
