"""What nobody can know two people decide; what a card holds follows from its records (rules 1, 9, 12, 17)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine

from campus_node.database.connect import reading
from campus_node.ledger.chart import Kind as TransferKind
from campus_node.operators.approvals import Approvals
from campus_node.operators.permissions import Role
from campus_node.operators.requests import ApprovalRequest, Kind
from campus_node.records import deciding, grey, projection
from campus_node.records.assessment import RecordKey
from campus_node.records.deciding import Payer
from campus_node.records.grey import GreyState
from campus_node.records.moments import TerminalTime
from campus_node.records.projection import CounterGap, Step, project
from campus_node.records.spooled import Outcome
from federation.clock import VirtualClock
from federation.errors import NotFound, Refused
from federation.transfer import CURRENCY_CNY, Origin, Request, Verb
from hil_rig.sales import card_number, make_card
from tests.records.counter import NOON, RISK, Canteen, ends
from tests.records.test_grey import tear
from tests.rooms.people import NORTH, actor, staff

TIME = TerminalTime("Asia/Shanghai")
EP = 2


@pytest.fixture
def canteen(db: Engine, url: str, clock: VirtualClock, tmp_path: Path) -> Iterator[Canteen]:
    staff(db, clock, li=(Role.FINANCE, NORTH), wang=(Role.FINANCE, NORTH))
    made = Canteen(db, url, clock, tmp_path)
    yield made
    made.close()


def post(canteen: Canteen, request: ApprovalRequest) -> Mapping[str, object]:
    """Post what was approved, as the node does for `campus approval approve`."""
    payload = request.payload
    transfer = Request(
        canteen.books.number_of("node/1"), request.transfer_id or b"", Verb.POST, False,
        TransferKind[str(payload["kind"])], int(str(payload["debit"])), int(str(payload["credit"])),
        int(str(payload["amount_fen"])), CURRENCY_CNY, 0, b"", 0, 0, Origin.ONLINE, 0,
    )  # fmt: skip
    (answer,) = canteen.books.post([transfer])
    assert answer.refusal == 0
    return {"seq": answer.seq}


def decide(canteen: Canteen, key: RecordKey, payer: Payer) -> None:
    """Li asks, Wang approves, the node posts."""
    approvals = Approvals(canteen.db, canteen.clock)
    with reading(canteen.db) as connection:
        payload = deciding.request_of(connection, key, payer, RISK)
        name = deciding.free_name(approvals, connection, key)
    asked = approvals.request(actor("li"), name, Kind.TRANSFER, NORTH, payload, "a decision")
    approvals.approve(actor("wang"), name, asked.payload_hash, "agreed")
    assert deciding.carry_through(canteen.db, canteen.clock, TIME) == 0, "nothing is posted yet"
    approvals.execute(actor("wang"), name, lambda begun: post(canteen, begun))


def grey_one(canteen: Canteen, clock: VirtualClock) -> RecordKey:
    tear(canteen.seven, canteen.li, 700, charged=True)
    canteen.bring()
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    with reading(canteen.db) as connection:
        (one,) = grey.listed(connection, 10)
    return one.record


def test_a_grey_sale_is_decided_in_the_holders_favour_at_the_risk_accounts_cost(
    canteen: Canteen, clock: VirtualClock
) -> None:
    key = grey_one(canteen, clock)
    decide(canteen, key, Payer.RISK)
    assert deciding.carry_through(canteen.db, clock, TIME) == 1
    assert deciding.carry_through(canteen.db, clock, TIME) == 0
    assert (canteen.earned_fen, canteen.balance(RISK), canteen.spent_fen(1001)) == (700, -700, 0)
    assert canteen.outcomes() == {(Outcome.ACCEPTED, "decided"): 1}
    with reading(canteen.db) as connection:
        assert [each.state for each in grey.listed(connection, 10, everything=True)] == [GreyState.DECIDED]


def test_evidence_after_the_decision_pays_nobody_twice(canteen: Canteen, clock: VirtualClock) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    begun, done = canteen.seven.records()
    canteen.deliver([begun])
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    decide(canteen, (begun.journal_id, begun.seq), Payer.RISK)
    deciding.carry_through(canteen.db, clock, TIME)
    canteen.deliver([done])
    assert canteen.work() == 0
    assert canteen.alarms() == {"purse.proven_after_decision": 1}
    assert canteen.earned_fen == 700


def test_a_large_sale_is_booked_from_the_purse_when_two_people_say_so(
    canteen: Canteen, clock: VirtualClock
) -> None:
    rich = make_card(1002, 900_000)
    canteen.seven.sell(rich, 5, NOON)
    canteen.seven.sell(rich, 150_000, NOON)
    canteen.bring()
    canteen.work()
    large = ends(canteen.seven.records())[1]
    key = large.journal_id, large.seq
    # The projection of the purse is below zero, so this request is no fact: it needs a load first.
    opened = canteen.books
    load = Request(
        opened.number_of("node/1"), b"L" * 16, Verb.POST, True, TransferKind.ADJUSTMENT, RISK,
        2_000 * 10**12 + 1002, 500_000, CURRENCY_CNY, 0, b"", 0, 0, Origin.ONLINE, 0,
    )  # fmt: skip
    assert opened.post([load])[0].refusal == 0
    decide(canteen, key, Payer.HOLDER)
    assert deciding.carry_through(canteen.db, clock, TIME) == 1
    assert canteen.earned_fen == 150_005
    assert canteen.movements() == 2
    canteen.deliver([large._replace(journal_id=b"C" * 16)])
    assert canteen.work() == 0
    assert canteen.outcomes()[Outcome.ACCEPTED, "repeated"] == 1


def test_what_is_decided_or_clear_cannot_be_decided(canteen: Canteen, clock: VirtualClock) -> None:
    key = grey_one(canteen, clock)
    canteen.fourteen.sell(canteen.wang, 90, NOON)
    canteen.bring()
    canteen.work()
    done = ends(canteen.fourteen.records())[0]
    with reading(canteen.db) as connection:
        with pytest.raises(Refused, match="in the holder's favour"):
            deciding.request_of(connection, key, Payer.HOLDER, RISK)
        with pytest.raises(Refused, match="not open"):
            deciding.request_of(connection, key, Payer.RISK, RISK + 1)
        with pytest.raises(Refused, match="nothing to decide"):
            deciding.request_of(connection, (done.journal_id, done.seq), Payer.RISK, RISK)
        with pytest.raises(NotFound):
            deciding.request_of(connection, (done.journal_id, 99), Payer.RISK, RISK)


def test_a_cards_counter_that_nobody_brought_is_listed_until_it_comes(canteen: Canteen) -> None:
    for fen in (100, 200, 400, 800):
        canteen.seven.sell(canteen.li, fen, NOON)
    records = canteen.seven.records()
    canteen.deliver([*records[:2], *records[6:]])
    canteen.work()
    asn = card_number(1001)
    with reading(canteen.db) as connection:
        (gap,) = projection.counter_gaps(connection, 10)
        found = projection.of_card(connection, asn, EP)
    assert found is not None
    first = found.first_counter
    assert gap == CounterGap(asn, EP, 0, first + 1, first + 2)
    assert found.missing == ((first + 1, first + 2),)
    canteen.deliver(records[2:6], recollected=True)
    canteen.work()
    with reading(canteen.db) as connection:
        assert projection.counter_gaps(connection, 10) == []
        found = projection.of_card(connection, asn, EP)
    assert found is not None
    assert found.projected_fen == found.last_fen == 50_000 - 1_500


def test_a_load_between_two_sales_raises_the_projection() -> None:
    steps = [Step(4, 100, 1_000, 900, 0), Step(5, 200, 5_900, 5_700, 0)]
    found = project(steps)
    assert found is not None
    assert (found.projected_fen, found.last_fen, found.missing) == (5_700, 5_700, ())
    assert project([]) is None
