"""Killed between any two writes, the bookkeeper goes on as if nothing had been (B1.1, A15)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from campus_node.ledger.store import AccountOpening
from campus_node.purse.journal_entries import decode
from campus_node.records.assessment import identity_of
from campus_node.records.bookkeeper import Bookkeeper
from campus_node.records.posting import EngineBooks, openings_for, purchase_fact
from campus_node.records.spooled import Outcome
from federation.clock import VirtualClock
from federation.transfer import Answer, Request
from hil_rig.sales import card_number
from tests.records.counter import CANTEEN, NOON, Canteen, changed, ends


class PowerCut(BaseException):
    """The process dies here."""


class CutBooks:
    """The ledger, whose caller dies once: before its request was sent, or after it was posted."""

    def __init__(self, books: EngineBooks, *, posted: bool) -> None:
        self._books = books
        self._posted = posted

    def post(self, requests: Sequence[Request]) -> list[Answer]:
        if self._posted:
            self._books.post(requests)
        raise PowerCut

    def open(self, openings: Sequence[AccountOpening]) -> None:
        self._books.open(openings)

    def is_open(self, account: int) -> bool:
        return self._books.is_open(account)

    def number_of(self, originator: str) -> int:
        return self._books.number_of(originator)


@pytest.fixture
def canteen(db: Engine, url: str, clock: VirtualClock, tmp_path: Path) -> Iterator[Canteen]:
    made = Canteen(db, url, clock, tmp_path)
    for at in range(3):
        made.seven.sell(made.li, 100 + at, NOON)
        made.fourteen.sell(made.wang, 200 + at, NOON)
    copies = [each._replace(journal_id=b"C" * 16) for each in ends(made.seven.records())]
    wrong = [
        changed(each, lambda m: replace(m, amount_fen=1), journal_id=b"W" * 16)
        for each in ends(made.fourteen.records())[:1]
    ]
    made.bring()
    made.deliver(copies + wrong)
    yield made
    made.close()


@contextmanager
def cut_at(db: Engine, number: int) -> Iterator[list[int]]:
    """Die when the given statement is about to be sent, commits included."""
    seen = [0]

    def before(connection: Connection, *_: object) -> None:
        seen[0] += 1
        if seen[0] == number:
            connection.invalidate()  # its end of the connection is gone with the process
            raise PowerCut

    event.listen(db, "before_cursor_execute", before)
    event.listen(db, "commit", before)
    try:
        yield seen
    finally:
        event.remove(db, "before_cursor_execute", before)
        event.remove(db, "commit", before)


def require_all_booked_once(canteen: Canteen) -> None:
    assert canteen.movements() == canteen.postings() == 6
    assert canteen.earned_fen == 303 + 603
    assert canteen.spent_fen(1001) == 303
    assert Outcome.PENDING not in {outcome for outcome, _ in canteen.outcomes()}
    assert canteen.frozen == []
    canteen.require_balanced()


def one_by_one(bookkeeper: Bookkeeper) -> None:
    while bookkeeper.step().assessed:
        pass


def test_a_kill_at_any_statement_changes_nothing_in_the_end(canteen: Canteen) -> None:
    died = 0
    for number in range(1, 400):
        try:
            with cut_at(canteen.db, number) as seen:
                canteen.bookkeeper = canteen.new_bookkeeper(canteen.books)
                canteen.work()
        except PowerCut:
            died += 1
        else:
            assert seen[0] < number or not died, "all statements were sent"
            break
    assert died >= 8
    canteen.bookkeeper = canteen.new_bookkeeper(canteen.books)
    canteen.work()
    require_all_booked_once(canteen)


@pytest.mark.parametrize("posted", [False, True])
def test_a_kill_between_the_ledger_and_the_mark_is_the_same_transfer_afterwards(
    canteen: Canteen, posted: bool
) -> None:
    dying = canteen.new_bookkeeper(CutBooks(EngineBooks(canteen.engine), posted=posted), batch_max=5)
    for _ in range(3):
        with pytest.raises(PowerCut):
            one_by_one(dying)
        assert canteen.movements() == 0
    assert (canteen.postings() > 0) is posted
    canteen.work()
    require_all_booked_once(canteen)


def test_what_the_ledger_has_of_another_movement_under_this_identity_is_held(
    canteen: Canteen, clock: VirtualClock
) -> None:
    canteen.books.open(openings_for({card_number(1001)}, canteen.books))
    number = canteen.books.number_of("records")
    first = ends(canteen.seven.records())[0]
    movement = decode(first.body)
    assert movement is not None
    other = purchase_fact(number, identity_of(movement), CANTEEN, 9_999, clock.unix_ms(), 3)
    assert canteen.books.post([other])[0].refusal == 0
    canteen.work()
    assert canteen.outcomes()[Outcome.CONFLICT, "clone"] == 2  # the record, and its copy elsewhere
    assert canteen.earned_fen == 303 + 603 - 100 + 9_999
