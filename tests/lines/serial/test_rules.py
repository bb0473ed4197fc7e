"""Rules that need no wire: whose turn it is, what is sent again, who is suspected, which rate comes next."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines.events import Event, What
from campus_node.lines.serial.contact import QUEUED_MAX, Incoming, Outgoing
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.rate_search import DEAF_S, NOISE_MIN, NOISE_S, RateSearch
from campus_node.lines.serial.schedule import IDLE_S, PUSHES_MAX, WEIGHT_MAX, Schedule
from campus_node.lines.serial.search import Singling, matches
from campus_node.lines.serial.watch import FAILING_S, UNASKED_MAX, WireWatch
from federation.errors import Overloaded

STEP_S = 0.002


def frame_of(outgoing: Outgoing, most_bytes: int = 10) -> SerialFrame:
    segment = outgoing.segment(most_bytes)
    assert segment is not None
    outgoing.sent()
    return SerialFrame(0, 1, Kind.SEGMENT, *segment[:3], payload=segment.content)


@given(messages=st.lists(st.binary(min_size=1, max_size=45), max_size=8), luck=st.randoms())
def test_segments_arrive_in_order_and_once_whatever_is_lost(
    messages: list[bytes], luck: random.Random
) -> None:
    outgoing, incoming, taken = Outgoing(), Incoming(), list[bytes]()
    for message in messages:
        outgoing.put(message, urgent=False)
    while outgoing.waits:
        frame = frame_of(outgoing)
        whole = incoming.take(frame) if luck.random() < 0.7 else None
        if whole is not None:
            taken.append(whole)
        if luck.random() < 0.7:
            assert outgoing.expects(incoming.expected)
    assert taken == messages


def test_a_new_contact_begins_a_message_anew_unless_it_may_have_arrived() -> None:
    outgoing, incoming = Outgoing(), Incoming()
    outgoing.put(bytes(25), urgent=False)
    outgoing.put(b"the next", urgent=False)
    incoming.take(frame_of(outgoing))
    outgoing.expects(incoming.expected)
    outgoing.restart()
    incoming.restart()
    assert frame_of(outgoing) == SerialFrame(0, 1, Kind.SEGMENT, 0, True, False, payload=bytes(10))
    for _ in range(2):
        incoming.take(frame_of(outgoing))
        outgoing.expects(incoming.expected)
    frame_of(outgoing)  # its last segment: it may be there
    outgoing.restart()
    incoming.restart()
    assert incoming.take(frame_of(outgoing)) == b"the next"


def test_a_sequence_that_nobody_sent_makes_no_sense_and_a_queue_has_an_end() -> None:
    outgoing = Outgoing()
    assert outgoing.expects(0)
    assert not outgoing.expects(1)
    for number in range(QUEUED_MAX):
        outgoing.put(bytes([number]), urgent=False)
    with pytest.raises(Overloaded):
        outgoing.put(b"x", urgent=False)
    outgoing.put(b"x", urgent=True)
    assert outgoing.give_up() == QUEUED_MAX + 1
    assert not outgoing.waits


def here(count: int) -> Schedule:
    schedule = Schedule()
    for address in range(1, count + 1):
        schedule.of(address).begin(bytes(10))
        schedule.of(address).more = False
    return schedule


def test_a_busy_terminal_is_asked_up_to_four_times_as_often_and_none_is_forgotten() -> None:
    schedule, asked, now_s = here(50), dict.fromkeys(range(1, 51), 0), 1.0
    longest_s = 0.0
    for _ in range(20_000):
        now_s += STEP_S
        contact = schedule.poll(now_s)
        if contact is None:
            continue
        longest_s = max(longest_s, now_s - contact.visited_s if contact.visited_s else 0.0)
        contact.visited_s = now_s
        asked[contact.address] += 1
        if contact.address <= 5 and asked[contact.address] % 3 == 0:
            contact.count(now_s)
    ratio = asked[1] / asked[50]
    assert 1.8 < ratio <= WEIGHT_MAX + 0.1
    assert longest_s < 2 * WEIGHT_MAX * 50 * STEP_S


def test_who_waits_goes_first_but_only_so_often_in_a_row() -> None:
    schedule = here(3)
    schedule.of(2).outgoing.put(b"x", urgent=False)
    pushed = [schedule.push(10.0) for _ in range(PUSHES_MAX + 1)]
    assert [contact and contact.address for contact in pushed] == [2] * PUSHES_MAX + [None]
    schedule.of(3).outgoing.put(b"now", urgent=True)
    urgent = schedule.urgent(10.0)
    assert urgent is not None
    assert urgent.address == 3
    schedule.of(3).retry_s = 11.0
    assert schedule.urgent(10.0) is None


def test_an_idle_line_is_not_asked_without_a_pause() -> None:
    schedule = here(1)
    schedule.of(1).visited_s = 5.0
    assert schedule.poll(5.0 + IDLE_S / 2) is None
    assert schedule.due_s(5.0) == 5.0 + IDLE_S


def test_a_wire_is_suspected_only_when_nobody_answers_for_some_time() -> None:
    watch, events = WireWatch(), list[Event]()
    for address in (1, 2, 3):
        watch.answered(address, 0.0)
    now_s = 0.0
    while not events:
        now_s += 0.01
        for address in (1, 2, 3):
            events += watch.failed(address, False, now_s)
    assert events == [Event(now_s, What.HELD, 0xFF, 3)]
    assert now_s >= FAILING_S
    assert watch.missing(1, 0.1, now_s) == [], "nobody is blamed"
    assert [event.what for event in watch.answered(2, now_s + 1)] == [What.CLEAR]
    assert [e.what for e in watch.missing(1, 0.1, now_s + 2)] == [What.PEER_SILENT]
    assert watch.answered(3, now_s + 3) == [Event(now_s + 3, What.HELD, 1, hint=True)]


def test_one_terminal_that_fails_among_others_is_told_at_once() -> None:
    watch = WireWatch()
    watch.answered(1, 0.0)
    watch.answered(2, 0.0)
    watch.failed(1, False, 1.0)
    watch.answered(2, 1.1)
    assert watch.missing(1, 1.0, 1.2) == [Event(1.2, What.PEER_SILENT, 1)]


def test_who_speaks_unasked_is_named_once_and_released_when_it_stops() -> None:
    watch, events = WireWatch(), list[Event]()
    for number in range(3 * UNASKED_MAX):
        events += watch.unasked(7, number * 0.01)
    assert [(event.what, event.address) for event in events] == [(What.BABBLING, 7)]
    assert watch.step(5.0) == []
    assert [(event.what, event.address) for event in watch.step(20.0)] == [(What.RELEASED, 7)]


def test_a_rate_is_left_when_nothing_makes_sense_and_the_last_good_one_is_tried_first() -> None:
    search = RateSearch(9_600, (9_600, 19_200, 115_200))
    search.begin(100.0)
    assert search.next_rate(9_600, 100.0 + DEAF_S - 0.1) is None
    assert search.next_rate(9_600, 100.0 + DEAF_S) == 19_200
    for _ in range(NOISE_MIN):
        search.noise()
    begun_s = 100.0 + DEAF_S
    assert search.next_rate(19_200, begun_s + NOISE_S + 0.01) == 115_200
    search.understood(115_200, 110.0)
    assert search.next_rate(115_200, 110.0 + DEAF_S) == 9_600
    tried = {search.next_rate(9_600, 110.0 + DEAF_S * n) for n in (2, 3, 4)}
    assert 115_200 in tried, "it comes back to what was good"
    assert RateSearch(9_600, ()).next_rate(9_600, 1e6) is None


@given(numbers=st.sets(st.integers(0, 10**9), min_size=2, max_size=5))
def test_terminals_of_one_address_are_all_told_apart(numbers: set[int]) -> None:
    serials = {number.to_bytes(10) for number in numbers}
    singling = Singling()
    while (question := singling.question) is not None:
        payload = question.encode()
        answering = [one for one in serials if matches(payload, hashlib.sha256(one).digest())]
        singling.answered(answering[0] if len(answering) == 1 else None, len(answering) > 1)
    assert len(singling.serials) >= 2
    assert singling.serials <= serials
