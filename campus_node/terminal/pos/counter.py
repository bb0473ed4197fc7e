"""The counter of a till: where card, PSAM, rules, hotlists and journal meet in one sale (B1.1, B2.1, B2.3).

It decides and charges, one card at a time, and knows no screen. What it raises means that nothing was
charged; see `campus_node.purse.purchase`.
"""

from contextlib import suppress
from typing import Final

from campus_node.purse import purchase, recovery
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import TransactionType
from campus_node.purse.issuer import LoadAuthority
from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.journal_entries import decode as movement_of
from campus_node.purse.movement_log import ENTRIES_MAX, MovementLog, Recorded
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import Pin
from campus_node.purse.sam_session import SamSession
from campus_node.spending import card_record, rides, sales
from campus_node.spending import parameters as p
from campus_node.spending.moments import Moment
from campus_node.spending.parameter_values import Place, Values
from campus_node.spending.refusals import SAID, Refusal
from campus_node.spending.sales import Decision
from campus_node.terminal.journal import JournalFull, JournalUnwritable
from campus_node.terminal.pos.due import NO_ANSWERS, Answers, Due
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.journal_records import Hit, Record, Tries, decode, encode
from campus_node.terminal.pos.online import Online
from campus_node.terminal.pos.reading import Seen
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import TillSettings
from campus_node.terminal.pos.tally import Tally
from campus_node.terminal.pos.wall_clock import WallClock
from federation.errors import Unreadable

HITS_ROOM: Final = 8  # hits are written down only while 1 in 8 of the journal is free: sales come first
TRIES_AGAIN: Final = 2  # the PSAM's tries are written again after 1 in 2 of the ring: they never leave it
UNSEEN_MS: Final = 120_000  # a sale so long before a restart may have ended unseen: it asks for an override


class Counter:
    """Decides and charges. For the arguments see Till."""

    def __init__(
        self,
        settings: TillSettings,
        rules: Rules,
        hotlists: Hotlists,
        *,
        sam: SamSession,
        log: MovementLog,
        clock: WallClock,
        online: Online,
    ) -> None:
        self.settings = settings
        self.rules = rules
        self.hotlists = hotlists
        self.sam = sam
        self.log = log
        self.clock = clock
        self.online = online
        self.tally = Tally()
        self._sold_offline_fen = 0
        self._tries_seq = 0  # where they were last written down, or the first wrong one is; 0 = nowhere
        self._sold_since_start = False
        self._recall()

    @property
    def cut_off(self) -> bool:
        """Whether the gateway is out of reach."""
        return not self.online.connected

    @property
    def values(self) -> Values:
        """The parameters in force."""
        return self.rules.values_at(self.clock.unix_ms())

    @property
    def moment(self) -> Moment:
        """This moment, as the rules see it."""
        return self.rules.moment_at(self.clock.unix_ms(), valid=self.clock.valid)

    @property
    def journal_full(self) -> bool:
        """Whether there is no room for one more sale and all that may follow it."""
        return self.log.journal.free < ENTRIES_MAX * (1 + len(self.log.unsettled()))

    @property
    def stopped(self) -> Refusal | None:
        """Why no card at all may pay here now; None = cards may."""
        if not self.clock.valid:
            return Refusal.CLOCK_INVALID
        if self.journal_full:
            return Refusal.JOURNAL_FULL
        return None

    def decide(self, due: Due, seen: Seen, answers: Answers = NO_ANSWERS) -> Decision:
        """Return whether a card may pay. A listed one is written down, too.

        Raises:
            Unreadable: its number is no card's.
            CardLeft, ReaderLost, CardRefused: the PSAM does not answer.
            JournalUnwritable: the hit cannot be written.
        """
        listed = self.is_listed(seen, due.amount_fen)
        sale = sales.Sale(
            due.limited_fen,
            self.settings.tariff,
            confirmed=answers.confirmed,
            overridden=answers.overridden,
            step=due.step,
        )
        card = sales.Card(
            seen.asn,
            seen.issuer,
            seen.card_class,
            seen.starts,
            seen.expires,
            self._spent(seen),
            tracked=seen.spent is not None,
            listed=listed,
        )
        decision = sales.decide(sale, card, self._till(seen), self.values)
        free_ride = due.fare is not None and seen.spent is not None and not due.limited_fen
        if decision.refusal is Refusal.AMOUNT_NOT_POSITIVE and free_ride:
            return Decision()
        return decision

    def is_listed(self, seen: Seen, amount_fen: int = 0) -> bool:
        """Tell whether a card is on its issuer's hotlist; if so, that it came is written down.

        Raises:
            Unreadable, CardLeft, ReaderLost, CardRefused, JournalUnwritable: see decide.
        """
        reason = self.hotlists.find(seen.issuer, seen.asn)
        if reason is not None:
            self._note_hit(reason.value, amount_fen, seen)
        return reason is not None

    def pay(self, due: Due, seen: Seen, card: CardChannel, pin: Pin | None = None) -> Outcome:
        """Charge the card. For the errors see `purchase.run`.

        A card without a record of its spending makes a plain purchase of more than nothing.
        """
        tracked = seen.spent is not None
        request = purchase.PurchaseRequest(
            due.amount_fen,
            self.rules.local_time(self.clock.unix_ms()),
            transaction_type=TransactionType.CAPP if tracked else TransactionType.EP_PURCHASE,
            capp=self._records(due, seen) if tracked else (),
            pin=pin,
            asn=seen.asn,
            hotlist_version=self.hotlists.version(seen.issuer),
        )
        outcome = purchase.run(request, card=card, sam=self.sam, log=self.log, layout=self.settings.layout)
        self._note(outcome)
        return outcome

    def settle(
        self,
        recorded: Recorded,
        card: CardChannel,
        *,
        authority: LoadAuthority | None = None,
        pin: Pin | None = None,
    ) -> Outcome:
        """Ask the card what became of an earlier movement. For the errors see `recovery.settle`."""
        outcome = recovery.settle(
            recorded,
            card=card,
            log=self.log,
            layout=self.settings.layout,
            sam=self.sam,
            authority=authority,
            pin=pin,
        )
        self.tally.movement(outcome.recorded)
        if outcome.state is State.VOID and not outcome.movement.online:
            self._sold_offline_fen = max(0, self._sold_offline_fen - outcome.movement.amount_fen)
        self._keep_tries(outcome.movement.terminal_id)
        return outcome

    def is_trusted(self, outcome: Outcome) -> bool:
        """Tell whether it is paid: who has the key has looked, or it is little enough to believe the card."""
        movement = outcome.movement
        if outcome.state is not State.DONE:
            return False
        return movement.checked or movement.amount_fen <= self.values.of(p.OFFLINE_PAYMENT)

    def give_up(self, recorded: Recorded) -> Outcome:
        """Write down that the card did not come back. Raise JournalUnwritable, JournalFull."""
        return recovery.give_up(recorded, self.log)

    def write(self, record: Record) -> None:
        """Write a record of another kind; durable on return.

        Raises:
            JournalFull: the room that is left is kept for movements.
            JournalUnwritable: see the journal.
        """
        if self.journal_full:
            raise JournalFull(SAID[Refusal.JOURNAL_FULL])
        self._append(record)

    def psam_changed(self, wrong: int = 0) -> None:
        """Note that the PSAM has that many wrong MAC2 behind it: another one, or one that was unblocked."""
        self.write(Tries(wrong, self.sam.terminal_id(), self.clock.unix_ms()))

    def _records(self, due: Due, seen: Seen) -> tuple[purchase.CappUpdate, ...]:
        assert seen.spent is not None, "it remembers"
        counts = due.counts
        in_meal = counts and self.values.of(p.MEAL_COUNTED, Place(self.settings.tariff))
        after = card_record.after_payment(
            seen.spent, self.moment, due.amount_fen, cut_off=self.cut_off, counts=counts, in_meal=in_meal
        )
        spending = purchase.CappUpdate(
            card_record.SFI, card_record.RECORD_ID, card_record.whole_record(after)
        )
        if not due.writes_ride or due.fare is None:
            return (spending,)
        ride = rides.whole_record(due.fare.ride)
        return (spending, purchase.CappUpdate(rides.SFI, rides.RECORD_ID, ride))

    def _note(self, outcome: Outcome) -> None:
        """Count what was sold, or may have been."""
        self.tally.movement(outcome.recorded)
        self._sold_since_start = True
        if not self.cut_off:
            self._sold_offline_fen = 0
        elif outcome.state is not State.VOID:
            self._sold_offline_fen += outcome.movement.amount_fen
        if outcome.reason is Reason.MAC_WRONG:
            self._tries_seq = self._tries_seq or outcome.recorded.seq
        self._keep_tries(outcome.movement.terminal_id)
        self.tally.forget_before(self.clock.unix_ms())

    def _spent(self, seen: Seen) -> card_record.Spent:
        if seen.spent is not None:
            return seen.spent
        return self.tally.spent(seen.asn, self.moment, lambda at: self.rules.moment_at(at, valid=True))

    def _till(self, seen: Seen) -> sales.Till:
        wrong = self.tally.wrong_macs(self.sam.terminal_id())
        return sales.Till(
            self.moment,
            cut_off=self.cut_off,
            journal_full=self.journal_full,
            psam_suspect=wrong * 2 >= self.settings.psam_tries,
            sold_offline_fen=self._sold_offline_fen if self.cut_off else 0,
            hotlist_age_s=self.hotlists.age_s(seen.issuer, self.clock.unix_ms()),
            last=self._last_sale(),
        )

    def _last_sale(self) -> tuple[bytes, int, int] | None:
        """Return the last sale; one from before a power cut as if it were just now: nobody saw it end."""
        last, now_unix_ms = self.tally.last, self.clock.unix_ms()
        if last is None or self._sold_since_start or abs(now_unix_ms - last[2]) > UNSEEN_MS:
            return last
        return (*last[:2], now_unix_ms)

    def _note_hit(self, reason: int, amount_fen: int, seen: Seen) -> None:
        now_unix_ms = self.clock.unix_ms()
        journal = self.log.journal
        kept = max(journal.capacity // HITS_ROOM, ENTRIES_MAX * (2 + len(self.log.unsettled())))
        room = journal.free > kept
        if not room or self.tally.is_hit_told(seen.asn, now_unix_ms):
            return
        terminal_id, version = self.sam.terminal_id(), self.hotlists.version(seen.issuer)
        self.write(Hit(reason, seen.asn, seen.issuer, amount_fen, terminal_id, version, now_unix_ms))

    def _keep_tries(self, terminal_id: bytes) -> None:
        """Write the PSAM's tries down again before the ring comes round; a journal that fails is met soon."""
        journal, wrong = self.log.journal, self.tally.wrong_macs(terminal_id)
        due = bool(self._tries_seq) and (journal.last_seq - self._tries_seq) * TRIES_AGAIN > journal.capacity
        if due and wrong and not self.journal_full:
            with suppress(JournalUnwritable):
                self._append(Tries(wrong, terminal_id, self.clock.unix_ms()))

    def _append(self, record: Record) -> None:
        seq = self.log.journal.append(encode(record))
        self.tally.record(record)
        if isinstance(record, Tries):
            self._tries_seq = seq

    def _recall(self) -> None:
        """Take from the journal what a till must not forget when its power is cut."""
        uploaded_through = self.log.journal.durable_through
        open_fen: dict[int, int] = {}
        for entry in self.log.journal.entries():
            if entry.body is None:
                continue
            try:
                movement, record = movement_of(entry.body), decode(entry.body)
            except Unreadable:
                continue  # the log of movements says which, for an alarm
            if record is not None:
                self.tally.record(record)
                if isinstance(record, Tries):
                    self._tries_seq = entry.seq
            if movement is None:
                continue
            recorded = Recorded(entry.seq, movement)
            self.tally.movement(recorded)
            if movement.reason is Reason.MAC_WRONG:
                self._tries_seq = self._tries_seq or entry.seq
            if not movement.online and recorded.opened_seq > uploaded_through:
                void = movement.state is State.VOID
                open_fen[recorded.opened_seq] = 0 if void else movement.amount_fen
        self._sold_offline_fen = sum(open_fen.values())
