"""The till itself: keys, cards and time go in, a view comes out (B1.1, B2.1).

No thread, no sleep, no I/O of its own but card and PSAM channels and the journal. The states are in
docs/pos.md.
"""

from dataclasses import replace
from typing import Final

from campus_node.purse.channel import CardChannel
from campus_node.purse.issuer import LoadAuthority
from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.outcome import Outcome
from campus_node.purse.sam_session import SamSession
from campus_node.spending.refusals import Question
from campus_node.spending.sessions import Next
from campus_node.terminal.pos import attempt, screens
from campus_node.terminal.pos.account import AccountDesk, Payment
from campus_node.terminal.pos.asking import ASKED_S_MAX, Asking
from campus_node.terminal.pos.counter import Counter
from campus_node.terminal.pos.doubt import DOUBT_S, Doubt, Settled, goes_on, settle_all
from campus_node.terminal.pos.due import NO_ANSWERS, Answers, Due, Entered
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.loading import load_card
from campus_node.terminal.pos.online import CutOff, Online
from campus_node.terminal.pos.reading import Seen
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.running import Running
from campus_node.terminal.pos.settings import Consent, Key, Mode, TillSettings
from campus_node.terminal.pos.stage import EDGES, Stage
from campus_node.terminal.pos.stops import view_of
from campus_node.terminal.pos.view import View
from campus_node.terminal.pos.wall_clock import WallClock
from campus_node.terminal.pos.wish import Wish

NEVER_S: Final = float("inf")


class Till:
    """One till. Not for several threads.

    Args:
        settings: what it is set up as.
        rules: parameters; whoever receives a version puts it there.
        hotlists: likewise.
        sam: the terminal's PSAM.
        log: on the terminal's journal; made with this clock.
        clock: the terminal's.
        online: the gateway; None = there is none.
        authority: the issuer of loads, for a load machine; None = loads are not to be had now.
    """

    def __init__(
        self,
        settings: TillSettings,
        rules: Rules,
        hotlists: Hotlists,
        *,
        sam: SamSession,
        log: MovementLog,
        clock: WallClock,
        online: Online | None = None,
        authority: LoadAuthority | None = None,
    ) -> None:
        self.settings = settings
        way = online or CutOff()
        self.counter = Counter(settings, rules, hotlists, sam=sam, log=log, clock=clock, online=way)
        self.authority = authority
        self._desk = AccountDesk(self.counter)
        self._wish = Wish(settings, settings.stop)
        self._stage, self._until_s = Stage.READY, NEVER_S
        self._channel: CardChannel | None = None
        self._asking: Asking | None = None  # while ASKING; in READY: answered, its card is awaited
        self._doubt: Doubt | None = None
        self._running: Running | None = None
        self._payment: Payment | None = None
        self._view = self._ready_view()

    @property
    def view(self) -> View:
        """What is on the screen."""
        return replace(self._view, online=self.counter.online.connected)

    @property
    def stage(self) -> Stage:
        """Where the till is."""
        return self._stage

    @property
    def failed(self) -> bool:
        """Whether the journal failed: open it again and make another till on it."""
        return self._stage is Stage.STOPPED

    @property
    def paid_units(self) -> int:
        """How many units of its meter the session has paid for: the valve closes there; 0 = no session."""
        return self._running.paid_units(self.counter.values) if self._running else 0

    @property
    def due_s(self) -> float:
        """When `step` is to be called again, at the latest; monotonic seconds."""
        return self._until_s

    def at_stop(self, stop: int) -> None:
        """Note at which stop the vehicle is, from 0."""
        self._wish = replace(self._wish, stop=stop)

    def press(self, key: Key, now_s: float) -> View:
        """Take a key. Args: now_s: monotonic seconds."""
        match self._stage:
            case Stage.ASKING:
                self._answer(key, now_s)
            case Stage.DOUBT if key is Key.CANCEL:
                self._give_up(now_s)
            case Stage.SESSION if key is Key.CANCEL:
                self._end_session(now_s)
            case Stage.READY | Stage.SHOWN:
                self._asking = None
                self._wish = self._wish.after(key)
                self._ready()
        return self.view

    def card(self, channel: CardChannel, now_s: float) -> View:
        """Take a card that was laid on the reader; a whole sale may happen before this returns.

        The channel is used until `card_gone`; closing it is the caller's.
        """
        self._channel = channel
        if self._stage in {Stage.STOPPED, Stage.WAITING}:
            return self.view
        seen = attempt.see(self.counter, channel)
        if not isinstance(seen, Seen):
            self._stopped(seen, now_s)
        elif self._doubt is not None and seen.asn != self._doubt.asn:
            self._show(Stage.DOUBT, screens.other_card(self._doubt.due.amount_fen), self._doubt.until_s)
        elif self._running is None or self._running.asn != seen.asn:
            self._running = None
            self._take(channel, seen, now_s)
        return self.view

    def card_gone(self, now_s: float) -> View:
        """Note that nothing lies on the reader any more."""
        self._channel = None
        if self._stage is Stage.SESSION:
            self._end_session(now_s)
        return self.step(now_s)

    def code(self, scanned: bytes, now_s: float) -> View:
        """Take a pay code that was scanned, or typed in: 1 to 64 bytes. Then `step` until it is answered."""
        wanted = self._wish.wanted()
        if self._stage not in {Stage.READY, Stage.SHOWN} or wanted is None or not scanned:
            return self.view
        payment = self._desk.begin(scanned, wanted, now_s)
        if isinstance(payment, Payment):
            self._payment = payment
            view = screens.waiting(payment.asked.amount_fen)
            self._show(Stage.WAITING, view, payment.question.until_s)
        else:
            self._stopped(payment, now_s)
        return self.view

    def metered(self, units: int, now_s: float) -> View:
        """Note how many units the meter of a session has counted in all since the card was laid."""
        if self._running is not None:
            self._running = self._running.metered(units, now_s)
            self._until_s = self._running.idle_at(self.counter.values)
            self._go_on(now_s)
        return self.view

    def step(self, now_s: float) -> View:
        """Let time pass: outcomes leave the screen, waiting ends, a session goes on."""
        match self._stage:
            case Stage.DOUBT if now_s >= self._until_s:
                self._give_up(now_s)
            case Stage.ASKING | Stage.SHOWN | Stage.READY if now_s >= self._until_s:
                self._asking = None
                self._ready()
            case Stage.SESSION:
                self._go_on(now_s)
            case Stage.WAITING if self._payment is not None and self._payment.question.over:
                self._answered(self._payment, now_s)
            case Stage.READY:
                self._tidy(now_s)
        return self.view

    # A card.

    def _take(self, channel: CardChannel, seen: Seen, now_s: float) -> None:
        """Take a card that may be served: what is open first, then what is wanted."""
        loads = self.settings.mode is Mode.LOAD
        answers = self._answers_for(seen)
        open_there = any(recorded.movement.online for recorded in self.counter.log.awaiting(seen.asn))
        if loads and answers.pin is None and (self._wish.amount_fen or open_there):
            due = Due.plain(self._wish.typed.amount_fen)
            self._ask(attempt.Open(seen, due, (Question.CONFIRM,)), answers, now_s)
            return
        settled = settle_all(
            self.counter, channel, seen.asn, self._doubt, self.authority if loads else None, answers.pin
        )
        if settled is not None and not self._go_on_after(settled, now_s):
            return
        self._doubt = None
        wanted = self._wish.wanted()
        if wanted is None and self.settings.mode is not Mode.SESSION:
            held_fen = attempt.balance_of(self.counter, channel)
            self._shown(view_of(held_fen, None, self.settings.mode), now_s)
        elif loads:
            self._load(channel, seen, answers, now_s)
        else:
            self._sell(channel, seen, answers, now_s)

    def _go_on_after(self, settled: Settled, now_s: float) -> bool:
        """Show what became of what was open; return whether the card may be sold to now."""
        outcome, doubt = settled.outcome, self._doubt
        if not isinstance(outcome, Outcome):
            self._stopped(outcome, now_s, doubtful=True)
            return False
        self._doubt = None
        in_time = settled.awaited and doubt is not None and not doubt.late
        if outcome.state is State.VOID and not outcome.movement.online:
            return True
        if outcome.state is State.GREY and outcome.reason is Reason.TORN:
            self._await(goes_on(settled, outcome, doubt, now_s))
        elif in_time or outcome.state is State.VOID:
            self._ended(outcome, settled.due, NO_ANSWERS, now_s)
        else:
            self._finish(screens.settled_late(outcome), now_s, lasting=True)
        return False

    def _sell(self, channel: CardChannel, seen: Seen, answers: Answers, now_s: float) -> None:
        running = self._running or Running.begun(seen, self.settings, self.counter.moment, now_s)
        wanted = self._wish.wanted(running.session)
        assert wanted is not None, "something is wanted"
        result = attempt.sell(self.counter, channel, seen, wanted, answers)
        steps = self.settings.mode is Mode.SESSION
        match result:
            case attempt.Ended(outcome) if steps and self.counter.is_trusted(outcome):
                self._running = running.debited(result.due.amount_fen)
                view = screens.running(self._running.session.paid_fen, outcome.balance_fen)
                self._show(Stage.SESSION, view, self._running.idle_at(self.counter.values))
                return
            case attempt.Ended(outcome, due):
                self._running = None
                self._ended(outcome, due, answers, now_s)
            case attempt.Open():
                self._ask(result, answers, now_s)
            case Entered():
                self._finish(screens.entered_already(), now_s)
            case _:
                self._stopped(result, now_s)
        self._running = None

    def _load(self, channel: CardChannel, seen: Seen, answers: Answers, now_s: float) -> None:
        amount_fen = self._wish.typed.amount_fen
        due = Due.plain(amount_fen)
        outcome = load_card(self.counter, self.authority, channel, seen, amount_fen, answers.pin)
        if isinstance(outcome, attempt.WrongPin):
            self._ask(attempt.Open(seen, due, (Question.CONFIRM,), outcome.tries_left), NO_ANSWERS, now_s)
        elif isinstance(outcome, Outcome):
            self._ended(outcome, due, answers, now_s)
        else:
            self._stopped(outcome, now_s)

    def _ended(self, outcome: Outcome, due: Due, answers: Answers, now_s: float) -> None:
        """Show what became of a sale or load; while nobody knows, await the same card."""
        if outcome.state is State.GREY and outcome.reason is Reason.TORN:
            self._await(Doubt(outcome.recorded, due, answers, now_s + DOUBT_S))
        elif outcome.movement.online:
            self._finish(screens.loaded(outcome), now_s, lasting=outcome.state is State.GREY)
        else:
            view = screens.outcome_of(outcome, due, trusted=self.counter.is_trusted(outcome))
            if outcome.state is State.VOID:
                self._shown(view, now_s)  # another card may pay what was typed
            else:
                self._finish(view, now_s, lasting=outcome.state is State.GREY)

    def _await(self, doubt: Doubt) -> None:
        self._doubt = doubt
        self._show(Stage.DOUBT, screens.doubtful(Reason.TORN, doubt.due.amount_fen), doubt.until_s)

    def _give_up(self, now_s: float) -> None:
        """The same card did not come back: write it down, serve others."""
        doubt, self._doubt = self._doubt, None
        assert doubt is not None, "somebody is awaited"
        ended = attempt.guarded(self.counter, lambda: self.counter.give_up(doubt.recorded))
        if isinstance(ended, Outcome):
            view = screens.doubtful(Reason.TORN, doubt.due.amount_fen, written=True)
            self._finish(view, now_s, lasting=True)
        else:
            self._stopped(ended, now_s, doubtful=True)

    # Questions.

    def _ask(self, found: attempt.Open, answers: Answers, now_s: float) -> None:
        consent = Consent.PIN if self.settings.mode is Mode.LOAD else self.settings.consent
        until_s = now_s + ASKED_S_MAX
        questions, left = tuple(found.questions), found.tries_left
        self._asking = Asking(
            found.seen.asn, found.due, questions, answers, consent, until_s, tries_left=left
        )
        self._show(Stage.ASKING, self._asking.view(), self._asking.until_s)

    def _answer(self, key: Key, now_s: float) -> None:
        assert self._asking is not None, "a question is open"
        if key is Key.CANCEL:
            self._asking = None
            self._ready()
            return
        self._asking = self._asking.after(key)
        if self._asking.questions:
            self._show(Stage.ASKING, self._asking.view(), self._asking.until_s)
            return
        self._show(Stage.READY, self._asking.view(), self._asking.until_s)
        if self._channel is not None:
            self.card(self._channel, now_s)

    def _answers_for(self, seen: Seen) -> Answers:
        """Return what was answered about this card, once; another card is asked anew."""
        asking, self._asking = self._asking, None
        if asking is not None and asking.asn == seen.asn:
            return asking.answers
        return self._doubt.answers if self._doubt is not None else NO_ANSWERS

    # The screen, and time.

    def _go_on(self, now_s: float) -> None:
        """Go on with a session: the next step is paid before more is given."""
        running, channel = self._running, self._channel
        if running is None:
            return
        following = running.next(now_s, self.counter.values)
        if following is Next.END or channel is None:
            self._end_session(now_s)
        elif following is Next.DEBIT:
            seen = attempt.see(self.counter, channel)
            if isinstance(seen, Seen) and seen.asn == running.asn:
                self._sell(channel, seen, NO_ANSWERS, now_s)
                return
            self._end_session(now_s)
            if not isinstance(seen, Seen):
                self._stopped(seen, now_s)

    def _end_session(self, now_s: float) -> None:
        running, self._running = self._running, None
        if running is not None:
            self._finish(screens.session_ended(running.session.paid_fen), now_s)

    def _answered(self, payment: Payment, now_s: float) -> None:
        self._payment = None
        ended = self._desk.end(payment)
        if isinstance(ended, View):
            self._finish(ended, now_s)
        else:
            self._stopped(ended, now_s, doubtful=True)

    def _tidy(self, now_s: float) -> None:
        """In a quiet moment: end what a power cut left, and show whether cards may pay."""
        if self.counter.tally.open_payments and not self.counter.journal_full:
            why = self._desk.tidy()
            if why is not None:
                self._stopped(why, now_s)
        elif self._asking is None:
            view = self._ready_view()
            if replace(view, sound=self._view.sound) != self._view:
                self._view = view

    def _ready_view(self) -> View:
        refusal = self.counter.stopped
        return screens.refused(refusal) if refusal is not None else self._wish.view()

    def _stopped(self, why: attempt.Stopped, now_s: float, *, doubtful: bool = False) -> None:
        """Nothing was sold: say why. While a card is awaited it is awaited on."""
        if isinstance(why, attempt.Broken):
            self._show(Stage.STOPPED, screens.failed(doubtful=doubtful or why.doubtful), NEVER_S)
        elif self._doubt is not None:
            self._await(self._doubt)
        else:
            self._shown(view_of(why, self._wish.amount_fen), now_s)

    def _ready(self) -> None:
        if self._doubt is not None:
            self._await(self._doubt)
        else:
            self._show(Stage.READY, self._ready_view(), NEVER_S)

    def _finish(self, view: View, now_s: float, *, lasting: bool = False) -> None:
        """Show how something ended; what was typed for it is done with."""
        self._wish, self._asking = self._wish.cleared(), None
        self._shown(view, now_s, lasting=lasting)

    def _shown(self, view: View, now_s: float, *, lasting: bool = False) -> None:
        """Show an outcome; a lasting one stays until a key is pressed or a card comes."""
        self._show(Stage.SHOWN, view, NEVER_S if lasting else now_s + self.settings.shown_s)

    def _show(self, stage: Stage, view: View, until_s: float) -> None:
        assert stage in EDGES[self._stage], f"{self._stage.name}, then {stage.name}"
        self._stage, self._view, self._until_s = stage, view, until_s
