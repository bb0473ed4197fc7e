"""A rollout from its first ring to its end, whatever is restarted on the way (B4.4)."""

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from campus_node.database.connect import reading
from campus_node.firmware import store
from campus_node.firmware.conductor import Conductor
from campus_node.firmware.image import keys_by_id, open_image, sign
from campus_node.firmware.meals import MealTimes
from campus_node.firmware.rollout import Outcome, Policy, State
from campus_node.firmware.store import Goal, Rollout
from campus_node.lines import notice
from campus_node.notices.desk import NoticeDesk
from campus_node.watch.store import AlarmFilter, find
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from federation.errors import Refused
from tests.firmware.conftest import ALICE

POLICY = Policy(threshold_percent=90, hold_s=600, failures_max_percent=10)
STORED, REFUSED = wire.DISTRIBUTION_STATE_STORED, wire.DISTRIBUTION_STATE_REFUSED
MEALS = MealTimes("11:00-13:30")
MORNING = round(datetime(2026, 9, 1, 9, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)
NOON = MORNING + 2 * 3_600_000
CANARIES = [Goal(bytes([0, 0, 0, 0, 0, n]), f"canary-{n}", "canteen", 0) for n in (1, 2)]
TILLS = [
    Goal(bytes([0, 0, 0, 0, 1, n]), f"till-{n:02}", "library" if n % 2 else "canteen", 1)
    for n in range(1, 21)
]


class Campus:
    """A conductor that is made anew for each step, as after a restart."""

    def __init__(self, db: Engine, desk: NoticeDesk, clock: VirtualClock, key: Ed25519PrivateKey) -> None:
        self.db, self.desk, self.clock = db, desk, clock
        self.file = sign(key, random.Random("image").randbytes(20_000), "pos-2", 7, 3)
        self.image = open_image(self.file, keys_by_id([key.public_key()]))
        clock.step(MORNING - clock.unix_ms())

    @property
    def conductor(self) -> Conductor:
        return Conductor(self.db, self.desk, MEALS, self.clock)

    def begin(self, rollout: str = "september", policy: Policy = POLICY) -> Rollout:
        goals = [*CANARIES, *TILLS]
        return self.conductor.begin(ALICE, rollout, self.image, self.file, policy, goals, "test")

    def rollout(self) -> Rollout:
        with reading(self.db) as connection:
            return store.get(connection, "september")

    def step(self, advance_s: int = 0) -> Rollout:
        self.clock.advance(advance_s * 1000)
        self.conductor.step()
        return self.rollout()

    def orders(self, gateway: str) -> list[pb.Order]:
        messages = self.desk.told_since(gateway, 0).messages
        found = [message.order for message in messages if message.WhichOneof("body") == "order"]
        return [order for order in found if order.terminal_ids]

    def say(self, goals: list[Goal], state: wire.DistributionState.ValueType) -> None:
        """Let terminals report, through whichever order names them."""
        for gateway in ("canteen", "library"):
            for order in self.orders(gateway):
                progress = pb.OrderProgress(order=order.order)
                for goal in goals:
                    if goal.terminal_id in order.terminal_ids:
                        report = wire.DistributionReport(
                            hash=self.desk.shelf.put(self.file), state=state, blocks=6, blocks_stored=6
                        )
                        progress.terminals.add(terminal_id=goal.terminal_id, report=report)
                self.desk.take_progress(gateway, progress)

    def addressed(self) -> set[bytes]:
        return {
            each
            for gateway in ("canteen", "library")
            for o in self.orders(gateway)
            for each in o.terminal_ids
        }


@pytest.fixture
def campus(db: Engine, desk: NoticeDesk, clock: VirtualClock, firmware_key: Ed25519PrivateKey) -> Campus:
    return Campus(db, desk, clock, firmware_key)


def test_the_canary_gets_it_first_then_the_others_then_it_is_done(campus: Campus) -> None:
    campus.begin()
    assert campus.addressed() == {goal.terminal_id for goal in CANARIES}
    (order,) = campus.orders("canteen")
    announced = wire.Notice.FromString(order.notice[notice.HEAD_BYTES :]).manifest
    assert (announced.version, announced.from_version, list(announced.models)) == (7, 3, ["pos-2"])
    assert announced.terminal_ids == b"".join(goal.terminal_id for goal in CANARIES)
    campus.say(CANARIES, STORED)
    assert campus.step().standing.good_since_unix_ms == campus.clock.unix_ms()
    assert campus.step(599).standing.ring == 0
    assert campus.addressed() == set()
    assert campus.step(1).standing.ring == 1
    assert campus.addressed() == {goal.terminal_id for goal in TILLS}
    campus.say(TILLS, STORED)
    assert campus.step().standing.state is State.DONE
    assert campus.addressed() == set()


def test_steps_without_anything_new_order_nothing_twice(campus: Campus) -> None:
    campus.begin()
    before = campus.orders("canteen")
    for _ in range(3):
        campus.step(1)
    assert campus.orders("canteen") == before
    assert campus.begin().rollout == "september", "the same id again is the same rollout"
    assert campus.orders("canteen") == before


def test_failures_beyond_the_limit_stop_it_and_raise_an_alarm(campus: Campus) -> None:
    campus.begin()
    campus.say(CANARIES[:1], REFUSED)
    failed = campus.step()
    assert failed.standing.state is State.FAILED
    assert "1 of 2" in failed.reason
    assert all(0 < order.stop_at_unix_ms <= campus.clock.unix_ms() for order in campus.orders("canteen"))
    with reading(campus.db) as connection:
        (alarm,) = find(connection, AlarmFilter(), limit=10)
    assert (alarm.alarm.name, alarm.alarm.subject) == ("firmware.rollout_failed", "september")
    with pytest.raises(Refused, match="allow more"):
        campus.conductor.resume(ALICE, "september", "again")
    campus.conductor.resume(ALICE, "september", "known card reader", failures_max_percent=50)
    assert campus.rollout().standing.state is State.RUNNING


def test_nothing_is_sent_at_meals_and_orders_know_when_they_begin(campus: Campus) -> None:
    campus.begin()
    assert [order.stop_at_unix_ms for order in campus.orders("canteen")] == [NOON]
    campus.clock.advance(NOON - campus.clock.unix_ms())
    campus.say(CANARIES, STORED)
    campus.step()
    assert campus.step(3_600).standing.ring == 0, "long enough, but people eat"
    after = campus.step(2 * 3_600)
    assert after.standing.ring == 1
    assert {order.stop_at_unix_ms for order in campus.orders("library")} == {NOON + 24 * 3_600_000}


def test_an_order_goes_on_after_the_meal(campus: Campus) -> None:
    campus.begin()
    campus.step(3 * 3_600)
    (order,) = campus.orders("canteen")
    assert 0 < order.stop_at_unix_ms <= campus.clock.unix_ms()
    campus.step(3 * 3_600)
    (again,) = campus.orders("canteen")
    assert again.order == order.order
    assert again.notice == order.notice
    assert again.stop_at_unix_ms > campus.clock.unix_ms()


def test_who_insists_distributes_at_meals_too(campus: Campus) -> None:
    campus.clock.advance(3 * 3_600_000)
    campus.begin(policy=Policy(force=True))
    assert [order.stop_at_unix_ms for order in campus.orders("canteen")] == [0]


def test_pause_stops_sending_resume_goes_on_and_stop_is_for_good(campus: Campus) -> None:
    campus.begin()
    campus.conductor.pause(ALICE, "september", "wait")
    (order,) = campus.orders("canteen")
    assert order.stop_at_unix_ms == campus.clock.unix_ms()
    campus.step(100)
    campus.conductor.resume(ALICE, "september", "go on")
    assert [o.stop_at_unix_ms for o in campus.orders("canteen")] == [NOON]
    campus.conductor.stop(ALICE, "september", "a better one is coming")
    assert campus.addressed() == set()
    with pytest.raises(Refused, match="stopped"):
        campus.conductor.resume(ALICE, "september", "no")
    assert campus.begin("october").standing.state is State.RUNNING


def test_one_model_has_one_rollout_at_a_time(campus: Campus) -> None:
    campus.begin()
    with pytest.raises(Refused, match="is not over"):
        campus.begin("october")


def test_a_model_without_terminals_is_no_rollout(campus: Campus) -> None:
    with pytest.raises(Refused, match="no terminal"):
        campus.conductor.begin(ALICE, "september", campus.image, campus.file, POLICY, [], "test")


def test_a_terminal_that_comes_after_its_order_expired_gets_a_new_one(campus: Campus) -> None:
    campus.begin(policy=Policy(force=True))
    (first,) = campus.orders("canteen")
    campus.step(15 * 24 * 3_600)
    (second,) = campus.orders("canteen")
    assert second.order != first.order
    assert list(second.terminal_ids) == list(first.terminal_ids)


def test_a_terminal_that_reports_the_new_version_runs_it(campus: Campus) -> None:
    campus.begin()
    campus.say(CANARIES, STORED)
    reports = {
        goal.terminal_id: wire.TerminalReport(firmware_version=version)
        for goal, version in zip(CANARIES, (7, 6), strict=True)
    }
    campus.desk.take_reports("canteen", reports)
    with reading(campus.db) as connection:
        goals = store.goals(connection, campus.rollout())
    assert [goal.outcome for goal in goals[:2]] == [Outcome.ACTIVE, Outcome.STORED]


def test_progress_is_kept_for_each_terminal(campus: Campus) -> None:
    campus.begin()
    (order,) = campus.orders("canteen")
    progress = pb.OrderProgress(order=order.order)
    half = wire.DistributionReport(
        hash=campus.desk.shelf.put(campus.file),
        state=wire.DISTRIBUTION_STATE_RECEIVING,
        blocks=6,
        blocks_stored=3,
    )
    progress.terminals.add(terminal_id=CANARIES[0].terminal_id, report=half)
    progress.terminals.add(terminal_id=CANARIES[1].terminal_id, silent=True)
    campus.desk.take_progress("canteen", progress)
    with reading(campus.db) as connection:
        goals = store.goals(connection, campus.rollout())
    assert (goals[0].outcome, goals[0].blocks_stored, goals[0].blocks) == (Outcome.RECEIVING, 3, 6)
    assert goals[1].silent
