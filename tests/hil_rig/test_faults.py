"""Faults are data: made from a seed, handed out once, reported, and demanded."""

import pytest

from hil_rig.faults import Counted, Fault, FaultNotFired, FaultPlan, FaultRecord, ReportedFault, What

KILL_NORTH = Fault("north node", What.KILL, Counted.ACKNOWLEDGEMENT, 10)
STEP_SOUTH = Fault("south node", What.CLOCK_STEP, Counted.COMMIT, 2, size=-3_600_000, must_fire=False)


def spread(seed: int, count: int = 6) -> FaultPlan:
    return FaultPlan.spread(
        seed, ["north", "south"], What.KILL, Counted.ACKNOWLEDGEMENT, total=1000, count=count
    )


def test_the_same_seed_makes_the_same_faults_and_another_seed_others() -> None:
    assert spread(7) == spread(7)
    assert spread(7).faults != spread(8).faults


def test_spread_faults_take_places_in_turn_and_leave_room_before_the_end() -> None:
    for seed in range(50):
        plan = spread(seed)
        assert [f.place for f in plan.faults].count("north") == 3, plan
        assert all(150 <= f.nth <= 750 for f in plan.faults), plan
        north = [f.nth for f in plan.faults if f.place == "north"]
        assert north == sorted(north), plan


def test_a_fault_is_handed_out_once_when_its_count_is_reached_at_its_place() -> None:
    record = FaultRecord(FaultPlan(1, (KILL_NORTH, STEP_SOUTH)))
    assert record.count("south node", Counted.ACKNOWLEDGEMENT, 50) == []
    assert record.count("north node", Counted.COMMIT, 50) == []
    assert record.count("north node", Counted.ACKNOWLEDGEMENT, 9) == []
    assert record.count("north node", Counted.ACKNOWLEDGEMENT, 5) == [KILL_NORTH]
    assert record.count("north node", Counted.ACKNOWLEDGEMENT, 5) == []


def test_a_fault_that_must_fire_and_did_not_is_raised_with_its_seed() -> None:
    record = FaultRecord(FaultPlan(4711, (KILL_NORTH, STEP_SOUTH)))
    with pytest.raises(FaultNotFired, match="seed 4711: kill -9 north node at acknowledgement 10"):
        record.demand_fired()
    record.fired(KILL_NORTH)
    record.demand_fired()


def test_two_equal_faults_must_fire_twice() -> None:
    record = FaultRecord(FaultPlan(1, (KILL_NORTH, KILL_NORTH)))
    assert record.count("north node", Counted.ACKNOWLEDGEMENT, 10) == [KILL_NORTH, KILL_NORTH]
    record.fired(KILL_NORTH)
    with pytest.raises(FaultNotFired):
        record.demand_fired()
    assert record.report() == [ReportedFault("kill -9 north node", planned=2, fired=1)]


def test_a_plan_is_plain_tuples_that_can_be_written_down_and_cut_smaller() -> None:
    plan = FaultPlan(3, (KILL_NORTH, STEP_SOUTH))
    assert all(Fault._make(tuple(fault)) == fault for fault in plan.faults)
    assert plan.without(0) == FaultPlan(3, (STEP_SOUTH,))


def test_a_run_that_somebody_stops_withdraws_only_what_was_not_due() -> None:
    late = KILL_NORTH._replace(nth=1_000)
    record = FaultRecord(FaultPlan(1, (KILL_NORTH, late)))
    record.count("north node", Counted.ACKNOWLEDGEMENT, 10)
    record.withdraw()
    assert record.report() == [ReportedFault("kill -9 north node", planned=1, fired=0)]
    with pytest.raises(FaultNotFired):
        record.demand_fired()
    assert record.count("north node", Counted.ACKNOWLEDGEMENT, 10_000) == []


def test_what_fell_due_after_somebody_stopped_the_run_is_no_missing_fault() -> None:
    fault = Fault("north node", What.KILL, Counted.ACKNOWLEDGEMENT, 3)
    record = FaultRecord(FaultPlan(1, (fault,)))
    assert record.count("north node", Counted.ACKNOWLEDGEMENT, 3) == [fault]
    assert record.due() == record.missing() == [fault]
    record.withdraw([fault])
    assert not record.missing()
