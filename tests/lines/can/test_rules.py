"""Rules that need no bus: whose turn it is, who is a suspect, when to come back, what time it is."""

import random

import pytest

from campus_node.lines.can.bus_off import BACK_OFF_FIRST_S, BACK_OFF_MAX_S, BackOff
from campus_node.lines.can.ids import Frame
from campus_node.lines.can.presence import HeartbeatSource, Presence
from campus_node.lines.can.signals import Distress as Cause
from campus_node.lines.can.signals import Emergency, FollowUp, Heartbeat, Sync, frame_of
from campus_node.lines.can.suspects import (
    FORGED_MAX,
    QUARANTINE_FIRST_S,
    QUARANTINE_MAX_S,
    UNINVITED_MAX,
    Suspects,
)
from campus_node.lines.can.time_sync import STEP_MAX_S, TRIM_MAX_S, TimeSource, TrimmedClock
from campus_node.lines.can.uploads import BEGIN_WITHIN_S, Uploads
from campus_node.lines.events import Event, What
from hil_rig.virtual.bus_time import BusTime

SEMESTER_UNIX_MS = 1_788_220_800_000


# Turns.


def test_terminals_send_in_the_order_in_which_they_asked() -> None:
    uploads = Uploads(open_max=1)
    for peer in (9, 1, 5, 9):
        uploads.ask(peer)
    order = []
    while (granted := uploads.grant(0.0)) is not None:
        order.append(granted)
        assert uploads.grant(0.0) is None, "one at a time"
        uploads.close(granted)
    assert order == [9, 1, 5]


def test_the_next_one_is_let_when_the_last_one_has_begun_or_does_not() -> None:
    uploads = Uploads(open_max=3)
    for peer in (1, 2, 3, 4):
        uploads.ask(peer)
    assert uploads.grant(0.0) == 1
    assert uploads.grant(0.0) is None
    uploads.began(1)
    assert uploads.grant(0.0) == 2
    assert uploads.due_s() == BEGIN_WITHIN_S
    assert uploads.grant(BEGIN_WITHIN_S) == 3
    uploads.began(3)
    assert uploads.grant(1.0) is None, "three are open"
    uploads.forget(2)
    assert uploads.grant(1.0) == 4
    assert set(uploads.opened()) == {1, 3, 4}


# Suspects.


def many(suspects: Suspects, address: int, what: What, times: int, now_s: float) -> list[Event]:
    events = [suspects.saw(address, what, now_s) for _ in range(times)]
    return [event for event in events if event is not None]


def test_a_suspect_is_named_once_and_heard_again_after_a_while() -> None:
    suspects = Suspects()
    assert not many(suspects, 7, What.BABBLING, UNINVITED_MAX, 0.0)
    assert many(suspects, 7, What.BABBLING, 3, 0.0) == [Event(0.0, What.BABBLING, 7, UNINVITED_MAX + 1)]
    assert suspects.held(7)
    assert not suspects.held(8)
    assert suspects.release(QUARANTINE_FIRST_S - 0.1) == []
    assert suspects.release(QUARANTINE_FIRST_S) == [Event(QUARANTINE_FIRST_S, What.RELEASED, 7)]
    assert not suspects.held(7)


def test_what_is_spread_over_time_makes_no_suspect() -> None:
    suspects = Suspects()
    for second in range(100):
        assert not many(suspects, 7, What.FORGING, FORGED_MAX, float(second))


def test_a_repeat_offender_stays_longer_each_time_but_not_for_ever() -> None:
    suspects, now_s, stays = Suspects(), 0.0, []
    for _ in range(9):
        assert many(suspects, 7, What.FORGING, FORGED_MAX + 1, now_s)
        began_s = now_s
        while not suspects.release(now_s):
            now_s += 1.0
        stays.append(now_s - began_s)
    assert stays[:4] == [10, 20, 40, 80]
    assert stays[-1] == QUARANTINE_MAX_S


def test_who_goes_on_in_quarantine_is_not_released() -> None:
    suspects = Suspects()
    many(suspects, 7, What.BABBLING, UNINVITED_MAX + 1, 0.0)
    for second in range(60):
        assert not many(suspects, 7, What.BABBLING, 2 * UNINVITED_MAX, float(second)), "no second alarm"
        assert not suspects.release(float(second))


# Bus-off.


def test_each_time_a_controller_waits_twice_as_long_up_to_a_minute() -> None:
    back_off, now_s, waits = BackOff(), 0.0, []
    for _ in range(12):
        back_off.went_off(now_s)
        began_s = now_s
        now_s = back_off.due_s
        assert not back_off.due(began_s)
        assert back_off.due(now_s)
        waits.append(round(now_s - began_s, 6))
        back_off.came_back(now_s)
        now_s += 1.0
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(waits) == BACK_OFF_MAX_S
    assert back_off.count == 12


def test_after_a_steady_minute_it_waits_as_little_as_at_first() -> None:
    back_off = BackOff()
    for at_s in (0.0, 1.0, 2.0):
        back_off.went_off(at_s)
        back_off.came_back(at_s + 0.5)
    back_off.went_off(100.0)
    assert back_off.due_s == pytest.approx(100.0 + BACK_OFF_FIRST_S)


def test_two_devices_do_not_come_back_together() -> None:
    one, other = BackOff(0.1), BackOff(0.7)
    one.went_off(0.0)
    other.went_off(0.0)
    assert one.due_s != other.due_s


# Time.


def pair(clock: TrimmedClock, sequence: int, told_unix_ms: float, now_s: float) -> None:
    """Let a clock hear that it was told_unix_ms at now_s."""
    clock.take(frame_of(Sync(sequence)), now_s)
    clock.take(frame_of(FollowUp(sequence, round(told_unix_ms * 1000))), now_s + 0.02)


def test_a_clock_that_was_never_set_shows_nothing_whatever_a_bus_says() -> None:
    clock = TrimmedClock()
    pair(clock, 1, SEMESTER_UNIX_MS, 5.0)
    assert clock.unix_ms(6.0) is None


def test_sync_trims_a_clock_that_drifts() -> None:
    clock = TrimmedClock()
    clock.set(SEMESTER_UNIX_MS, 0.0)
    for minute in range(1, 11):  # it loses 3 ms a minute
        pair(clock, minute, SEMESTER_UNIX_MS + minute * 60_003, minute * 60.0)
    assert clock.unix_ms(600.0) == SEMESTER_UNIX_MS + 600_030
    assert clock.trimmed_ms == 30


@pytest.mark.parametrize("direction", [1, -1])
def test_sync_moves_a_clock_by_two_seconds_at_most_until_it_is_set_again(direction: int) -> None:
    clock = TrimmedClock()
    clock.set(SEMESTER_UNIX_MS, 0.0)
    for number in range(200):
        pair(clock, number, SEMESTER_UNIX_MS + direction * 3_600_000, 0.0)
    assert clock.trimmed_ms == direction * TRIM_MAX_S * 1000
    assert clock.refused_count > 0
    clock.set(SEMESTER_UNIX_MS + 10_000, 10.0)
    pair(clock, 1, SEMESTER_UNIX_MS + 3_600_000, 10.0)
    assert clock.trimmed_ms == STEP_MAX_S * 1000, "one false pair shifts little"


def test_a_clock_never_goes_back_nor_behind_the_journal() -> None:
    clock = TrimmedClock(not_before_unix_ms=SEMESTER_UNIX_MS + 500)
    clock.set(SEMESTER_UNIX_MS, 0.0)
    assert clock.unix_ms(0.0) == SEMESTER_UNIX_MS + 500
    shown = [clock.unix_ms(1.0)]
    rng = random.Random("clock")
    for step in range(100):
        now_s = 1.0 + step / 100
        pair(clock, step, SEMESTER_UNIX_MS + now_s * 1000 + rng.uniform(-2000, 2000), now_s)
        shown.append(clock.unix_ms(now_s))
    assert shown == sorted(shown, key=lambda unix_ms: unix_ms or 0)


def test_a_follow_up_of_another_sync_or_too_late_says_nothing() -> None:
    clock = TrimmedClock()
    clock.set(SEMESTER_UNIX_MS, 0.0)
    clock.take(frame_of(Sync(1)), 1.0)
    clock.take(frame_of(FollowUp(2, (SEMESTER_UNIX_MS + 2000) * 1000)), 1.0)
    clock.take(frame_of(FollowUp(1, (SEMESTER_UNIX_MS + 2000) * 1000)), 3.0)
    clock.take(frame_of(FollowUp(1, (SEMESTER_UNIX_MS + 2000) * 1000)), 3.0)
    assert clock.trimmed_ms == 0


def test_terminals_of_a_busy_bus_agree_with_the_head_to_a_millisecond() -> None:
    bus = BusTime(10)
    true_unix_us = SEMESTER_UNIX_MS * 1000
    bus.head.attach(TimeSource(lambda now_s: true_unix_us + round(now_s * 1e6), every_s=0.5))
    clocks = {address: TrimmedClock() for address in bus.tills}
    rng = random.Random("offsets")
    for address, clock in clocks.items():
        clock.set(SEMESTER_UNIX_MS + rng.randrange(-90, 90), 0.0)
        bus.tills[address].attach(clock)

    for address in bus.tills:
        bus.tills[address].send(bus.head.own, b"x" * 60)
        bus.tills[address].send(bus.head.own, b"y" * 2000)
    bus.run(1.4)
    shown = [clock.unix_ms(bus.now_s) or 0 for clock in clocks.values()]
    assert max(abs(unix_ms - (SEMESTER_UNIX_MS + bus.now_s * 1000)) for unix_ms in shown) <= 2
    bus.close()


# Presence.


def test_a_device_that_was_exchanged_is_no_conflict_and_two_that_alternate_are() -> None:
    told: list[Event] = []
    presence = Presence(told.append)
    for at_s, serial in ((0, 1), (2, 1), (4, 2), (6, 2), (8, 2)):
        presence.take(frame_of(Heartbeat(5, serial=serial)), float(at_s))
    assert not told
    presence.take(frame_of(Heartbeat(5, serial=1)), 10.0)
    assert [(event.what, event.address, event.hint) for event in told] == [(What.ADDRESS_CONFLICT, 5, True)]


def test_a_terminal_that_was_off_the_bus_and_one_that_calls_are_hints() -> None:
    told: list[Event] = []
    presence = Presence(told.append)
    presence.take(frame_of(Heartbeat(5, bus_offs=0)), 0.0)
    presence.take(frame_of(Heartbeat(5, bus_offs=2)), 2.0)
    presence.take(frame_of(Emergency(6, Cause.TAMPER_SWITCH)), 2.0)
    assert told == [
        Event(2.0, What.LEAVES_BUS, 5, 2, hint=True),
        Event(2.0, What.EMERGENCY, 6, Cause.TAMPER_SWITCH, hint=True),
    ]


def test_an_emergency_does_not_wait_for_the_next_heartbeat() -> None:
    source, sent = HeartbeatSource(lambda: Heartbeat(3)), list[Frame]()
    source.step(0.0, sent.append)
    source.call(Emergency(3, Cause.POWER_FAILING))
    source.step(0.1, sent.append)
    assert sent == [frame_of(Heartbeat(3)), frame_of(Emergency(3, Cause.POWER_FAILING))]
