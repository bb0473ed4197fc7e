"""Payments from accounts end in the books as their tills wrote; the rest is noted (B1.1, B1.2, A15)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from campus_node.ledger.chart import AccountClass, account_number
from campus_node.ledger.chart import Kind as TransferKind
from campus_node.ledger.store import AccountOpening
from campus_node.records.spooled import Outcome
from campus_node.terminal.pos.journal_records import AccountPayment, Hit, PaymentState, Record, Tries, encode
from federation.clock import VirtualClock
from federation.transfer import CURRENCY_CNY, Origin, Request, Verb
from hil_rig.sales import ISSUER, JournalRecord, card_number
from tests.records.build import FOURTEEN, SEVEN
from tests.records.counter import CANTEEN, RISK, Canteen

LI = account_number(AccountClass.ONLINE, 1)
ASKED = b"t" * 16
JOURNAL = b"7" * 16


@pytest.fixture
def canteen(db: Engine, url: str, clock: VirtualClock, tmp_path: Path) -> Iterator[Canteen]:
    made = Canteen(db, url, clock, tmp_path)
    made.books.open([AccountOpening(LI, "li", 0)])
    one = made.books.number_of("node/1")
    assert made.books.post([_request(one, b"f" * 16, Verb.POST, RISK, LI, 5_000)])[0].refusal == 0
    yield made
    made.close()


def _request(originator: int, name: bytes, verb: Verb, debit: int, credit: int, fen: int) -> Request:
    kind = TransferKind.PURCHASE if verb is Verb.RESERVE else TransferKind.ADJUSTMENT
    valid_for_ms = 3_600_000 if verb is Verb.RESERVE else 0
    return Request(
        originator, name, verb, False, kind, debit, credit, fen, CURRENCY_CNY, 0, b"", 0, valid_for_ms,
        Origin.ONLINE, 0,
    )  # fmt: skip


def reserve(canteen: Canteen, fen: int) -> None:
    """The node set it aside when the till asked."""
    till = canteen.books.number_of("terminal/till-7")
    (answer,) = canteen.books.post([_request(till, ASKED, Verb.RESERVE, LI, CANTEEN, fen)])
    assert answer.refusal == 0


def payment(state: PaymentState, fen: int = 700, terminal_id: bytes = SEVEN.terminal_id) -> AccountPayment:
    return AccountPayment(state, 0, 0, ASKED, fen, terminal_id, 1_788_220_800_000, b"h" * 16)


def bring(canteen: Canteen, *records: Record, terminal_id: bytes = SEVEN.terminal_id, seq: int = 1) -> None:
    journal = [JournalRecord(JOURNAL, seq + at, encode(each)) for at, each in enumerate(records)]
    canteen.deliver(journal, terminal_id)
    canteen.work()


def test_an_approved_payment_takes_what_was_set_aside_once(canteen: Canteen) -> None:
    reserve(canteen, 700)
    bring(canteen, payment(PaymentState.ASKED), payment(PaymentState.APPROVED))
    assert canteen.earned_fen == 700
    assert canteen.outcomes() == {(Outcome.ACCEPTED, "step"): 1, (Outcome.ACCEPTED, None): 1}
    bring(canteen, payment(PaymentState.APPROVED), seq=9)
    assert canteen.earned_fen == 700
    assert canteen.balance(LI) == 4_300
    assert canteen.alarms() == {}


def test_an_approved_payment_that_comes_after_its_time_is_taken_all_the_same(
    canteen: Canteen, clock: VirtualClock
) -> None:
    reserve(canteen, 700)
    clock.advance(5 * 24 * 3_600_000)
    bring(canteen, payment(PaymentState.APPROVED))
    assert canteen.earned_fen == 700


def test_a_payment_that_was_given_up_gives_back_what_was_set_aside(canteen: Canteen) -> None:
    reserve(canteen, 5_000)
    bring(canteen, payment(PaymentState.GIVEN_UP, 5_000))
    assert canteen.outcomes() == {(Outcome.ACCEPTED, "void"): 1}
    found = canteen.engine.balance(LI)
    assert found is not None
    assert (found.available_fen, canteen.earned_fen) == (5_000, 0)


@pytest.mark.parametrize(("set_aside", "fen", "name"), [(0, 700, "UNKNOWN"), (700, 701, "EXCEEDS")])
def test_a_payment_for_which_nothing_or_less_was_set_aside_is_refused(
    canteen: Canteen, set_aside: int, fen: int, name: str
) -> None:
    if set_aside:
        reserve(canteen, set_aside)
    bring(canteen, payment(PaymentState.APPROVED, fen))
    assert canteen.outcomes() == {(Outcome.REFUSED, "payment_refused"): 1}, name
    assert canteen.alarms() == {"account.payment_refused": 1}
    assert canteen.earned_fen == 0


def test_another_tills_payment_is_kept_apart(canteen: Canteen) -> None:
    reserve(canteen, 700)
    bring(canteen, payment(PaymentState.APPROVED), terminal_id=FOURTEEN.terminal_id)
    assert canteen.outcomes() == {(Outcome.QUARANTINED, "unknown_terminal"): 1}
    assert canteen.earned_fen == 0


def test_a_listed_card_and_a_psams_tries_are_noted_with_an_alarm(canteen: Canteen) -> None:
    hit = Hit(1, card_number(1001), ISSUER, 700, SEVEN.terminal_id, 4, 1_788_220_800_000)
    bring(canteen, hit, Tries(7, SEVEN.terminal_id, 1_788_220_800_000))
    assert canteen.outcomes() == {(Outcome.ACCEPTED, "noted"): 2}
    assert canteen.alarms() == {"card.listed_presented": 1, "terminal.psam_tries": 1}


def test_what_cannot_be_read_of_these_kinds_is_kept_apart(canteen: Canteen) -> None:
    canteen.deliver([JournalRecord(JOURNAL, 1, b"\x03 cut")])
    canteen.work()
    assert canteen.outcomes() == {(Outcome.QUARANTINED, "unreadable"): 1}
