"""A purchase, plain, from the deposit, compound (复合消费) or as cash, as a state machine (B2.1, B6).

An error that is raised means: nothing was charged, begin again. Once the journal has its entry, and the card
may be charged, an `Outcome` comes back instead, and says no more than is known. The table of steps is in
docs/purse.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final

from campus_node.purse import recovery
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.answers import Debited, PurchaseInit
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import (
    Purse,
    TransactionType,
    debit,
    update_capp_cache,
)
from campus_node.purse.errors import CardLeft, CardRefused, ReaderLost
from campus_node.purse.files import PublicFile
from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.movement_log import MovementLog, Recorded
from campus_node.purse.offline_limits import DEFAULT_LIMITS, OfflineLimits
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout, OtherCard, Pin, present, show_pin
from campus_node.purse.psam import SamInit
from campus_node.purse.sam_session import Check, SamSession
from campus_node.purse.shared_steps import balance_after, purchase_init
from campus_node.purse.steps import drive
from campus_node.wording import Sentence
from federation.errors import Refused

SEQ_MAX: Final = 0xFFFF
PURCHASES: Final = frozenset(
    {
        TransactionType.EP_PURCHASE,
        TransactionType.ED_PURCHASE,
        TransactionType.CASH,
        TransactionType.CAPP,
    }
)


class ClockInvalid(Refused):
    """The terminal's clock shows no date: it must not sell."""


class CounterSpent(Refused):
    """The card's counter is at its end: it needs to be replaced."""


@dataclass(frozen=True, slots=True)
class CappUpdate:
    """A record that is written together with the debit, or not at all.

    Args:
        sfi: short id of the file, 1 to 30.
        record_id: of the record, 1 to 255.
        record: the whole new record: id, length, lock and content.
    """

    sfi: int
    record_id: int
    record: bytes


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """What is to be paid.

    Args:
        amount_fen: 1 to 2**32 - 1; 0 with CAPP only, which then writes its records and moves nothing.
        made_at: the terminal's clock, 7 bytes BCD YYYYMMDDhhmmss.
        transaction_type: EP_PURCHASE, ED_PURCHASE, CASH (always the deposit) or CAPP.
        purse: for CAPP; the other types name theirs.
        capp: records to write with a CAPP purchase.
        pin: where the card wants one before a purchase: the deposit's.
        asn: the card that was looked at before, 10 bytes; None = whichever lies there.
        hotlist_version: that this terminal has; goes into the record.
        limits: what one payment may be, by the algorithm of the card's key.
    """

    amount_fen: int
    made_at: bytes
    transaction_type: TransactionType = TransactionType.EP_PURCHASE
    purse: Purse = Purse.EP
    capp: tuple[CappUpdate, ...] = ()
    pin: Pin | None = None
    asn: bytes | None = None
    hotlist_version: int = 0
    limits: OfflineLimits = DEFAULT_LIMITS


class Step(Enum):
    """Where a purchase is."""

    PRESENT = "select the purse, read whose it is"
    INIT = "begin in the card"
    SAM_INIT = "begin in the PSAM: it spends a number of the terminal"
    CACHE = "give the card the records that go with it"
    WRITE = "write SENT into the journal"
    DEBIT = "charge the card"
    CHECK = "have the PSAM check MAC2"
    CLOSE = "write the outcome into the journal"
    RECOVER = "ask the card what became of it"
    END = "an outcome is known, or grey"


EDGES: Final[Mapping[Step, frozenset[Step]]] = {
    Step.PRESENT: frozenset({Step.INIT}),
    Step.INIT: frozenset({Step.SAM_INIT}),
    Step.SAM_INIT: frozenset({Step.CACHE, Step.WRITE}),
    Step.CACHE: frozenset({Step.WRITE}),
    Step.WRITE: frozenset({Step.DEBIT}),
    Step.DEBIT: frozenset({Step.CHECK, Step.RECOVER, Step.END}),
    Step.CHECK: frozenset({Step.CLOSE}),
    Step.CLOSE: frozenset({Step.END}),
    Step.RECOVER: frozenset({Step.END}),
}


def run(
    request: PurchaseRequest, *, card: CardChannel, sam: SamSession, log: MovementLog, layout: CardLayout
) -> Outcome:
    """Charge the card that lies on the reader.

    Args:
        card: a channel to it, powered.
        sam: the terminal's PSAM.
        log: on the terminal's journal.

    Raises:
        ClockInvalid, CounterSpent, OtherCard, OverOfflineLimit, Unsettled, JournalFull: refused beforehand.
        CardRefused: the card or the PSAM says no before it was charged; PurseTooSmall, KeyNotFound and the
            others.
        CardLeft, ReaderLost: the card or the PSAM went before it was charged.
        JournalUnwritable: the journal failed. Before the card was charged nothing has happened; afterwards
            the movement is found unsettled when the journal is opened again.
    """
    _check(request)
    purchase = _Purchase(request, card, sam, log, layout)
    drive(purchase, _ACTS, EDGES, Step.PRESENT, Step.END)
    return purchase.outcome


class _Purchase:
    """One purchase on its way. Each step fills in what it learns."""

    public: PublicFile
    init: PurchaseInit
    begun: SamInit
    recorded: Recorded
    outcome: Outcome
    debited: Debited
    check: Check

    def __init__(
        self,
        request: PurchaseRequest,
        card: CardChannel,
        sam: SamSession,
        log: MovementLog,
        layout: CardLayout,
    ) -> None:
        self.request = request
        self.purse = _purse_of(request)
        self.card = card
        self.sam = sam
        self.log = log
        self.layout = layout

    def present(self) -> Step:
        self.public = present(self.card, self.layout)
        if self.request.asn not in {None, self.public.asn}:
            raise OtherCard(Sentence("this is another card: present the same card"))
        self.log.demand_settled(self.public.asn, online=False)
        return Step.INIT

    def init_card(self) -> Step:
        terminal_id = self.sam.terminal_id()
        show_pin(self.card, self.layout, self.request.pin)
        command = purchase_init(
            self.request.transaction_type, self.purse, self.layout, self.request.amount_fen, terminal_id
        )
        self.init = PurchaseInit.parse(demand(self.card, command))
        if self.init.offline_seq >= SEQ_MAX:
            raise CounterSpent(Sentence("the card's counter is at its end: it must be replaced"))
        self.request.limits.check(Algorithm.from_byte(self.init.algorithm_byte), self.request.amount_fen)
        return Step.SAM_INIT

    def init_sam(self) -> Step:
        request = self.request
        self.begun = self.sam.begin(
            self.public, self.init, request.amount_fen, request.transaction_type, request.made_at
        )
        return Step.CACHE if request.capp else Step.WRITE

    def cache(self) -> Step:
        for update in self.request.capp:
            demand(self.card, update_capp_cache(update.sfi, update.record, record_id=update.record_id))
        return Step.WRITE

    def write(self) -> Step:
        request, init = self.request, self.init
        self.recorded = self.log.begin(
            Movement(
                state=State.SENT,
                transaction_type=request.transaction_type,
                purse=self.purse,
                asn=self.public.asn,
                issuer=self.public.issuer,
                amount_fen=request.amount_fen,
                balance_before_fen=init.balance_fen,
                overdraft_fen=init.overdraft_fen,
                card_seq=init.offline_seq,
                card_random=init.card_random,
                key_version=init.key_version,
                algorithm_byte=init.algorithm_byte,
                terminal_id=self.sam.terminal_id(),
                terminal_seq=self.begun.terminal_seq,
                made_at=request.made_at,
                mac1=self.begun.mac1,
                hotlist_version=request.hotlist_version,
            )
        )
        return Step.DEBIT

    def debit(self) -> Step:
        command = debit(self.begun.terminal_seq, self.request.made_at, self.begun.mac1)
        try:
            self.debited = Debited.parse(demand(self.card, command))
        except CardRefused:
            return Step.RECOVER  # it says no; whether it did is found out, not believed
        except (CardLeft, ReaderLost):
            self.outcome = Outcome.of(self.recorded)
            return Step.END
        return Step.CHECK

    def check_mac2(self) -> Step:
        self.check = self.sam.check(self.begun.terminal_seq, self.debited.mac2)
        return Step.CLOSE

    def close(self) -> Step:
        sent = self.recorded.movement
        wrong = self.check is Check.WRONG
        ended = replace(
            sent,
            state=State.GREY if wrong else State.DONE,
            reason=Reason.MAC_WRONG if wrong else Reason.NONE,
            balance_after_fen=None if wrong else balance_after(sent),
            mac2=self.debited.mac2,
            tac=self.debited.tac,
            checked=self.check is Check.RIGHT,
        )
        self.outcome = Outcome.of(self.log.advance(self.recorded, ended))
        return Step.END

    def recover(self) -> Step:
        try:
            self.outcome = recovery.settle(
                self.recorded,
                card=self.card,
                log=self.log,
                layout=self.layout,
                sam=self.sam,
                pin=self.request.pin,
            )
        except Refused:  # swapped between INIT and DEBIT, or a PIN: the same card is asked for later
            self.outcome = Outcome.of(self.recorded)
        return Step.END


_ACTS: Final = {
    Step.PRESENT: _Purchase.present,
    Step.INIT: _Purchase.init_card,
    Step.SAM_INIT: _Purchase.init_sam,
    Step.CACHE: _Purchase.cache,
    Step.WRITE: _Purchase.write,
    Step.DEBIT: _Purchase.debit,
    Step.CHECK: _Purchase.check_mac2,
    Step.CLOSE: _Purchase.close,
    Step.RECOVER: _Purchase.recover,
}


def _purse_of(request: PurchaseRequest) -> Purse:
    match request.transaction_type:
        case TransactionType.EP_PURCHASE:
            return Purse.EP
        case TransactionType.ED_PURCHASE | TransactionType.CASH:
            return Purse.ED
        case _:
            return request.purse


def _check(request: PurchaseRequest) -> None:
    assert request.transaction_type in PURCHASES, f"{request.transaction_type.name} is no purchase"
    least_fen = 0 if request.capp else 1
    assert request.amount_fen >= least_fen, "callers validate amounts at the edge"
    assert not request.capp or request.transaction_type is TransactionType.CAPP, "records go with CAPP only"
    try:
        d = request.made_at.hex()
        date, time = (int(d[:4]), int(d[4:6]), int(d[6:8])), (int(d[8:10]), int(d[10:12]), int(d[12:]))
        datetime(*date, *time)  # noqa: DTZ001  # the terminal's own clock, as it stands
    except ValueError as error:
        raise ClockInvalid(Sentence("the terminal's clock shows no date: it must not sell")) from error
