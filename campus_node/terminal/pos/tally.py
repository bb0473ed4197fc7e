"""What this till sold to cards without memory, its last sale, its PSAM's tries: as the journal tells. Pure.

Everything here is rebuilt from the journal when the till starts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campus_node.purse.commands import TransactionType
from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.movement_log import Recorded
from campus_node.spending.card_record import Spent, after_payment
from campus_node.spending.moments import Moment
from campus_node.terminal.pos.journal_records import AccountPayment, Hit, PaymentState, Record, Tries

PURCHASES: Final = frozenset({TransactionType.EP_PURCHASE, TransactionType.CAPP})
KEPT_MS: Final = 2 * 86_400_000  # longer than any business day
KEPT_MAX: Final = 50_000
HIT_EVERY_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Sold:
    """A purchase that a card without memory made here, or may have made."""

    asn: bytes
    amount_fen: int
    at_unix_ms: int


class Tally:
    """What was sold here. Movements are told as they become known; a void one counts no more."""

    def __init__(self) -> None:
        self.last: tuple[bytes, int, int] | None = None  # asn, amount, ms: of the last sale
        self.open_payments: dict[bytes, AccountPayment] = {}
        self._tries: dict[bytes, int] = {}  # by terminal id, as it was last written down
        self._wrong: dict[bytes, set[int]] = {}  # movements with a wrong MAC2 since then
        self._sold: dict[int, Sold] = {}  # by the number of the movement's first entry
        self._of_card: dict[bytes, set[int]] = {}
        self._hits: dict[bytes, int] = {}

    def movement(self, recorded: Recorded) -> None:
        """Count a movement, or what has become known of it. The same again changes nothing."""
        movement, key = recorded.movement, recorded.opened_seq
        if movement.transaction_type not in PURCHASES:
            return
        if movement.state is State.GREY and movement.reason is Reason.MAC_WRONG:
            self._wrong.setdefault(movement.terminal_id, set()).add(key)
        if movement.state is State.DONE and movement.amount_fen:
            self.last = (movement.asn, movement.amount_fen, movement.recorded_at_unix_ms)
        if movement.transaction_type is TransactionType.EP_PURCHASE:
            self._count(movement, key)

    def record(self, record: Record) -> None:
        """Take a record of another kind."""
        match record:
            case AccountPayment(state=PaymentState.ASKED):
                self.open_payments[record.transfer_id] = record
            case AccountPayment():
                self.open_payments.pop(record.transfer_id, None)
            case Tries():
                self._tries[record.terminal_id] = record.wrong
                self._wrong.pop(record.terminal_id, None)
            case Hit():
                self._hits[record.asn] = record.recorded_at_unix_ms

    def wrong_macs(self, terminal_id: bytes) -> int:
        """Return how many wrong MAC2 a PSAM has seen, as far as this journal knows."""
        return self._tries.get(terminal_id, 0) + len(self._wrong.get(terminal_id, ()))

    def is_hit_told(self, asn: bytes, now_unix_ms: int) -> bool:
        """Tell whether it was written down just now that this listed card came: a prankster fills nothing."""
        return 0 <= now_unix_ms - self._hits.get(asn, -HIT_EVERY_MS) < HIT_EVERY_MS

    def spent(self, asn: bytes, moment: Moment, moment_of: Callable[[int], Moment]) -> Spent:
        """Return what a card without memory spent here on the business day of a moment."""
        spent = Spent()
        for key in sorted(self._of_card.get(asn, ())):
            sold = self._sold[key]
            at = moment_of(sold.at_unix_ms)
            if at.day == moment.day:
                spent = after_payment(spent, at, sold.amount_fen, cut_off=True)
        return spent

    def forget_before(self, unix_ms: int) -> None:
        """Forget what is older than any business day that matters; call it now and then."""
        for key in [key for key, sold in self._sold.items() if sold.at_unix_ms < unix_ms - KEPT_MS]:
            self._drop(key)
        self._hits = {asn: at for asn, at in self._hits.items() if at > unix_ms - HIT_EVERY_MS}

    def _count(self, movement: Movement, key: int) -> None:
        if movement.state is State.VOID:
            self._drop(key)
        elif key not in self._sold:
            if len(self._sold) >= KEPT_MAX:
                self._drop(next(iter(self._sold)))
            self._sold[key] = Sold(movement.asn, movement.amount_fen, movement.recorded_at_unix_ms)
            self._of_card.setdefault(movement.asn, set()).add(key)

    def _drop(self, key: int) -> None:
        sold = self._sold.pop(key, None)
        if sold is not None:
            keys = self._of_card[sold.asn]
            keys.discard(key)
            if not keys:
                del self._of_card[sold.asn]
