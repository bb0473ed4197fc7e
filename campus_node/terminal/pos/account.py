"""Payments from an account by a pay code: asked of the gateway, paid by a record in the journal (B1.1).

What the account's campus sets aside is taken by the record APPROVED alone, which is durable before anything
is shown. Without an answer in time nothing is paid, and what was set aside comes back by itself.
"""

from dataclasses import dataclass, replace
from typing import Final

from campus_node.spending import parameters as p
from campus_node.spending.moments import Moment
from campus_node.spending.parameter_values import Place
from campus_node.spending.refusals import Refusal
from campus_node.spending.tariffs import Bill
from campus_node.terminal.pos import attempt, screens
from campus_node.terminal.pos.counter import Counter
from campus_node.terminal.pos.due import Due, Wanted, due_of
from campus_node.terminal.pos.journal_records import AccountPayment, PaymentState, hash_of
from campus_node.terminal.pos.view import View
from campus_node.terminal.questions import Question
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Overloaded
from federation.ids import TransferIds

CODE_BYTES_MAX: Final = 64
NO_CLASS: Final = 0  # whoever pays by code shows no card
SEQ_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that is being asked about.

    Args:
        asked: as it stands in the journal.
        bill: what is paid for.
        question: at the gateway.
    """

    asked: AccountPayment
    bill: Bill
    question: Question


class AccountDesk:
    """One payment from an account at a time. Args: counter: of the till."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._ids = TransferIds(counter.clock)

    def begin(self, code: bytes, wanted: Wanted, now_s: float) -> Payment | attempt.Stopped:
        """Ask whether a code may pay; the question is in the journal first."""

        def act() -> Payment | attempt.Stopped:
            counter = self._counter
            due = due_of(wanted, NO_CLASS, None, counter.moment, counter.values)
            if not isinstance(due, Due):
                return attempt.RulesRefuse(due if isinstance(due, Refusal) else Refusal.NO_PRICE)
            refusal = self._refusal_of(due.amount_fen, counter.moment)
            if refusal is not None:
                return attempt.RulesRefuse(refusal, due.amount_fen)
            asked = AccountPayment(
                PaymentState.ASKED,
                0,
                wanted.tariff,
                self._ids.next(),
                due.amount_fen,
                counter.sam.terminal_id(),
                counter.clock.unix_ms(),
                hash_of(code),
            )
            counter.write(asked)
            return Payment(asked, due.bill, self._ask(asked, code, now_s))

        try:
            return attempt.guarded(self._counter, act)
        except Overloaded:
            self.tidy()
            return attempt.RulesRefuse(Refusal.OVER_CODE_BUDGET)

    def end(self, payment: Payment) -> View | attempt.Stopped:
        """Write down how a question ended, and return the screen that says so. Only when it is over."""
        answer, amount_fen = payment.question.answer, payment.asked.amount_fen
        approved = isinstance(answer, wire.AuthorizationAnswered) and not answer.refusal
        if approved and isinstance(answer, wire.AuthorizationAnswered) and answer.amount_fen == amount_fen:
            state, view = PaymentState.APPROVED, screens.accepted(amount_fen, answer.available_fen)
            view = replace(view, lines=screens.bill_lines(payment.bill))
        elif isinstance(answer, wire.AuthorizationAnswered) and answer.refusal:
            state, view = PaymentState.REFUSED, screens.account_refused(answer.refusal, amount_fen)
        else:
            state, view = PaymentState.GIVEN_UP, screens.account_silent(amount_fen)
        refusal = answer.refusal if isinstance(answer, wire.AuthorizationAnswered) else 0
        return self._written(payment.asked, state, refusal) or view

    def tidy(self) -> attempt.Stopped | None:
        """Give up what was asked before a power cut: nobody was shown that it is paid."""
        for asked in list(self._counter.tally.open_payments.values()):
            stopped = self._written(asked, PaymentState.GIVEN_UP, 0)
            if stopped is not None:
                return stopped
        return None

    def _written(self, asked: AccountPayment, state: PaymentState, refusal: int) -> attempt.Stopped | None:
        return attempt.guarded(self._counter, lambda: self._write(asked, state, refusal))

    def _write(self, asked: AccountPayment, state: PaymentState, refusal: int) -> None:
        at_unix_ms = self._counter.clock.unix_ms()
        self._counter.write(
            replace(asked, state=state, refusal=min(refusal, 0xFF), recorded_at_unix_ms=at_unix_ms)
        )

    def _refusal_of(self, amount_fen: int, moment: Moment) -> Refusal | None:
        counter = self._counter
        if counter.stopped is not None:
            return counter.stopped
        if counter.cut_off or not moment.valid:
            return Refusal.OVER_CODE_BUDGET  # a terminal that can ask nobody takes no codes
        if amount_fen > counter.values.of(p.SANE_PAYMENT):
            return Refusal.AMOUNT_NOT_SANE
        if amount_fen > counter.values.of(p.PAYMENT_MAX, Place()):
            return Refusal.OVER_PAYMENT_LIMIT
        return None

    def _ask(self, asked: AccountPayment, code: bytes, now_s: float) -> Question:
        question = wire.AuthorizationAsked(
            transfer_id=asked.transfer_id,
            amount_fen=asked.amount_fen,
            tariff=asked.tariff,
            terminal_seq=self._counter.log.journal.last_seq & SEQ_MAX,
            made_at_unix_ms=asked.recorded_at_unix_ms,
            valid_for_ms=self._counter.settings.online_wait_ms,
            pay_code=code,
        )
        return self._counter.online.ask(question, now_s)
