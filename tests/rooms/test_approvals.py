"""Two people for one act: never one, never twice."""

import random
import threading
from collections import Counter
from collections.abc import Mapping

import pytest
from sqlalchemy import Engine, text

from campus_node.database.connect import writing
from campus_node.operators.approvals import Approvals
from campus_node.operators.audit import entries, verify
from campus_node.operators.permissions import Grant, Role
from campus_node.operators.requests import RULES, STEPS, ApprovalRequest, Kind, State, transfer_id_of
from campus_node.operators.roster import Roster
from federation.clock import VirtualClock
from federation.errors import JournalBroken, NotFound, NotPermitted, Refused, StoreDown, TransferRefused
from tests.rooms.people import CANTEENS, NORTH, ROOT, actor, staff

PAYLOAD: dict[str, object] = {"kind": 11, "debit": 9000, "credit": 1000, "amount_fen": 12_00}
LI, WANG, SUN = actor("li"), actor("wang"), actor("sun")


class Killed(BaseException):
    """Ends the process as kill -9 would: nothing catches it."""


class Ledger:
    """Posts each id once, and answers a repeat as it did the first time."""

    def __init__(self) -> None:
        self.calls = 0
        self.posted: Counter[bytes] = Counter()

    def post(self, approved: ApprovalRequest) -> Mapping[str, object]:
        assert approved.transfer_id is not None
        self.calls += 1
        if approved.transfer_id not in self.posted:
            self.posted[approved.transfer_id] += 1
        return {"amount_fen": approved.payload["amount_fen"]}


def office(db: Engine, clock: VirtualClock) -> Roster:
    """Li and Wang are finance of the campus, Sun is of the card office, Zhao finance of the canteens only."""
    return staff(
        db,
        clock,
        li=(Role.FINANCE, NORTH),
        wang=(Role.FINANCE, NORTH),
        sun=(Role.CARD_OFFICE, NORTH),
        zhao=(Role.FINANCE, CANTEENS),
    )


@pytest.fixture
def approvals(db: Engine, clock: VirtualClock) -> Approvals:
    office(db, clock)
    return Approvals(db, clock)


def asked(approvals: Approvals, request: str = "r1") -> ApprovalRequest:
    return approvals.request(LI, request, Kind.TRANSFER, NORTH, PAYLOAD, "cash drawer 4 was short")


def approved(approvals: Approvals, request: str = "r1") -> ApprovalRequest:
    return approvals.approve(WANG, request, asked(approvals, request).payload_hash, "counted again")


def test_every_state_has_its_steps_and_the_last_ones_none() -> None:
    assert set(STEPS) == set(State)
    assert {state for state, steps in STEPS.items() if not steps} == {
        State.REFUSED,
        State.EXPIRED,
        State.EXECUTED,
        State.FAILED,
    }
    assert set(RULES) == set(Kind)


def test_one_asks_another_agrees_and_it_is_done_under_the_id_that_follows_from_the_request(
    approvals: Approvals,
) -> None:
    ledger = Ledger()
    assert asked(approvals).state is State.REQUESTED
    assert approved(approvals).state is State.APPROVED
    done = approvals.execute(LI, "r1", ledger.post)
    assert (done.state, done.result) == (State.EXECUTED, {"amount_fen": 12_00})
    assert ledger.posted == {transfer_id_of("r1"): 1}
    assert (done.requested_by, done.decided_by, done.decision_note) == ("li", "wang", "counted again")


def test_nobody_decides_on_their_own_request(approvals: Approvals) -> None:
    request = asked(approvals)
    with pytest.raises(NotPermitted, match="another person must decide"):
        approvals.approve(LI, "r1", request.payload_hash, "")
    with pytest.raises(NotPermitted, match="another person must decide"):
        approvals.refuse(LI, "r1", "")
    assert approvals.get("r1") == request


def test_nobody_decides_without_the_permission_there(approvals: Approvals) -> None:
    request = asked(approvals)
    for operator in ("sun", "zhao", "root", "nobody"):
        with pytest.raises(NotPermitted):
            approvals.approve(actor(operator), "r1", request.payload_hash, "")
    assert approvals.get("r1") == request


def test_nobody_asks_without_the_permission_there(approvals: Approvals) -> None:
    with pytest.raises(NotPermitted):
        approvals.request(actor("zhao"), "r1", Kind.TRANSFER, NORTH, PAYLOAD, "why")
    with pytest.raises(NotPermitted):
        approvals.request(ROOT, "r1", Kind.TRANSFER, NORTH, PAYLOAD, "why")
    with pytest.raises(NotFound):
        approvals.get("r1")


def test_a_right_that_was_taken_away_meanwhile_decides_nothing(db: Engine, clock: VirtualClock) -> None:
    roster, approvals = office(db, clock), Approvals(db, clock)
    request = asked(approvals)
    roster.revoke(ROOT, "wang", Grant(Role.FINANCE, NORTH), "moved")
    with pytest.raises(NotPermitted):
        approvals.approve(WANG, "r1", request.payload_hash, "")


@pytest.mark.parametrize("state", ["requested", "refused"])
def test_what_is_not_approved_is_not_done(approvals: Approvals, state: str) -> None:
    ledger = Ledger()
    asked(approvals)
    if state == "refused":
        approvals.refuse(WANG, "r1", "no receipt")
    with pytest.raises(Refused, match=f"request r1 is {state}"):
        approvals.execute(LI, "r1", ledger.post)
    assert ledger.calls == 0


def test_a_decision_stands(approvals: Approvals) -> None:
    request = asked(approvals)
    refused = approvals.refuse(WANG, "r1", "no receipt")
    assert approvals.refuse(WANG, "r1", "asked twice") == refused
    with pytest.raises(Refused, match="is refused: it cannot become approved"):
        approvals.approve(WANG, "r1", request.payload_hash, "")


def test_what_was_shown_is_what_is_agreed_to(approvals: Approvals) -> None:
    asked(approvals)
    other = approvals.request(LI, "r2", Kind.TRANSFER, NORTH, PAYLOAD | {"amount_fen": 99_99}, "more")
    with pytest.raises(Refused, match="something else than was shown"):
        approvals.approve(WANG, "r1", other.payload_hash, "")


def test_a_request_repeated_is_one_and_its_id_names_no_other(approvals: Approvals, db: Engine) -> None:
    first = asked(approvals)
    trail = entries(db)
    assert asked(approvals) == first
    assert entries(db) == trail
    with pytest.raises(Refused, match="asks for something else"):
        approvals.request(LI, "r1", Kind.TRANSFER, NORTH, PAYLOAD | {"amount_fen": 1}, "why")
    with pytest.raises(Refused, match="asks for something else"):
        approvals.request(SUN, "r1", Kind.TRANSFER, NORTH, PAYLOAD, "why")


@pytest.mark.parametrize(
    ("request_id", "payload", "reason"),
    [("", PAYLOAD, "why"), ("x" * 65, PAYLOAD, "why"), ("r1", PAYLOAD, " "), ("r1", {"fen": 1.5}, "why")],
)
def test_a_request_that_lacks_something_is_refused(
    approvals: Approvals, request_id: str, payload: dict[str, object], reason: str
) -> None:
    with pytest.raises(Refused):
        approvals.request(LI, request_id, Kind.TRANSFER, NORTH, payload, reason)


def test_what_nobody_decides_in_time_lapses(approvals: Approvals, clock: VirtualClock, db: Engine) -> None:
    request = asked(approvals)
    clock.advance(RULES[Kind.TRANSFER].valid_for_ms - 1)
    assert approvals.expire_overdue() == 0
    clock.advance(1)
    with pytest.raises(Refused, match="is expired"):
        approvals.approve(WANG, "r1", request.payload_hash, "")
    assert approvals.get("r1").state is State.EXPIRED
    assert (entries(db)[0].action, entries(db)[0].operator) == ("approval.expired", "system")


def test_what_nobody_begins_in_time_lapses_but_what_is_begun_is_finished(
    approvals: Approvals, clock: VirtualClock
) -> None:
    ledger = Ledger()
    approved(approvals, "late")
    approved(approvals, "begun")

    def die(_: ApprovalRequest) -> Mapping[str, object]:
        raise Killed

    with pytest.raises(Killed):
        approvals.execute(LI, "begun", die)
    clock.advance(RULES[Kind.TRANSFER].valid_for_ms)
    with pytest.raises(Refused, match="is expired"):
        approvals.execute(LI, "late", ledger.post)
    assert approvals.execute(LI, "begun", ledger.post).state is State.EXECUTED
    assert ledger.posted == {transfer_id_of("begun"): 1}


def test_what_is_done_is_not_done_again(approvals: Approvals) -> None:
    ledger = Ledger()
    approved(approvals)
    first = approvals.execute(LI, "r1", ledger.post)
    assert approvals.execute(WANG, "r1", ledger.post) == first
    assert ledger.calls == 1


def test_what_the_ledger_refuses_is_told_and_over(approvals: Approvals) -> None:
    def refuse(_: ApprovalRequest) -> Mapping[str, object]:
        raise TransferRefused("INSUFFICIENT_FUNDS", 5)

    approved(approvals)
    with pytest.raises(TransferRefused):
        approvals.execute(LI, "r1", refuse)
    failed = approvals.get("r1")
    assert failed.state is State.FAILED
    assert failed.result == {"error": "TransferRefused", "why": "INSUFFICIENT_FUNDS, short by 5 fen"}
    with pytest.raises(Refused, match="is failed"):
        approvals.execute(LI, "r1", Ledger().post)


def test_a_payload_changed_in_the_database_is_not_done(approvals: Approvals, db: Engine) -> None:
    ledger = Ledger()
    approved(approvals)
    with writing(db) as connection:
        connection.execute(text("UPDATE approvals SET payload = replace(payload, '1200', '9900')"))
    with pytest.raises(JournalBroken, match="r1: its payload was changed"):
        approvals.execute(LI, "r1", ledger.post)
    assert ledger.calls == 0


def test_requests_are_found_by_state(approvals: Approvals, clock: VirtualClock) -> None:
    for request in ("r3", "r1", "r2"):
        asked(approvals, request)
        clock.advance(1)
    approved(approvals, "r1")
    assert [r.request for r in approvals.find(State.REQUESTED)] == ["r3", "r2"]
    assert [r.request for r in approvals.find(State.REQUESTED, State.APPROVED, limit=2)] == ["r3", "r1"]


def test_the_whole_way_is_in_the_trail(approvals: Approvals, db: Engine) -> None:
    approved(approvals)
    approvals.execute(SUN, "r1", Ledger().post)
    told = [(e.operator, e.action, e.why) for e in reversed(entries(db, subject="r1"))]
    short = "cash drawer 4 was short"
    assert told == [
        ("li", "approval.request", short),
        ("wang", "approval.approved", "counted again"),
        ("sun", "approval.executing", short),
        ("sun", "approval.executed", short),
    ]
    verify(db)


def test_many_hands_at_once_do_it_once(approvals: Approvals) -> None:
    approved(approvals)
    ledger, results = Ledger(), []

    def carry_out() -> None:
        results.append(approvals.execute(LI, "r1", ledger.post).result)

    threads = [threading.Thread(target=carry_out) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"amount_fen": 12_00}] * 6
    assert len(ledger.posted) == 1


@pytest.mark.parametrize("round_number", range(4))
def test_whatever_dies_between_two_steps_it_is_done_at_most_once_and_only_after_two_agreed(
    approvals: Approvals, db: Engine, clock: VirtualClock, seed: int, round_number: int
) -> None:
    """Random steps by random people on a few requests; acts fail and die before and after posting."""
    rng = random.Random(seed + round_number)
    ledger = Ledger()
    agreed: set[str] = set()

    def act(request: ApprovalRequest) -> Mapping[str, object]:
        assert request.request in agreed
        match rng.randrange(5):
            case 0:
                raise StoreDown("the ledger is away")
            case 1:
                raise Killed
            case 2:
                ledger.post(request)
                raise Killed
            case 3:
                ledger.post(request)
                raise StoreDown("its answer was lost")
            case _:
                return ledger.post(request)

    for _ in range(150):
        request = f"r{rng.randrange(6)}"
        who = rng.choice((LI, WANG, SUN))
        try:
            match rng.randrange(5):
                case 0:
                    approvals.request(who, request, Kind.TRANSFER, NORTH, PAYLOAD, "why")
                case 1:
                    approvals.approve(who, request, approvals.get(request).payload_hash, "")
                    agreed.add(request)
                case 2 if rng.random() < 0.3:
                    approvals.refuse(who, request, "")
                case _:
                    approvals.execute(who, request, act)
        except (Killed, StoreDown, Refused):
            pass
        clock.advance(rng.randrange(1_000))

    for unfinished in approvals.find(State.EXECUTING):  # what the node does when it starts
        approvals.execute(LI, unfinished.request, ledger.post)
    executed = approvals.find(State.EXECUTED)
    assert {r.transfer_id for r in executed} == set(ledger.posted)
    assert set(ledger.posted.values()) <= {1}
    assert executed, "the walk must have carried something out"
    for request_done in executed:
        assert request_done.decided_by not in {None, "sun", request_done.requested_by}
    verify(db)
