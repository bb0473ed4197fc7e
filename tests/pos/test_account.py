"""Pay codes: asked of the gateway, and paid by a record that is durable before anything is shown."""

from collections.abc import Callable

import pytest

from campus_node.terminal.pos.journal_records import AccountPayment, PaymentState, decode, hash_of
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.view import Mood
from campus_node.terminal.questions import Question, Questions
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Overloaded
from hil_rig.torn_storage import Cut
from hil_rig.virtual.memory import PowerLost
from tests.pos.rig import Rig, said

CODE = b"a code of sixty seconds"


class Gateway:
    """The terminal's own questions (the part of the uplink that keeps them), answered by the test."""

    def __init__(self) -> None:
        self.connected = True
        self.full = False
        self.questions = Questions(bytes)
        self.asked: list[wire.AuthorizationAsked] = []

    def ask(self, asked: wire.AuthorizationAsked, now_s: float) -> Question:
        if self.full:
            raise Overloaded(retry_after_ms=1000)
        self.asked.append(asked)
        return self.questions.ask(asked, len(self.asked), now_s)

    def answer(self, **fields: object) -> None:
        named = wire.AuthorizationAnswered(transfer_id=self.asked[-1].transfer_id, **fields)  # type: ignore[arg-type]
        assert self.questions.take(len(self.asked), named)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def asking(gateway: Gateway, *texts: str, amount: str = "12") -> Rig:
    rig = Rig(None, *texts, online=gateway)
    rig.type(amount)
    rig.pos.code(CODE, rig.now_s)
    return rig


def payments(rig: Rig) -> list[AccountPayment]:
    found = [decode(entry.body) for entry in rig.journal.entries() if entry.body]
    return [record for record in found if isinstance(record, AccountPayment)]


def test_a_code_pays_when_the_account_says_so(gateway: Gateway) -> None:
    rig = asking(gateway)
    assert said(rig.view) == "working | one moment: the account is asked | 12.00"
    (asked,) = gateway.asked
    assert (asked.amount_fen, asked.pay_code, asked.asn, asked.valid_for_ms) == (1200, CODE, b"", 3000)
    assert rig.touch().mood is Mood.WORKING, "one after the other"
    gateway.answer(amount_fen=1200, available_fen=8800)
    assert said(rig.wait(1)) == "accepted | paid | 12.00 | left 88.00"
    first, last = payments(rig)
    assert (first.state, last.state) == (PaymentState.ASKED, PaymentState.APPROVED)
    assert first.transfer_id == last.transfer_id == asked.transfer_id
    assert last.code_hash == hash_of(CODE)
    assert CODE not in rig.storage.after_the_cut()
    assert said(rig.wait(3)) == "idle | canteen"


@pytest.mark.parametrize(
    ("answer", "state", "headline"),
    [
        ({"refusal": 19}, PaymentState.REFUSED, "there is not enough money in this account"),
        ({"refusal": 2}, PaymentState.REFUSED, "the account does not pay (2)"),
        ({"amount_fen": 1100}, PaymentState.GIVEN_UP, "no answer: nothing is paid"),
    ],
)
def test_anything_but_the_whole_amount_is_not_paid(
    gateway: Gateway, answer: dict[str, int], state: PaymentState, headline: str
) -> None:
    rig = asking(gateway)
    gateway.answer(**answer)
    view = rig.wait(0)
    assert (view.mood, str(view.headline)) == (Mood.REFUSED, headline)
    assert payments(rig)[-1].state is state


def test_without_an_answer_in_time_nothing_is_paid_also_if_it_comes_later(gateway: Gateway) -> None:
    rig = asking(gateway)
    assert rig.pos.due_s == rig.now_s + 3
    rig.time.advance(3000)
    gateway.questions.lapse(rig.now_s)
    assert said(rig.wait(0)) == "refused | no answer: nothing is paid | 12.00"
    assert [payment.state for payment in payments(rig)] == [PaymentState.ASKED, PaymentState.GIVEN_UP]
    late = wire.AuthorizationAnswered(transfer_id=gateway.asked[0].transfer_id, amount_fen=1200)
    assert not gateway.questions.take(1, late)


def cut_off(gateway: Gateway) -> None:
    gateway.connected = False


def busy(gateway: Gateway) -> None:
    gateway.full = True


@pytest.mark.parametrize(
    ("amount", "texts", "happens", "headline"),
    [
        ("12", (), cut_off, "offline: pay codes are not taken now"),
        ("12", (), busy, "offline: pay codes are not taken now"),
        ("12", ("payment_max_fen=1000",), None, "the amount is over the limit of one payment"),
        ("1200", (), None, "this amount is too large to be true"),
    ],
)
def test_what_is_not_even_asked(
    gateway: Gateway,
    amount: str,
    texts: tuple[str, ...],
    happens: Callable[[Gateway], None] | None,
    headline: str,
) -> None:
    if happens is not None:
        happens(gateway)
    rig = asking(gateway, *texts, amount=amount)
    assert (rig.view.mood, str(rig.view.headline)) == (Mood.REFUSED, headline)
    assert not rig.pos.counter.tally.open_payments


def pay_by_code(rig: Rig, gateway: Gateway) -> None:
    rig.pos.code(CODE, rig.now_s)
    gateway.answer(amount_fen=1200)
    rig.wait(0)


def test_a_power_cut_at_any_byte_leaves_it_paid_or_not_and_says_which() -> None:
    approved = 0
    for write in (1, 2):
        for byte in range(0, 513, 32):
            gateway = Gateway()
            rig = Rig(None, online=gateway)
            rig.type("12")
            rig.storage.plan(Cut(rig.storage.writes + write, 0, byte))
            with pytest.raises(PowerLost):
                pay_by_code(rig, gateway)
            rig.restart()
            rig.wait(1)
            assert rig.pos.stage is Stage.READY
            states = [payment.state for payment in payments(rig)]
            assert states in (
                [],
                [PaymentState.ASKED, PaymentState.GIVEN_UP],
                [PaymentState.ASKED, PaymentState.APPROVED],
            )
            approved += states[-1:] == [PaymentState.APPROVED]
    assert approved >= 1


def test_the_offline_mark_is_on_every_screen(gateway: Gateway) -> None:
    rig = asking(gateway)
    assert str(rig.view.mark) == "online"
    gateway.connected = False
    assert str(rig.view.mark) == "OFFLINE"
    assert str(rig.wait(1).mark) == "OFFLINE"
