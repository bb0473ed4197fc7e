"""Any program of taps, tears, kills and waits against a model: each amount is paid once or not at all."""

from contextlib import suppress

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from campus_node.purse.commands import Purse
from campus_node.purse.journal_entries import State
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.view import Mood, View
from hil_rig.torn_storage import Cut
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.memory import PowerLost
from hil_rig.virtual.purse_file import Purse as PurseFile
from tests.pos.rig import Rig
from tests.purse.flows.hooks import Died

FULL_FEN = 90_000
CARDS = st.sampled_from(["li", "wang"])
AMOUNTS = st.sampled_from([150, 300, 1999])
GENEROUS = (
    "day_max_fen=10000000",
    "month_max_fen=10000000",
    "offline_card_max_fen=10000000",
    "confirm_day_above_fen=10000000",
)


def held_fen(card: VirtualCard) -> int:
    (content,) = [at for slot, at in card.memory.slots.items() if slot.endswith(f"/p/{int(Purse.EP)}")]
    return PurseFile.unpacked(content).balance_fen


class TillMachine(RuleBasedStateMachine):
    """The till with two cards. The model: what is typed is paid by one card, once, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(None, *GENEROUS, capacity=96)
        for name, number in (("li", 601), ("wang", 602)):
            self.rig.another(name, number, ep_fen=FULL_FEN)
        self.rig.card_reader.remove()
        self.asn = {name: card.memory for name, card in self.rig.cards.items()}
        self.amount_fen = 0  # typed and not yet ended; 0 = none
        self.before_fen = self.gone_fen()

    def gone_fen(self) -> int:
        return sum(FULL_FEN - held_fen(card) for card in self.rig.cards.values())

    @rule(amount_fen=AMOUNTS)
    def types(self, amount_fen: int) -> None:
        if self.rig.pos.stage not in {Stage.READY, Stage.SHOWN}:
            return
        self.rig.do("cancel")
        self.rig.type(f"{amount_fen // 100}.{amount_fen % 100:02d}")
        self.amount_fen, self.before_fen = amount_fen, self.gone_fen()

    @rule(name=CARDS)
    def touches(self, name: str) -> None:
        self.judge(self.rig.touch(name))

    @rule(
        name=CARDS,
        nth=st.integers(1, 12),
        how=st.sampled_from(["tear_before_command", "tear_after_command"]),
    )
    def tears(self, name: str, nth: int, how: str) -> None:
        self.rig.take_away()
        getattr(self.rig.card_reader, how)(nth)
        self.judge(self.rig.touch(name))
        self.rig.card_reader.tears.forget()

    @rule(name=CARDS, nth=st.integers(1, 12), sent_bytes=st.integers(0, 12))
    def tears_within(self, name: str, nth: int, sent_bytes: int) -> None:
        self.rig.take_away()
        self.rig.card_reader.tear_in_answer(sent_bytes, nth)
        self.judge(self.rig.touch(name))
        self.rig.card_reader.tears.forget()

    @rule(name=CARDS, nth=st.integers(1, 4))
    def pulls_the_psam(self, name: str, nth: int) -> None:
        self.rig.sam_reader.tear_before_command(nth)
        self.judge(self.rig.touch(name))
        self.rig.sam_reader.tears.forget()
        self.rig.sam_place.lay(self.rig.psam)

    @rule(name=CARDS, nth=st.integers(1, 8), after=st.booleans())
    def dies(self, name: str, nth: int, after: bool) -> None:
        self.rig.card_hook.plan(nth, Died, after=after)
        self.until_dark(name)
        self.rig.card_hook.error = None

    @rule(name=CARDS, write=st.integers(1, 2), last=st.integers(0, 512))
    def loses_power_while_it_writes(self, name: str, write: int, last: int) -> None:
        self.rig.storage.plan(Cut(self.rig.storage.writes + write, 0, last))
        self.until_dark(name)

    def until_dark(self, name: str) -> None:
        with suppress(Died, PowerLost):
            self.judge(self.rig.touch(name))
        self.rig.restart()
        self.rig.take_away()
        self.amount_fen, self.before_fen = 0, self.gone_fen()

    @rule(key=st.sampled_from(["ok", "cancel"]))
    def presses(self, key: str) -> None:
        stage = self.rig.pos.stage
        self.judge(self.rig.do(key))
        if key == "cancel" and stage in {Stage.READY, Stage.SHOWN, Stage.DOUBT}:
            self.amount_fen, self.before_fen = 0, self.gone_fen()

    @rule(seconds=st.sampled_from([1, 3, 10, 60]))
    def waits(self, seconds: int) -> None:
        was_in_doubt = self.rig.pos.stage is Stage.DOUBT
        self.rig.wait(seconds)
        if was_in_doubt and self.rig.pos.stage is not Stage.DOUBT:
            self.amount_fen, self.before_fen = 0, self.gone_fen()

    @precondition(lambda self: self.rig.journal.free < 40)
    @rule()
    def is_backed_up(self) -> None:
        self.rig.journal.acknowledge(self.rig.journal.last_seq, self.rig.journal.last_seq)

    def judge(self, view: View) -> None:
        """Compare what the screen says with what the cards hold."""
        paid_fen = self.gone_fen() - self.before_fen
        assert paid_fen in {0, self.amount_fen}, f"{paid_fen} of {self.amount_fen}"
        match view.mood:
            case Mood.ACCEPTED if self.amount_fen:
                assert paid_fen == self.amount_fen, view
                self.amount_fen, self.before_fen = 0, self.gone_fen()
            case Mood.REFUSED | Mood.BLOCKED | Mood.ASKING:
                assert paid_fen == 0, view
            case Mood.IDLE if str(view.headline).startswith("an earlier payment"):
                self.amount_fen, self.before_fen = 0, self.gone_fen()

    @invariant()
    def unknown_is_said_where_it_is_unknown(self) -> None:
        in_doubt = self.rig.pos.stage is Stage.DOUBT
        assert (self.rig.view.mood is Mood.UNKNOWN) >= in_doubt
        assert bool(self.rig.log.unsettled()) >= in_doubt
        if self.rig.view.mood is Mood.ACCEPTED:
            assert not in_doubt

    @invariant()
    def the_journal_knows_what_left_the_cards(self) -> None:
        known = self.rig.movements()
        done_fen = sum(each.movement.amount_fen for each in known if each.movement.state is State.DONE)
        open_fen = sum(each.movement.amount_fen for each in self.rig.log.unsettled())
        if self.rig.journal.last_seq <= self.rig.capacity:
            assert done_fen <= self.gone_fen() <= done_fen + open_fen

    def teardown(self) -> None:
        """Both cards come once more: nothing is open any more, and the books are the cards'."""
        self.rig.journal.acknowledge(self.rig.journal.last_seq, self.rig.journal.last_seq)
        self.rig.wait(10)
        self.rig.do("cancel")
        self.rig.do("cancel")
        for _ in range(3):
            for name in self.rig.cards:
                self.rig.touch(name)
                self.rig.wait(10)
        assert not [each for each in self.rig.log.unsettled() if each.movement.awaits_card]
        self.the_journal_knows_what_left_the_cards()
        for recorded in self.rig.movements():
            assert recorded.movement.state in {State.DONE, State.VOID, State.GREY}
        self.rig.close()


TestTill = TillMachine.TestCase
TestTill.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
