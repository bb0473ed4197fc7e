"""What becomes of a rollout next, without any I/O (B4.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.firmware.rollout import (
    BAD,
    GOOD,
    NO_RING,
    Decision,
    Member,
    Outcome,
    Policy,
    Standing,
    State,
    decide,
)

POLICY = Policy(threshold_percent=90, hold_s=600, failures_max_percent=10)
RUNNING = Standing(State.RUNNING)
W, S, A, R, F = Outcome.WAITING, Outcome.STORED, Outcome.ACTIVE, Outcome.REFUSED, Outcome.FAILED


def ring(number: int, *outcomes: Outcome) -> list[Member]:
    return [Member(number, outcome) for outcome in outcomes]


def after(standing: Standing, members: list[Member], now_s: int = 0, *, meal: bool = False) -> Decision:
    return decide(standing, members, POLICY, now_s * 1000, at_meal=meal)


def test_the_canary_opens_first_whatever_its_number() -> None:
    assert after(RUNNING, ring(0, W) + ring(1, W)).standing.ring == 0
    assert after(RUNNING, ring(3, W) + ring(5, W)).standing.ring == 3


def test_a_ring_opens_when_the_one_before_had_it_long_enough() -> None:
    members = ring(0, S, A) + ring(1, W)
    first = after(Standing(State.RUNNING, 0), members, 100)
    assert first.standing == Standing(State.RUNNING, 0, 100_000)
    assert after(first.standing, members, 699).standing == first.standing
    assert after(first.standing, members, 700).standing == Standing(State.RUNNING, 1)


def test_the_time_begins_anew_when_a_terminal_loses_it() -> None:
    held = Standing(State.RUNNING, 0, 0)
    lost = after(held, ring(0, S, W) + ring(1, W), 500)
    assert lost.standing == Standing(State.RUNNING, 0)
    again = after(lost.standing, ring(0, S, S) + ring(1, W), 600)
    assert again.standing.good_since_unix_ms == 600_000


def test_silent_terminals_hold_a_ring_up_only_as_far_as_the_threshold_says() -> None:
    nine_of_ten = ring(0, *[S] * 9, W) + ring(1, W)
    eight_of_ten = ring(0, *[S] * 8, W, W) + ring(1, W)
    held = Standing(State.RUNNING, 0, 0)
    assert after(held, nine_of_ten, 600).standing.ring == 1
    assert after(held, eight_of_ten, 600).standing == Standing(State.RUNNING, 0)


@pytest.mark.parametrize("outcome", sorted(BAD))
def test_it_stops_by_itself_when_too_much_fails(outcome: Outcome) -> None:
    one_of_ten = after(Standing(State.RUNNING, 0), ring(0, *[W] * 9, outcome))
    two_of_ten = after(Standing(State.RUNNING, 0), ring(0, *[W] * 8, outcome, outcome))
    assert one_of_ten.standing.state is State.RUNNING
    assert two_of_ten.standing.state is State.FAILED
    assert not two_of_ten.sending
    assert "2 of 10" in two_of_ten.reason


def test_failures_of_rings_that_are_not_open_do_not_count() -> None:
    assert after(Standing(State.RUNNING, 0), ring(0, W) + ring(1, F)).standing.state is State.RUNNING


def test_at_meals_nothing_is_sent_and_no_ring_opens_unless_somebody_insists() -> None:
    members = ring(0, S) + ring(1, W)
    held = Standing(State.RUNNING, 0, 0)
    assert after(held, members, 600, meal=True) == Decision(held, sending=False)
    insisting = Policy(threshold_percent=90, hold_s=600, force=True)
    assert decide(held, members, insisting, 600_000, at_meal=True).standing.ring == 1


@pytest.mark.parametrize("state", sorted(set(State) - {State.RUNNING}))
def test_what_does_not_run_sends_nothing_and_stays_as_it_is(state: State) -> None:
    standing = Standing(state, 0, 0)
    assert after(standing, ring(0, S) + ring(1, W), 10_000) == Decision(standing, sending=False)


def test_it_is_done_when_everybody_has_it_or_refused_within_the_limit() -> None:
    assert after(Standing(State.RUNNING, 1), ring(0, S) + ring(1, A)).standing.state is State.DONE
    assert after(Standing(State.RUNNING, 0), ring(0, *[S] * 19, R)).standing.state is State.DONE
    assert (
        after(Standing(State.RUNNING, 0), ring(0, *[S] * 19, R) + ring(1, W)).standing.state is State.RUNNING
    )


@given(
    outcomes=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Outcome)), min_size=1, max_size=30),
    opened=st.integers(NO_RING, 3),
    since=st.none() | st.integers(0, 10_000),
    now=st.integers(0, 20_000),
    meal=st.booleans(),
)
def test_whatever_stands_the_same_question_has_the_same_answer_and_rings_only_open_one_by_one(
    outcomes: list[tuple[int, Outcome]], opened: int, since: int | None, now: int, meal: bool
) -> None:
    members = [Member(number, outcome) for number, outcome in outcomes]
    standing = Standing(State.RUNNING, opened, since)
    first = decide(standing, members, POLICY, now, at_meal=meal)
    assert decide(standing, members, POLICY, now, at_meal=meal) == first
    if first.sending:
        assert not meal
        assert first.standing.state is State.RUNNING
    skipped = [m for m in members if opened < m.ring < first.standing.ring]
    assert not skipped or first.standing.state is State.DONE
    newly = first.standing.state is State.RUNNING and opened != NO_RING and first.standing.ring > opened
    before = [m for m in members if m.ring == opened]
    if newly and before:
        assert sum(m.outcome in GOOD for m in before) * 100 >= 90 * len(before)
        assert since is None or now - since >= 600_000


@pytest.mark.parametrize("wrong", [{"threshold_percent": 0}, {"failures_max_percent": 101}, {"hold_s": -1}])
def test_figures_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"percentages|held"):
        Policy(**wrong)  # type: ignore[arg-type]  # one name each
