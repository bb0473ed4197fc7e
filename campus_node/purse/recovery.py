"""What became of a movement whose answer was lost: the same card is asked (B2.1).

The card is reset and its serial number compared; GET TRANSACTION PROVE says whether it happened; without a
proof its balance and a fresh INIT say whether it did not. A load or unload without proof is decided by its
issuer, from a fresh INIT under the issuer's own random number. What nobody can know stays grey. The table is
in docs/purse.md.

Recovering twice is the same as once; being torn in the middle of it changes nothing.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import Final

from campus_node.purse.answers import LoadInit, Proof, PurchaseInit, parse_balance
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel, Reader
from campus_node.purse.commands import (
    Purse,
    TransactionType,
    get_balance,
    read_record,
    transaction_prove,
)
from campus_node.purse.errors import CardLeft, CardRefused, PinBlocked, PinWrong, ProofMissing, ReaderLost
from campus_node.purse.evidence import Evidence, judge
from campus_node.purse.files import LOG_BYTES, LOG_RECORDS_MIN, LOG_SFI, LogRecord
from campus_node.purse.issuer import LoadAuthority, LoadRequest, LoadUnknown
from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.movement_log import MovementLog, Recorded
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout, OtherCard, Pin, present_again, show_pin
from campus_node.purse.sam_session import Check, SamSession
from campus_node.purse.shared_steps import (
    balance_after,
    hand_over,
    load_request,
    online_init,
    purchase_init,
)
from campus_node.purse.steps import drive
from federation.errors import Refused, Tampered, Unavailable

WINDOW_S: Final = 10.0
PRESENTED_MAX: Final = 50  # cards laid on the reader within one window


class Step(Enum):
    """Where a recovery is."""

    PRESENT = "reset the card, select the purse, compare the serial number"
    PROVE = "ask for the proof under the next counter"
    CHECK = "have the PSAM check the proof's MAC2"
    READ_LOG = "look for the purchase in the card's own log"
    BALANCE = "ask for the balance"
    INIT = "begin anew, for the counter alone"
    COMPLETE = "hand the proof to the issuer"
    SETTLE = "begin a load under the issuer's random number, and let the issuer decide"
    CLOSE = "write the outcome into the journal"
    END = "an outcome is known, or grey"


EDGES: Final[Mapping[Step, frozenset[Step]]] = {
    Step.PRESENT: frozenset({Step.PROVE}),
    Step.PROVE: frozenset({Step.CHECK, Step.COMPLETE, Step.BALANCE, Step.SETTLE}),
    Step.CHECK: frozenset({Step.READ_LOG, Step.CLOSE}),
    Step.READ_LOG: frozenset({Step.CLOSE}),
    Step.BALANCE: frozenset({Step.INIT}),
    Step.INIT: frozenset({Step.CLOSE}),
    Step.COMPLETE: frozenset({Step.CLOSE}),
    Step.SETTLE: frozenset({Step.CLOSE}),
    Step.CLOSE: frozenset({Step.END}),
}


def settle(
    recorded: Recorded,
    *,
    card: CardChannel,
    log: MovementLog,
    layout: CardLayout,
    sam: SamSession | None = None,
    authority: LoadAuthority | None = None,
    pin: Pin | None = None,
) -> Outcome:
    """Ask the card that lies on the reader what became of a movement.

    Args:
        recorded: the movement, any of its entries; of `MovementLog.unsettled`.
        sam: the terminal's PSAM: it can check a proof until it makes another purchase; None = it is gone.
        authority: the issuer, for loads and unloads; None = out of reach.
        pin: needed for the deposit, and where the card wants one before a load.

    Returns:
        DONE or VOID, final, or GREY: with the reason TORN when the card left once more.

    Raises:
        OtherCard: the wrong card, or one that does not say which it is; ask for the right one.
        PinWrong, PinBlocked: nothing has changed; repeat with the right PIN.
        JournalFull, JournalUnwritable: open the journal again and recover; it may be written or not.
    """
    newest = log.newest(recorded)
    if not newest.movement.awaits_card:
        return Outcome.of(newest)
    recovery = _Recovery(newest, card, log, layout, sam, authority, pin)
    try:
        drive(recovery, _ACTS, EDGES, Step.PRESENT, Step.END)
    except (CardLeft, ReaderLost):
        return Outcome.grey(newest, Reason.TORN)
    return recovery.outcome


def settle_within(
    recorded: Recorded,
    *,
    reader: Reader,
    log: MovementLog,
    layout: CardLayout,
    sam: SamSession | None = None,
    authority: LoadAuthority | None = None,
    pin: Pin | None = None,
    window_s: float = WINDOW_S,
) -> Outcome:
    """Wait for the same card and settle with it; other cards are passed over.

    Channels that were opened before are of no use afterwards: wait for the card again.

    When the window is over the movement is written down as grey, to be sent to its issuer so. It can still
    be settled later, when the card comes back.

    Raises:
        ReaderLost, PinWrong, PinBlocked, JournalFull, JournalUnwritable: see settle.
    """
    ends_at_s = log.clock.monotonic_s() + window_s
    outcome = Outcome.of(log.newest(recorded))
    for _ in range(PRESENTED_MAX):
        left_s = ends_at_s - log.clock.monotonic_s()
        card = reader.wait_for_card(left_s) if left_s > 0 else None
        if card is None:
            break
        try:
            outcome = settle(
                recorded, card=card, log=log, layout=layout, sam=sam, authority=authority, pin=pin
            )
        except OtherCard:
            reader.wait_for_removal(max(ends_at_s - log.clock.monotonic_s(), 0))
            continue
        finally:
            card.close()
        if outcome.reason is not Reason.TORN:
            return outcome
    return give_up(outcome.recorded, log)


def give_up(recorded: Recorded, log: MovementLog) -> Outcome:
    """Write down, unless it is written, that a movement is grey: its card has not come back."""
    newest = log.newest(recorded)
    if not newest.movement.awaits_card:
        return Outcome.of(newest)
    return Outcome.of(log.advance(newest, replace(newest.movement, state=State.GREY, reason=Reason.TORN)))


class _Recovery:
    """One recovery on its way."""

    outcome: Outcome
    proof: Proof

    def __init__(
        self,
        recorded: Recorded,
        card: CardChannel,
        log: MovementLog,
        layout: CardLayout,
        sam: SamSession | None,
        authority: LoadAuthority | None,
        pin: Pin | None,
    ) -> None:
        self.recorded = recorded
        self.movement = recorded.movement
        self.ended = recorded.movement
        self.evidence = Evidence()
        self.card = card
        self.log = log
        self.layout = layout
        self.sam = sam
        self.authority = authority
        self.pin = pin

    def present(self) -> Step:
        present_again(self.card, self.layout, self.movement.asn)
        return Step.PROVE

    def prove(self) -> Step:
        movement = self.movement
        try:
            answer = demand(self.card, transaction_prove(movement.transaction_type, movement.card_seq + 1))
        except CardRefused as refusal:
            self.evidence = Evidence(denied=isinstance(refusal, ProofMissing))
            return Step.SETTLE if movement.online else Step.BALANCE
        self.proof = Proof.parse(answer)
        return Step.COMPLETE if movement.online else Step.CHECK

    def check(self) -> Step:
        mac2 = self.proof.mac
        check = Check.UNABLE
        if self.sam is not None and mac2:
            check = self.sam.check(self.movement.terminal_seq, mac2)
        self.evidence = Evidence(self.proof, check=check)
        return Step.READ_LOG if check is Check.UNABLE else self._judged()

    def read_log(self) -> Step:
        self.evidence = replace(self.evidence, log=self._card_log())
        return self._judged()

    def balance(self) -> Step:
        if self.movement.purse is Purse.ED:
            show_pin(self.card, self.layout, self.pin)
        with suppress(CardRefused):  # without the PIN the deposit tells nobody
            balance_fen = parse_balance(demand(self.card, get_balance(self.movement.purse)))
            self.evidence = replace(self.evidence, balance_fen=balance_fen)
        return Step.INIT

    def init(self) -> Step:
        movement = self.movement
        command = purchase_init(
            movement.transaction_type,
            movement.purse,
            self.layout,
            movement.amount_fen,
            movement.terminal_id,
        )
        with suppress(CardRefused):
            init = PurchaseInit.parse(demand(self.card, command))
            self.evidence = replace(self.evidence, seq=init.offline_seq)
        return self._judged()

    def complete(self) -> Step:
        movement, proof = self.movement, self.proof
        unload = movement.transaction_type is TransactionType.UNLOAD
        known = replace(
            movement,
            tac=None if unload else proof.tac,
            mac3=proof.mac if unload else None,
            by_proof=True,
        )
        self.ended = hand_over(known, self.authority)
        return Step.CLOSE

    def settle(self) -> Step:
        if self.authority is None:
            return self._ends(State.GREY, Reason.ISSUER_SILENT)
        request = load_request(self.movement)
        try:
            fresh = self._fresh_init(self.authority.ask_proof(request))
            never_written = self.authority.settle(request, fresh)
        except (CardLeft, ReaderLost, PinWrong, PinBlocked):
            raise
        except CardRefused:
            return self._ends(State.GREY, Reason.CARD_REFUSES)
        except Tampered:
            return self._ends(State.GREY, Reason.MAC_WRONG)
        except LoadUnknown:  # the question never reached it; one whose approval is here must be known
            asked = self.movement.mac2 is None
            return self._ends(
                *((State.VOID, Reason.NOT_APPROVED) if asked else (State.GREY, Reason.DISPUTED))
            )
        except Refused:
            return self._ends(State.GREY, Reason.DISPUTED)
        except Unavailable:
            return self._ends(State.GREY, Reason.ISSUER_SILENT)
        if never_written:
            return self._ends(State.VOID, Reason.NEVER_WRITTEN)
        self.ended = replace(self.movement, checked=True, balance_after_fen=balance_after(self.movement))
        return self._ends(State.DONE, Reason.NONE)

    def close(self) -> Step:
        recorded = self.log.advance(self.recorded, self.ended)
        self.outcome = Outcome(self.ended.state, self.ended.reason, recorded)
        return Step.END

    def _judged(self) -> Step:
        state, reason = judge(self.movement, self.evidence)
        proof = self.evidence.proof
        if proof is not None:
            self.ended = replace(
                self.movement,
                mac2=proof.mac or None,
                tac=proof.tac,
                by_proof=True,
                checked=self.evidence.check is Check.RIGHT,
                balance_after_fen=balance_after(self.movement) if state is State.DONE else None,
            )
        return self._ends(state, reason)

    def _ends(self, state: State, reason: Reason) -> Step:
        self.ended = replace(self.ended, state=state, reason=reason)
        return Step.CLOSE

    def _card_log(self) -> tuple[LogRecord, ...] | None:
        found = []
        try:
            for number in range(1, LOG_RECORDS_MIN + 1):
                record = LogRecord.parse(demand(self.card, read_record(LOG_SFI, number, LOG_BYTES)))
                if record is None:
                    break
                found.append(record)
        except CardRefused:
            return tuple(found) or None  # fewer than ten, or it does not let us read
        return tuple(found)

    def _fresh_init(self, nonce: bytes) -> LoadRequest:
        movement = self.movement
        show_pin(self.card, self.layout, self.pin)
        command = online_init(movement.transaction_type, self.layout, movement.amount_fen, nonce)
        init = LoadInit.parse(demand(self.card, command))
        return replace(
            load_request(movement),
            terminal_id=nonce,
            balance_fen=init.balance_fen,
            online_seq=init.online_seq,
            key_version=init.key_version,
            algorithm_byte=init.algorithm_byte,
            card_random=init.card_random,
            mac1=init.mac1,
        )


_ACTS: Final = {
    Step.PRESENT: _Recovery.present,
    Step.PROVE: _Recovery.prove,
    Step.CHECK: _Recovery.check,
    Step.READ_LOG: _Recovery.read_log,
    Step.BALANCE: _Recovery.balance,
    Step.INIT: _Recovery.init,
    Step.COMPLETE: _Recovery.complete,
    Step.SETTLE: _Recovery.settle,
    Step.CLOSE: _Recovery.close,
}
