"""A load (圈存), account to purse, as a state machine (B2.1).

The issuer debits the account when it approves, so the journal has its entry before the issuer is asked; and
another one before the card is told. An error that is raised means: nothing moved. An `Outcome` says what is
known; a load whose outcome is unknown is decided by the card's proof, or stays unknown until the issuer has
the proof that it was never written. The unload (campus_node/purse/unload.py) goes the same way back. The
table of steps is in docs/purse.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from campus_node.purse import recovery
from campus_node.purse.answers import LoadInit, parse_mac3, parse_tac
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import (
    Purse,
    TransactionType,
    credit_for_load,
    debit_for_unload,
)
from campus_node.purse.errors import CardLeft, CardRefused, ReaderLost
from campus_node.purse.files import PublicFile
from campus_node.purse.issuer import LoadApproval, LoadAuthority, LoadLimits, LoadTooLarge
from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.movement_log import MovementLog, Recorded
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout, OtherCard, Pin, present, show_pin
from campus_node.purse.purchase import SEQ_MAX, CounterSpent
from campus_node.purse.shared_steps import hand_over, load_request, online_init
from campus_node.purse.steps import drive
from campus_node.wording import Sentence
from federation.errors import Refused, Tampered, Unavailable

LIMITS: Final = LoadLimits()
ASK_TRIES: Final = 3  # how often a silent issuer is asked while the card waits


@dataclass(frozen=True, slots=True)
class LoadRequested:
    """What is to be loaded or unloaded.

    Args:
        amount_fen: 1 to 2**32 - 1.
        terminal_id: 6 bytes.
        transaction_type: EP_LOAD, ED_LOAD or UNLOAD (always the deposit).
        pin: where the card wants one: the deposit, and most products before any load.
        asn: the card that was looked at before, 10 bytes; None = whichever lies there.
        limits: a terminal's own; its issuer has the last word.
        hotlist_version: that this terminal has; goes into the record.
    """

    amount_fen: int
    terminal_id: bytes
    transaction_type: TransactionType = TransactionType.EP_LOAD
    pin: Pin | None = None
    asn: bytes | None = None
    limits: LoadLimits = LIMITS
    hotlist_version: int = 0

    @property
    def purse(self) -> Purse:
        """The purse it is about."""
        return Purse.EP if self.transaction_type is TransactionType.EP_LOAD else Purse.ED

    @property
    def unload(self) -> bool:
        """Whether money leaves the card."""
        return self.transaction_type is TransactionType.UNLOAD


class Step(Enum):
    """Where a load or unload is."""

    PRESENT = "select the purse, read whose it is"
    INIT = "begin in the card, which answers with MAC1"
    LIMITS = "compare with the limits, before money moves anywhere"
    WRITE_ASKED = "write ASKED into the journal"
    AUTHORISE = "ask the issuer, which checks MAC1, moves the account and answers with MAC2"
    WRITE_SENT = "write SENT into the journal"
    COMMIT = "tell the card"
    COMPLETE = "hand the card's proof to the issuer"
    CLOSE = "write the outcome into the journal"
    RECOVER = "ask the card, and then the issuer, what became of it"
    END = "an outcome is known, or grey"


EDGES: Final[Mapping[Step, frozenset[Step]]] = {
    Step.PRESENT: frozenset({Step.INIT}),
    Step.INIT: frozenset({Step.LIMITS}),
    Step.LIMITS: frozenset({Step.WRITE_ASKED}),
    Step.WRITE_ASKED: frozenset({Step.AUTHORISE}),
    Step.AUTHORISE: frozenset({Step.WRITE_SENT, Step.CLOSE}),
    Step.WRITE_SENT: frozenset({Step.COMMIT}),
    Step.COMMIT: frozenset({Step.COMPLETE, Step.RECOVER, Step.END}),
    Step.COMPLETE: frozenset({Step.CLOSE}),
    Step.CLOSE: frozenset({Step.END}),
    Step.RECOVER: frozenset({Step.END}),
}


def run(
    request: LoadRequested,
    *,
    card: CardChannel,
    authority: LoadAuthority,
    log: MovementLog,
    layout: CardLayout,
) -> Outcome:
    """Load the card that lies on the reader, or unload it.

    Args:
        card: a channel to it, powered.
        authority: the card's issuer.
        log: on the terminal's journal.

    Raises:
        CounterSpent, OtherCard, Unsettled, LoadTooLarge, JournalFull: refused beforehand.
        LoadTooLarge, LoadOpen, Refused, Tampered: the issuer said no; the journal says VOID.
        CardRefused, CardLeft, ReaderLost: from the card before the issuer was asked.
        JournalUnwritable: the journal failed; if the issuer was asked, the movement is found unsettled when
            the journal is opened again.
    """
    assert request.amount_fen > 0, "callers validate amounts at the edge"
    load = _Load(request, card, authority, log, layout)
    drive(load, _ACTS, EDGES, Step.PRESENT, Step.END)
    if load.refusal is not None:
        raise load.refusal
    return load.outcome


class _Load:
    """One load or unload on its way. Each step fills in what it learns."""

    public: PublicFile
    init: LoadInit
    recorded: Recorded
    approval: LoadApproval
    ended: Movement
    outcome: Outcome

    def __init__(
        self,
        request: LoadRequested,
        card: CardChannel,
        authority: LoadAuthority,
        log: MovementLog,
        layout: CardLayout,
    ) -> None:
        self.request = request
        self.card = card
        self.authority = authority
        self.log = log
        self.layout = layout
        self.refusal: Refused | Tampered | None = None

    def present(self) -> Step:
        self.public = present(self.card, self.layout)
        if self.request.asn not in {None, self.public.asn}:
            raise OtherCard(Sentence("this is another card: present the same card"))
        self.log.demand_settled(self.public.asn, online=True)
        return Step.INIT

    def init_card(self) -> Step:
        show_pin(self.card, self.layout, self.request.pin)
        request = self.request
        command = online_init(request.transaction_type, self.layout, request.amount_fen, request.terminal_id)
        self.init = LoadInit.parse(demand(self.card, command))
        if self.init.online_seq >= SEQ_MAX:
            raise CounterSpent(Sentence("the card's counter is at its end: it must be replaced"))
        return Step.LIMITS

    def limits(self) -> Step:
        request, limits = self.request, self.request.limits
        if not request.unload:
            most_fen = limits.ep_balance_fen_max if request.purse is Purse.EP else limits.ed_balance_fen_max
            if request.amount_fen > limits.load_fen_max:
                raise LoadTooLarge(
                    Sentence("at most {fen} fen can be loaded at once", fen=limits.load_fen_max)
                )
            if self.init.balance_fen + request.amount_fen > most_fen:
                raise LoadTooLarge(Sentence("this purse holds at most {fen} fen", fen=most_fen))
        return Step.WRITE_ASKED

    def write_asked(self) -> Step:
        request, init = self.request, self.init
        self.recorded = self.log.begin(
            Movement(
                state=State.ASKED,
                transaction_type=request.transaction_type,
                purse=request.purse,
                asn=self.public.asn,
                issuer=self.public.issuer,
                amount_fen=request.amount_fen,
                balance_before_fen=init.balance_fen,
                card_seq=init.online_seq,
                card_random=init.card_random,
                key_version=init.key_version,
                algorithm_byte=init.algorithm_byte,
                terminal_id=request.terminal_id,
                mac1=init.mac1,
                hotlist_version=request.hotlist_version,
            )
        )
        return Step.AUTHORISE

    def authorise(self) -> Step:
        asked = self.recorded.movement
        for _ in range(ASK_TRIES):
            try:
                self.approval = self.authority.authorise(load_request(asked))
            except (Refused, Tampered) as refusal:
                self.refusal = refusal
                self.ended = replace(asked, state=State.VOID, reason=Reason.NOT_APPROVED)
                return Step.CLOSE
            except Unavailable:
                continue  # the same request again gets the same approval
            return Step.WRITE_SENT
        self.ended = replace(asked, state=State.GREY, reason=Reason.ISSUER_SILENT)
        return Step.CLOSE

    def write_sent(self) -> Step:
        approval = self.approval
        sent = replace(self.recorded.movement, state=State.SENT, made_at=approval.made_at, mac2=approval.mac2)
        self.recorded = self.log.advance(self.recorded, sent)
        return Step.COMMIT

    def commit(self) -> Step:
        unload = self.request.unload
        command = (debit_for_unload if unload else credit_for_load)(self.approval.made_at, self.approval.mac2)
        try:
            answer = demand(self.card, command)
            proof = parse_mac3(answer) if unload else parse_tac(answer)
        except CardRefused:
            return Step.RECOVER  # it says no; whether it did is found out, not believed
        except (CardLeft, ReaderLost):
            self.outcome = Outcome.of(self.recorded)
            return Step.END
        self.ended = replace(
            self.recorded.movement, tac=None if unload else proof, mac3=proof if unload else None
        )
        return Step.COMPLETE

    def complete(self) -> Step:
        self.ended = hand_over(self.ended, self.authority)
        return Step.CLOSE

    def close(self) -> Step:
        self.outcome = Outcome.of(self.log.advance(self.recorded, self.ended))
        return Step.END

    def recover(self) -> Step:
        try:
            self.outcome = recovery.settle(
                self.recorded,
                card=self.card,
                log=self.log,
                layout=self.layout,
                authority=self.authority,
                pin=self.request.pin,
            )
        except Refused:  # swapped between INIT and this, or a PIN: the same card is asked for later
            self.outcome = Outcome.of(self.recorded)
        return Step.END


_ACTS: Final[Mapping[Step, Callable[[_Load], Step]]] = {
    Step.PRESENT: _Load.present,
    Step.INIT: _Load.init_card,
    Step.LIMITS: _Load.limits,
    Step.WRITE_ASKED: _Load.write_asked,
    Step.AUTHORISE: _Load.authorise,
    Step.WRITE_SENT: _Load.write_sent,
    Step.COMMIT: _Load.commit,
    Step.COMPLETE: _Load.complete,
    Step.CLOSE: _Load.close,
    Step.RECOVER: _Load.recover,
}
